"""What a request does to a job: begin it, carry it on, answer it, fork it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perstack.assembly.outcome import Outcome
from perstack.errors import CannotContinue, NoSuchJob, UsageError
from perstack.kernel.answers import describe, questions_of, results_of
from perstack.runtime.environment import new_id
from perstack.runtime.replay import find_checkpoint, state_at
from perstack.schema.checkpoint import BaseRef, Job
from perstack.views.plain import counted

if TYPE_CHECKING:
    from perstack.config.request import RunRequest
    from perstack.kernel.state import RunState
    from perstack.runtime.job import OpenJob
    from perstack.schema.expert import Definition
    from perstack.storage import Store


async def play(job: OpenJob, request: RunRequest, definition: Definition) -> Outcome:
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
        results = results_of(request.query or "", questions_of(coordinator))
        await job.answer(results)
        return _outcome(await job.carry_on(), job)
    if questions := questions_of(coordinator):
        if record is not None:
            return _outcome(record, job)
        raise CannotContinue(
            f"Job {job.id} waits for an answer to {describe(questions)}. "
            "Give it with -i, as text for the first or as JSON {toolCallId, text}"
        )
    if coordinator.status == "stoppedByDelegate":
        raise CannotContinue(
            f"Job {job.id} is at its limit of {counted(job.env.steps.limit or 0, 'step')} while "
            "delegates are at work. Raise --max-steps to carry it on"
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


async def _fork(job: OpenJob, request: RunRequest, definition: Definition) -> None:
    """Begin a new run at an earlier checkpoint. What ran since stays as it is."""
    checkpoint_id = request.resume_from or ""
    base = await find_checkpoint(job.env.store, job.id, checkpoint_id)
    state = await state_at(job.env.store, job.id, base)
    if state.delegated_by is not None:
        raise CannotContinue(
            f"Checkpoint {checkpoint_id} is of a delegate's run ({state.expert_key}), whose "
            "context is its own. Name one of the coordinator's checkpoints"
        )
    if state.status == "stoppedByDelegate":
        raise CannotContinue(
            f"Checkpoint {checkpoint_id} waits for delegates; a run cannot begin there. "
            f"The nearest one before it: {await _closed_before(job, base)}"
        )
    questions = questions_of(state)
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


async def step_limit_of(job_id: str, request: RunRequest, store: Store) -> int:
    """How many steps the job may take: what an option says, else what it was begun with."""
    if request.is_continuation and not request.gives_max_steps:
        known = await store.get_job(job_id)
        if known is not None and known.max_steps is not None:
            return known.max_steps
    return request.settings.max_steps


async def job_id_of(request: RunRequest, store: Store) -> str:
    """The job that the request begins or goes on with.

    Raises:
        NoSuchJob: there is none to go on with.
        UsageError: the one to begin exists.
    """
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
