"""What a person asked for: as it was typed, and as it was understood."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from pathlib import Path
    from types import MappingProxyType

    from perstack.config.project import Project
    from perstack.schema.settings import Settings


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """A command line's values, unchecked. None, False and () mean that nothing was given.

    `requires_query`: the command has nobody to ask, so without a continuation a query
    must be there. Names are those of the options, `continue_latest` being `--continue`.
    """

    expert_key: str | None = None
    query: str | None = None
    requires_query: bool = False
    provider: str | None = None
    model: str | None = None
    reasoning_budget: str | None = None
    max_steps: str | None = None
    max_retries: str | None = None
    timeout: str | None = None
    config: str | None = None
    env_path: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    job_id: str | None = None
    continue_latest: bool = False
    continue_job: str | None = None
    resume_from: str | None = None
    interactive: bool = False
    runtime: str | None = None
    workspace: str | None = None
    verbose: bool = False

    def __repr__(self) -> str:
        """The values that were given, but for those of variables."""
        given = {name: getattr(self, name) for name in self.__struct_fields__ if name != "env"}
        return f"Options({given!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """Everything a run is started with, checked and resolved.

    `environ` is the process environment, the .env files and `--env`, merged. It holds
    secrets: it does not show in a repr, and is a read-only view, which no encoder,
    pickle or copy takes.
    `passed_env` names the variables given with `--env`, which a person allowed
    knowingly. `workspace` is an existing folder by its real path. `query` may be "-":
    standard input is the command line's to read. `project` is None where no
    `perstack.toml` was found. `continue_latest`, `continue_job`, `resume_from`,
    `job_id` and `interactive` are as the options of those names. `names_model`: an
    option or the file says which provider or model to use. `chosen_by` is the variable
    whose key chose another provider than the default one, where nothing names a model.
    `gives_max_steps`: an option says how many steps the job may take.
    """

    expert_key: str | None
    query: str | None
    project: Project | None
    settings: Settings
    workspace: Path
    environ: MappingProxyType[str, str] = field(repr=False)
    passed_env: frozenset[str] = frozenset()
    storage_path: Path | None = None
    api_base_url: str | None = None
    base_skill_command: tuple[str, ...] | None = None
    job_id: str | None = None
    continue_latest: bool = False
    continue_job: str | None = None
    resume_from: str | None = None
    interactive: bool = False
    runtime: str = "local"
    names_model: bool = False
    chosen_by: str | None = None
    gives_max_steps: bool = False
    verbose: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def is_continuation(self) -> bool:
        """Whether it goes on with a job that exists."""
        return self.continue_latest or self.continue_job is not None
