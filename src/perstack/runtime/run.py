"""Driving one run until it comes to rest."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias, assert_never

import anyio
import anyio.lowlevel

from perstack.errors import PerstackError, StorageError, cause_of, words_of
from perstack.kernel.command import (
    AnswerCall,
    CallDelegates,
    CallTools,
    Generate,
    StartStep,
    Write,
)
from perstack.kernel.plan import plan
from perstack.runtime.call_tool import answer_call, call_delegates, call_tools
from perstack.runtime.generate import generate
from perstack.schema.checkpoint import INTERRUPTED, RunError
from perstack.schema.event import (
    GenerationStarted,
    RunStoppedByError,
    RunStoppedByExceededMaxSteps,
    StepContinued,
)

if TYPE_CHECKING:
    from perstack.kernel.command import Command, Mark
    from perstack.kernel.state import RunState
    from perstack.runtime.hands import Hands
    from perstack.runtime.recorder import Recorder

MOST_AT_ONCE = 64
"""Calls of one reply that are made at the same time; the others wait for a place."""

OpenHands: TypeAlias = "Callable[[], Awaitable[Hands]]"
"""How a run comes by its tools. Asked when there is something to do."""


async def run_to_rest(recorder: Recorder, open_hands: OpenHands) -> RunState:
    """Perform what the run owes until it owes nothing, or the job is stopped.

    However it ends, the stretch ends with exactly one stop event, and what was
    recorded is durable. Only a store that fails raises.
    """
    env = recorder.env
    with env.stop.scope():
        try:
            await _drive(recorder, open_hands)
        except Exception as error:
            cause = cause_of(error)
            if isinstance(cause, StorageError):
                raise cause from error
            # What breaks because it was cut short is no reason to stop for good.
            if not env.stop.is_set and not recorder.state.is_at_rest:
                await recorder.record(RunStoppedByError(error=error_of(cause)))
    if env.stop.is_set and not recorder.state.is_at_rest:
        await recorder.record(RunStoppedByError(error=_interrupted()))
    await recorder.flush()
    return recorder.state


async def _drive(recorder: Recorder, open_hands: OpenHands) -> None:
    env = recorder.env
    hands: Hands | None = None
    while commands := plan(recorder.state, env.limits(recorder.depth)):
        if env.stop.is_set:
            await anyio.lowlevel.checkpoint()
        before = recorder.state.seq
        match commands:
            case (Write(fact=fact),):
                await _write(fact, recorder)
            case (StartStep(),):  # tools are opened for a step that is reserved, or not at all
                await _start_step(recorder)
            case _:
                hands = hands or await open_hands()
                await _perform_all(commands, recorder, hands)
        if recorder.state.seq == before:
            message = f"{type(commands[0]).__name__} recorded nothing"
            raise RuntimeError(message)


async def _perform_all(commands: tuple[Command, ...], recorder: Recorder, hands: Hands) -> None:
    """Do it all at once, but never more than `MOST_AT_ONCE`: a reply has no bounds."""
    if len(commands) == 1:
        await _perform(commands[0], recorder, hands)
        return
    places = anyio.Semaphore(MOST_AT_ONCE, fast_acquire=True)

    async def perform(command: Command) -> None:
        async with places:
            await _perform(command, recorder, hands)

    async with anyio.create_task_group() as tasks:
        for command in commands:
            tasks.start_soon(perform, command)


async def _perform(command: Command, recorder: Recorder, hands: Hands) -> None:
    """Do one thing the run owes. Records at least one event."""
    match command:
        case StartStep():
            await _start_step(recorder)
        case Generate():
            await generate(command, recorder, hands.look())
        case CallTools():
            await call_tools(command, recorder, hands)
        case AnswerCall():
            await answer_call(command, recorder)
        case CallDelegates():
            await call_delegates(command, recorder)
        case Write(fact=fact):
            await _write(fact, recorder)
        case _:
            assert_never(command)


async def _start_step(recorder: Recorder) -> None:
    reserved = recorder.env.steps.reserve()
    await recorder.record(GenerationStarted() if reserved else RunStoppedByExceededMaxSteps())


async def _write(fact: Mark, recorder: Recorder) -> None:
    await recorder.record(fact())
    if fact is StepContinued:
        await _end_step(recorder)


async def _end_step(recorder: Recorder) -> None:
    """A step is durable, and whoever embeds the run may stop it here."""
    await recorder.flush()
    should_continue = recorder.env.should_continue
    if should_continue is None:
        return
    answer = should_continue(recorder.state)
    if not (answer if isinstance(answer, bool) else await answer):
        recorder.env.stop.set("hook")


def _interrupted() -> RunError:
    return RunError(
        name=INTERRUPTED,
        message="The run was stopped from outside. It can be continued.",
        is_retryable=True,
    )


def error_of(error: BaseException) -> RunError:
    """What was raised, as the reason why a run cannot go on."""
    message = error.message if isinstance(error, PerstackError) else words_of(error)
    return RunError(name=type(error).__name__, message=message, is_retryable=False)
