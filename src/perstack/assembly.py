"""The parts put together: from a checked request to a job carried on until it rests.

The command line and the public API stand on this; nothing inside does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from perstack.errors import CannotContinue, ConfigurationError, NoSuchJob, UsageError
from perstack.kernel.answers import describe, results_of
from perstack.kernel.plan import pending_questions
from perstack.runtime.environment import Environment, OpenToolbox, StepBudget, new_id
from perstack.runtime.job import OpenJob, open_job
from perstack.runtime.replay import find_checkpoint, state_at
from perstack.schema.checkpoint import BaseRef, Job
from perstack.schema.keys import parse_key
from perstack.schema.skill import InteractiveSkill, McpSseSkill, McpStdioSkill
from perstack.schema.tool import BASE_SKILL

if TYPE_CHECKING:
    from collections.abc import Callable

    from perstack.config.request import RunRequest
    from perstack.kernel.state import RunState
    from perstack.providers import Provider
    from perstack.runtime.environment import Listener, Stop
    from perstack.schema.expert import Definition, Expert
    from perstack.schema.tool import Todo, ToolCall
    from perstack.skills import ToolSource
    from perstack.storage import Store

KEY_VARIABLES = {
    "anthropic": "ANTHROPIC_API_KEY",
    "google": "GOOGLE_GENERATIVE_AI_API_KEY",
    "openai": "OPENAI_API_KEY",
    "deepseek": "DEEPSEEK_API_KEY",
    "azure-openai": "AZURE_API_KEY",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where a job came to rest. `coordinator` is its coordinator's last run."""

    job: Job
    coordinator: RunState

    @property
    def questions(self) -> tuple[ToolCall, ...]:
        """The interactive calls that wait for a person."""
        waits = self.coordinator.status == "stoppedByInteractiveTool"
        return pending_questions(self.coordinator) if waits else ()

    @property
    def was_interrupted(self) -> bool:
        """Whether it was stopped from outside before it came to rest."""
        failed = self.coordinator.status == "stoppedByError" and not self.coordinator.is_interrupted
        return self.job.status == "stoppedByError" and not failed


class Experts:
    """Definitions by key: the project's own first, then those that ship with Perstack."""

    def __init__(self, request: RunRequest) -> None:
        self._request = request
        self._catalogue: dict[str, Expert] | None = None

    def expert(self, key: str) -> Expert:
        """The Expert that `key` names. Raises `UnknownExpert`."""
        from perstack.config.experts import resolve_expert

        project = self._request.project
        own = project.experts if project else {}
        if parse_key(key).name in own:
            return resolve_expert(key, project, {})
        if self._catalogue is None:
            from perstack.registry.catalogue import catalogue_experts

            self._catalogue = catalogue_experts()
        return resolve_expert(key, project, self._catalogue)

    def definition(self, key: str) -> Definition:
        """The Expert with what it knows of its delegates."""
        from perstack.config.experts import definition_of

        return definition_of(self.expert(key), self.expert)

    async def resolve(self, key: str) -> Definition:
        """`definition`, for a delegate that is asked."""
        return self.definition(key)


def open_store(request: RunRequest) -> Store:
    """Where the request's jobs are kept: `perstack/` in its workspace, or PERSTACK_STORAGE_PATH.

    Raises:
        ConfigurationError: the path lies in the workspace, where tools could reach it.
    """
    from perstack.storage.files import FilesStore

    usual = request.workspace / "perstack"
    path = request.storage_path or usual
    if path != usual and path.resolve().is_relative_to(request.workspace):
        raise ConfigurationError(
            f"PERSTACK_STORAGE_PATH is {path}, inside the workspace {request.workspace}: tools "
            "could reach it there. Name a folder outside, or unset it to use perstack/"
        )
    return FilesStore(path)


async def execute(request: RunRequest, stop: Stop, listeners: list[Listener]) -> Outcome:
    """Begin or continue a job, and carry it on until it rests or is stopped.

    Raises:
        UsageError: the request does not fit the job.
        ConfigurationError: something it needs is missing.
        StorageError: its facts cannot be read or kept.
    """
    experts = Experts(request)
    definition = experts.definition(request.expert_key or "")
    check_requirements(definition.expert, request)
    provider, notice = open_model(request, definition.expert)
    store = open_store(request)
    try:
        env = Environment(
            store=store,
            provider=provider,
            settings=request.settings,
            resolve=experts.resolve,
            open_toolbox=toolboxes(request),
            listeners=listeners,
            stop=stop,
            steps=StepBudget(request.settings.max_steps),
            notice=notice,
        )
        job_id = await _job_id(request, store)
        async with open_job(job_id, env) as job:
            return await _play(job, request, definition)
    finally:
        await provider.aclose()


