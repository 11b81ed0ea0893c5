"""One job: its runs, moved one stretch at a time until none can move.

A run never waits. It comes to rest, and each time one does, the pure
`kernel.schedule` says which can move now.
"""

from __future__ import annotations

import math
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, assert_never

import anyio

from perstack.errors import PerstackError, UnknownExpert, UsageError, cause_of
from perstack.kernel.answers import check_answers
from perstack.kernel.schedule import (
    Drive,
    Move,
    Return,
    StartChild,
    coordinator_of,
    job_status,
    lineage,
    schedule,
    usage_of,
)
from perstack.kernel.state import RunState, blank, forked
from perstack.runtime.hands import Toolboxes, open_toolboxes
from perstack.runtime.recorder import Recorder
from perstack.runtime.replay import read_job, state_at
from perstack.runtime.run import error_of, run_to_rest
from perstack.runtime.start import changes_in, initialized, start_of
from perstack.schema.checkpoint import BaseRef, DelegatedBy, Job, JobStatus, RunError
from perstack.schema.event import RunStarted, RunStoppedByError
from perstack.schema.expert import Definition, Expert
from perstack.schema.message import Json
from perstack.schema.usage import NO_USAGE

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from anyio.streams.memory import MemoryObjectSendStream

    from perstack.runtime.environment import Environment
    from perstack.runtime.hands import Hands
    from perstack.schema.event import RuntimeEvent
    from perstack.schema.tool import ToolResult


MOST_AT_ONCE = 64
"""Runs that move at the same time; the others begin as these come to rest."""


@asynccontextmanager
async def open_job(job_id: str, env: Environment) -> AsyncGenerator[OpenJob]:
    """A job, claimed for this process and read back, until the block ends.

    Raises:
        JobInUse: another process works on it.
        CorruptLog: a log of it cannot be followed.
    """
    lease = await env.store.claim(job_id)
    try:
        states = await read_job(env.store, job_id)
        env.steps.taken = sum(state.steps_taken for state in states.values())
        async with open_toolboxes() as toolboxes:
            opened = OpenJob(job_id, env, states, toolboxes)
            await opened.refresh_record()
            yield opened
    finally:
        with anyio.CancelScope(shield=True):
            await lease.release()


