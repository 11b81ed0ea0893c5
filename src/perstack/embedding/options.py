"""What may be given to a runtime, and to one job of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, TypeAlias, TypedDict

if TYPE_CHECKING:
    from perstack.config.project import Project
    from perstack.embedding.expert import Tools
    from perstack.embedding.mailbox import Hear
    from perstack.providers import Provider
    from perstack.schema.checkpoint import Checkpoint
    from perstack.schema.settings import ProviderSettings, ReasoningBudget
    from perstack.storage import Store

AskToContinue: TypeAlias = "Callable[[Checkpoint], Awaitable[bool] | bool]"


class RuntimeOptions(TypedDict, total=False):
    """What all jobs of a runtime share. An option wins over the file, the file over the default.

    Attributes:
        config: a `perstack.toml` that was loaded, with the `perstack.lock` beside it. No
            file is looked for on its own.
        provider: a provider's name, its settings, or an object with the Provider
            protocol, which stays yours to close.
        model: the model's name.
        reasoning_budget: "none" to "high", or a number of tokens.
        max_steps: steps that all runs of a job may take together.
        max_retries: failures in a row before a run stops.
        timeout: ms for one generation.
        workspace: the folder that tools see; the working directory.
        env: the environment: keys, base URLs, and what skills require. The process's
            own where it is left out; no .env file is read (`load_env` does that).
        allow_env: variables of `env` that a skill may require although they hold the
            key of the model's provider.
        store: where jobs are kept; `perstack/` in the workspace.
        max_jobs: jobs at work at once; the others wait their turn. Left out, it follows
            from the descriptors that the process may have (`ulimit -n`), for all
            runtimes of an event loop together.
    """

    config: Project | None
    provider: str | ProviderSettings | Provider | None
    model: str | None
    reasoning_budget: ReasoningBudget | None
    max_steps: int | None
    max_retries: int | None
    timeout: int | None
    workspace: str | PathLike[str] | None
    env: Mapping[str, str] | None
    allow_env: Collection[str]
    store: Store | None
    max_jobs: int | None


class JobOptions(TypedDict, total=False):
    """What one job begins or goes on with.

    Attributes:
        tools: functions for the Expert that is asked, besides its own.
        listener: hears every event, in order, at its own pace; or several of them.
        should_continue: asked at the end of each step, with the checkpoint at which the
            next one would begin; False interrupts the job.
        job_id: a name for a new job.
        continue_job: the job to go on with. Without a query one that was interrupted is
            carried on; a query is asked as the next one.
        resume_from: a checkpoint of `continue_job`, from which a new run begins.
        answer: what a person says to the questions at which `continue_job` rests: text
            for the first, or texts by tool call id.
    """

    tools: Tools
    listener: Hear | Sequence[Hear] | None
    should_continue: AskToContinue | None
    job_id: str | None
    continue_job: str | None
    resume_from: str | None
    answer: str | Mapping[str, str] | None


class Options(RuntimeOptions, JobOptions, total=False):
    """Both, for one job that has a runtime of its own."""