async def _play(job: OpenJob, request: RunRequest, definition: Definition) -> Outcome:
    """Carry on what was interrupted, then give the job what the request brings."""
    if not request.is_continuation:
        await job.ask(definition, request.query or "")
        return _outcome(await job.carry_on(), job)
    coordinator = _coordinator(job, definition)
    if request.resume_from is not None:
        await _fork(job, request, definition)
        return _outcome(await job.carry_on(), job)
    record: Job | None = None
    if job.can_move:
        await job.note_continuation()
        record = await job.carry_on()
        coordinator = _coordinator(job, definition)
        if job.env.stop.is_set or (request.query is None and not request.interactive):
            return _outcome(record, job)
    if request.interactive:
        results = results_of(request.query or "", _questions(coordinator))
        await job.answer(results)
        return _outcome(await job.carry_on(), job)
    if questions := _questions(coordinator):
        if record is not None:
            return _outcome(record, job)
        raise CannotContinue(
            f"Job {job.id} waits for an answer to {describe(questions)}. "
            "Give it with -i, as text for the first or as JSON {toolCallId, text}"
        )
    if coordinator.status == "stoppedByDelegate":
        raise CannotContinue(
            f"Job {job.id} is at its limit of {job.env.steps.limit} steps while delegates are at "
            "work. Raise --max-steps to carry it on"
        )
    if request.query is None:
        raise CannotContinue(
            f"Job {job.id} is at rest ({coordinator.status}). Give a query to go on with it"
        )
    await job.ask(definition, request.query, position_of(coordinator))
    return _outcome(await job.carry_on(), job)


def position_of(state: RunState) -> BaseRef:
    """The checkpoint at which a resting run stands."""
    return BaseRef(run_id=state.run_id, checkpoint_id=state.checkpoint_id)


def _questions(coordinator: RunState) -> tuple[ToolCall, ...]:
    waits = coordinator.status == "stoppedByInteractiveTool"
    return pending_questions(coordinator) if waits else ()


async def _fork(job: OpenJob, request: RunRequest, definition: Definition) -> None:
    """Begin a new run at an earlier checkpoint. What ran since stays as it is."""
    checkpoint_id = request.resume_from or ""
    base = await find_checkpoint(job.env.store, job.id, checkpoint_id)
    state = await state_at(job.env.store, job.id, base)
    if state.status == "stoppedByDelegate":
        raise CannotContinue(
            f"Checkpoint {checkpoint_id} waits for delegates; a run cannot begin there. "
            f"The nearest one before it: {await _closed_before(job, base)}"
        )
    questions = _questions(state)
    if request.interactive:
        await job.answer(results_of(request.query or "", questions), base)
    elif questions:
        raise CannotContinue(
            f"Checkpoint {checkpoint_id} waits for an answer to {describe(questions)}. "
            "Give it with -i"
        )
    elif request.query is None:
        raise UsageError("--resume-from needs a query: what the new run is to do from there")
    else:
        await job.ask(definition, request.query, base)


async def _closed_before(job: OpenJob, base: BaseRef) -> str:
    """The last checkpoint of the run that closed as a step before `base` did."""
    from perstack.kernel.apply import apply
    from perstack.kernel.state import blank
    from perstack.schema.event import StepContinued

    state = blank(job.id, base.run_id)
    nearest = "none in this run"
    async for fact in job.env.store.events(job.id, base.run_id):
        if isinstance(fact, StepContinued):
            nearest = state.checkpoint_id
        state = apply(state, fact)
        if state.checkpoint_id == base.checkpoint_id:
            break
    return nearest