class OpenJob:
    """A job in this process's hands.

    `states` holds every run, in the order they began, each as it last came to rest.
    """

    def __init__(
        self,
        job_id: str,
        env: Environment,
        states: dict[str, RunState],
        toolboxes: Toolboxes,
    ) -> None:
        self.id = job_id
        self.env = env
        self.states = states
        self.started_at = 0
        self._toolboxes = toolboxes
        self._recorders: dict[str, Recorder] = {}
        self._moving: set[str] = set()

    @property
    def coordinator(self) -> RunState | None:
        """The run that nobody delegated and that began last."""
        return coordinator_of(self.states)

    @property
    def can_move(self) -> bool:
        """Whether some run has not come to rest, or can go on."""
        return bool(schedule(self.states, self.env.steps.left))

    async def refresh_record(self) -> None:
        """Bring the job's record in line with its logs, which a crash may have left behind."""
        known = await self.env.store.get_job(self.id)
        self.started_at = known.started_at if known else self.env.now_ms()
        status = job_status(self.states)
        if self.states and (known is None or known.status != status):
            await self._put_job(status)

    async def ask(self, definition: Definition, query: str, base: BaseRef | None = None) -> None:
        """Begin a run of the coordinator with `query`, on `base` where one is given.

        It is recorded and at its start; `carry_on` moves it.
        """
        state = blank(self.id, self.env.new_id())
        changes: tuple[str, ...] = ()
        if base is not None:
            origin = await self._at(base)
            state = forked(origin, self.id, state.run_id)
            changes = changes_in(origin.definition, definition)
        recorder = await self._open_run(state)
        await recorder.note(initialized(self.env, definition, query=query))
        start = start_of(definition, query, recorder.env.new_id())
        await recorder.record(
            RunStarted(
                id=start.id,
                definition=definition,
                input_messages=start.input_messages,
                base=base,
                step_number=state.step_number + 1,
                changes=changes,
                context_window=self.env.context_window,
            )
        )
        self.states[state.run_id] = recorder.state

    async def answer(self, results: tuple[ToolResult, ...], base: BaseRef | None = None) -> None:
        """Give a resting run the answers of a person; with `base`, in a run forked from there.

        It is recorded; `carry_on` moves it.
        """
        if base is not None:
            origin = await self._at(base)
            state = forked(origin, self.id, self.env.new_id())
            definition = origin.definition
        else:
            coordinator = self.coordinator
            if coordinator is None:
                message = f"Job {self.id} has no run that could be answered"
                raise UsageError(message)
            origin, state, definition = coordinator, coordinator, None
        check_answers(origin, results)
        first = results[0]
        given: Json = {
            "toolName": first.tool_name,
            "toolCallId": first.id,
            "text": first.text,
        }
        known = state.definition
        recorder = await self._open_run(state)
        if known is not None:
            await recorder.note(initialized(self.env, known, interactive=given))
        await recorder.record(
            RunStarted(
                definition=definition,
                base=base,
                tool_results=results,
                step_number=state.step_number + 1,
                context_window=self.env.context_window,
            )
        )
        self.states[state.run_id] = recorder.state

    async def _at(self, position: BaseRef) -> RunState:
        """A run of this job where one of its checkpoints closes."""
        now = self.states.get(position.run_id)
        if now is not None and now.checkpoint_id == position.checkpoint_id and now.is_at_rest:
            return now  # it stands there: a log of many continuations is not read once more
        return await state_at(self.env.store, self.id, position)

    async def note_continuation(self) -> None:
        """Write down what an interrupted job is carried on with."""
        coordinator = self.coordinator
        if coordinator is None or coordinator.definition is None:
            return
        recorder = await self._open_run(coordinator)
        await recorder.note(initialized(self.env, coordinator.definition))
        self.states[coordinator.run_id] = recorder.state

    async def carry_on(self) -> Job:
        """Move every run that can move, until none can or the job is stopped."""
        moving = self._moving
        moving.clear()
        await self._put_job("running")
        send, receive = anyio.create_memory_object_stream[str](math.inf)
        try:
            async with send, receive, anyio.create_task_group() as tasks:
                while (moves := self._moves(moving)) is not None:
                    for move in moves:
                        moving.add(_run_of(move))
                        tasks.start_soon(self._make, move, send)
                    moving.discard(await receive.receive())
        except ExceptionGroup as group:
            raise cause_of(group) from group
        status = job_status(self.states)
        return await self._put_job("stoppedByError" if status == "running" else status)

    def _moves(self, moving: set[str]) -> tuple[Move, ...] | None:
        """What can begin to move beside what moves already; None when the job is at rest.

        A job that is being stopped still closes the stretch of every run that has one open.
        """
        moves = schedule(self.states, self.env.steps.left)
        if self.env.stop.is_set:
            moves = tuple(move for move in moves if self._has_open_stretch(move))
        fresh = tuple(move for move in moves if _run_of(move) not in moving)
        return fresh[: MOST_AT_ONCE - len(moving)] if fresh or moving else None

    def _has_open_stretch(self, move: Move) -> bool:
        return isinstance(move, Drive) and self.states[move.run_id].status == "proceeding"

    async def _make(self, move: Move, done: MemoryObjectSendStream[str]) -> None:
        """One stretch of one run."""
        match move:
            case Drive():
                recorder = await self._open_run(self.states[move.run_id])
            case StartChild():
                recorder = await self._start_child(move)
            case Return():
                recorder = await self._open_run(self.states[move.run_id])
                await recorder.record(
                    RunStarted(
                        step_number=move.step_number,
                        tool_results=move.results,
                        delegate_usage=move.usage if move.usage != NO_USAGE else NO_USAGE,
                        context_window=self.env.context_window,
                    )
                )
            case _:
                assert_never(move)
        run_id = recorder.state.run_id
        self.states[run_id] = recorder.state
        try:
            await run_to_rest(recorder, lambda: self._hands_of(recorder))
        finally:
            self.states[run_id] = recorder.state
        if recorder.state.phase == "done":
            self._toolboxes.let_go(run_id)
        else:
            self._toolboxes.rest(run_id)
        done.send_nowait(run_id)

    async def _start_child(self, move: StartChild) -> Recorder:
        """The first fact of a delegate's run. One that cannot be resolved stops at once."""
        parent = self.states[move.parent_run_id]
        child = move.child
        error: RunError | None = None
        try:
            definition = await self.env.resolve(child.expert.key)
        except PerstackError as problem:
            expert = Expert(key=child.expert.key, name=child.expert.name, instruction="")
            definition = Definition(expert=expert)  # no instruction: it cannot be driven
            error = error_of(problem)
        call = next(call for call in parent.turn.calls if call.id == child.tool_call_id)
        recorder = await self._open_run(blank(self.id, child.run_id), parent)
        start = start_of(definition, move.query, self.env.new_id())
        await recorder.record(
            RunStarted(
                id=start.id,
                definition=definition,
                input_messages=start.input_messages,
                delegated_by=DelegatedBy(
                    expert=parent.definition.expert.ref if parent.definition else child.expert,
                    tool_call_id=call.id,
                    tool_name=call.tool_name,
                    checkpoint_id=parent.checkpoint_id,
                    run_id=parent.run_id,
                ),
                step_number=parent.step_number + 1,
                context_window=self.env.context_window,
            )
        )
        if error is not None:
            await recorder.record(RunStoppedByError(error=error))
        return recorder

    async def _open_run(self, state: RunState, parent: RunState | None = None) -> Recorder:
        await self.env.store.open_run(self.id, state.run_id, self.env.settings)
        depth = self._depth(parent) + 1 if parent else self._depth(state)
        # One for all stretches: between them, its skills may add to the log.
        recorder = self._recorders.get(state.run_id) or Recorder(state, self.env, depth=depth)
        self._recorders[state.run_id] = recorder
        return recorder

    async def _note(self, run_id: str, event: RuntimeEvent) -> None:
        """Write down what happened to a run's tools, also while it rests."""
        recorder = self._recorders[run_id]
        await recorder.note(event)
        if run_id not in self._moving:
            self.states[run_id] = recorder.state

    def _depth(self, state: RunState) -> int:
        """How many delegations lie between a run and its coordinator."""
        by = state.delegated_by
        return len(lineage(by.run_id, self.states)) if by is not None else 0

    async def _hands_of(self, recorder: Recorder) -> Hands:
        """The run's tools, which stay up while it rests and comes back."""
        state = recorder.state
        run_id, definition = state.run_id, state.definition
        if definition is None or not definition.expert.instruction:
            # Its process ended before it could write down why it cannot run.
            message = f"the Expert {state.expert_key} could not be found when its run was started"
            raise UnknownExpert(message)
        return await self._toolboxes.of(
            run_id,
            lambda admit: self.env.open_toolbox(
                definition,
                lambda: self._recorders[run_id].state,
                note=lambda event: self._note(run_id, event),
                admit=admit,
                may_ask=state.delegated_by is None,
            ),
        )

    async def _put_job(self, status: JobStatus) -> Job:
        """Keep the job's record up to date. It is a cache: the logs win."""
        coordinator = self.coordinator
        job = Job(
            id=self.id,
            status=status,
            coordinator_expert_key=coordinator.expert_key if coordinator else "",
            total_steps=self.env.steps.taken,
            max_steps=self.env.steps.limit,
            usage=usage_of(self.states),
            started_at=self.started_at,
            finished_at=None if status == "running" else self.env.now_ms(),
        )
        await self.env.store.put_job(job)
        return job


def _run_of(move: Move) -> str:
    return move.child.run_id if isinstance(move, StartChild) else move.run_id