def _coordinator(job: OpenJob, definition: Definition) -> RunState:
    """The run that is continued. Raises for a job without one, or of another Expert."""
    coordinator = job.coordinator
    if coordinator is None or coordinator.definition is None:
        raise CannotContinue(
            f"Job {job.id} was stopped before its first event. Start it again with its query"
        )
    if coordinator.definition.expert.name != definition.expert.name:
        raise UsageError(
            f"Job {job.id} is of the Expert {coordinator.expert_key}, "
            f"not of {definition.expert.key}. Name that Expert, or another job"
        )
    return coordinator


def _outcome(record: Job, job: OpenJob) -> Outcome:
    coordinator = job.coordinator
    if coordinator is None:
        raise CannotContinue(f"Job {job.id} has no run")
    return Outcome(record, coordinator)


async def _job_id(request: RunRequest, store: Store) -> str:
    if request.continue_latest:
        jobs = await store.jobs()
        if not jobs:
            raise NoSuchJob(
                f"There is no job to continue in {request.workspace}. "
                "Start one by leaving --continue out, or name another --workspace"
            )
        return jobs[0].id
    if request.continue_job is not None:
        if not await store.runs(request.continue_job):
            raise NoSuchJob(f"There is no job {request.continue_job} in {request.workspace}")
        return request.continue_job
    if request.job_id is not None and await store.get_job(request.job_id) is not None:
        raise UsageError(
            f"Job {request.job_id} exists already. Use --continue-job to go on with it"
        )
    return request.job_id or new_id()


def open_model(request: RunRequest, expert: Expert) -> tuple[Provider, str | None]:
    """The provider, and a notice where no AI model stands behind it.

    The demo player stands in for exactly the definitions it knows, and only where
    nothing says which model to use.

    Raises:
        ConfigurationError: no key is set, or the provider is not in this version.
    """
    from perstack.providers.table import open_provider

    if not _is_model_configured(request):
        from perstack.providers.demo import NOTICE, demo_for
        from perstack.schema.digest import digest

        demo = demo_for(digest(expert))
        if demo is not None:
            return demo, NOTICE
    provider = request.settings.provider
    try:
        return open_provider(provider, request.environ), None
    except ConfigurationError as problem:
        variable = KEY_VARIABLES.get(provider.provider_name)
        if variable is None or request.environ.get(variable):
            raise
        hint = 'To see a run without a key: perstack run tic-tac-toe "Let\'s play!"'
        raise ConfigurationError(f"{problem.message}\n{hint}") from None


def _is_model_configured(request: RunRequest) -> bool:
    return request.names_model or any(
        request.environ.get(variable) for variable in KEY_VARIABLES.values()
    )


def check_requirements(expert: Expert, request: RunRequest) -> None:
    """Every variable that a skill requires is there, before any model is asked.

    Raises:
        ConfigurationError: naming each skill and variable.
    """
    problems = tuple(
        f"skill {name} needs {variable}"
        for name, skill in expert.skills.items()
        if isinstance(skill, McpStdioSkill)
        for variable in skill.required_env
        if not request.environ.get(variable)
    )
    if problems:
        raise ConfigurationError(
            f"Variables that {expert.key} needs are not set. Export them, or put them in .env:",
            problems,
        )


def toolboxes(request: RunRequest) -> OpenToolbox:
    """How a run's tools are opened: the base tools, its delegates, and its questions."""

    def open_toolbox(
        definition: Definition, todos: Callable[[], tuple[Todo, ...]], *, may_ask: bool
    ) -> ToolSource:
        from perstack.base import BaseTools
        from perstack.skills.delegates import delegate_tools
        from perstack.skills.interactive import interactive_tools
        from perstack.skills.toolbox import Toolbox

        narrowed = definition.expert.skills.get(BASE_SKILL)
        pick, omit = (
            (narrowed.pick, narrowed.omit)
            if isinstance(narrowed, McpStdioSkill | McpSseSkill)
            else ((), ())
        )
        base = BaseTools(
            workspace=request.workspace,
            todos=todos,
            pick=pick,
            omit=omit,
            environ=request.environ,
        )
        questions = interactive_tools(definition.expert) if may_ask else ()
        return Toolbox([base], [*delegate_tools(definition), *questions])

    return open_toolbox


def unsupported_skills(expert: Expert) -> tuple[str, ...]:
    """Names of declared skills whose servers this version does not start."""
    return tuple(
        name
        for name, skill in expert.skills.items()
        if name != BASE_SKILL and not isinstance(skill, InteractiveSkill)
    )
