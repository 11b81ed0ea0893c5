"""What lean and full lines add to stored ones: for each event, declared once.

The schema of the events is made from these declarations, and the lines from
their instances.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from perstack.kernel.apply import is_completion
from perstack.kernel.plan import pending_questions, sort_calls
from perstack.kernel.snapshot import checkpoint_of, step_of
from perstack.kernel.state import RunState
from perstack.schema.base import Data
from perstack.schema.checkpoint import Checkpoint, CheckpointStatus, Step
from perstack.schema.event import (
    AllToolCallsFinished,
    CompletionAttempted,
    DelegatesCalled,
    Fact,
    GenerationStarted,
    InteractiveToolCalled,
    Retried,
    RunCompleted,
    RunStarted,
    RunStoppedByDelegate,
    RunStoppedByError,
    RunStoppedByExceededMaxSteps,
    RunStoppedByInteractiveTool,
    SkillStarting,
    StepContinued,
    ToolCallFinished,
    ToolCallsResumed,
    ToolResultsResolved,
    ToolsCalled,
)
from perstack.schema.message import ExpertMessage, Message
from perstack.schema.tool import ToolCall, ToolResult
from perstack.schema.usage import NO_USAGE, Usage

Messages: TypeAlias = tuple[Message, ...]
MessagesOf: TypeAlias = Callable[[RunState], Messages]
"""A run's whole conversation, as a form shows it."""


class Added(Data, kw_only=True):
    """Fields that a stored line has not. Unset are those that it has when they say something."""


class AddedToRunStarted(Added, kw_only=True):
    """`startRun`."""

    initial_checkpoint: Checkpoint
    input_messages: Messages | UnsetType = UNSET


class AddedToGenerationStarted(Added, kw_only=True):
    """`startGeneration`. In full only."""

    messages: Messages | UnsetType = UNSET


class AddedToToolsCalled(Added, kw_only=True):
    """`callTools`."""

    tool_calls: tuple[ToolCall, ...]


class AddedToToolResultsResolved(Added, kw_only=True):
    """`resolveToolResults`."""

    tool_results: tuple[ToolResult, ...]


class AddedToCompletionAttempted(Added, kw_only=True):
    """`attemptCompletion`."""

    tool_result: ToolResult


class AddedToToolCallsFinished(Added, kw_only=True):
    """`finishToolCall`, `finishAllToolCalls`."""

    new_messages: Messages


class AddedToToolCallsResumed(Added, kw_only=True):
    """`resumeToolCalls`."""

    pending_tool_calls: tuple[ToolCall, ...]
    partial_tool_results: tuple[ToolResult, ...]


class AddedToDelegatesCalled(Added, kw_only=True):
    """`callDelegate`. The usage is the one that `callTools` counted."""

    new_message: ExpertMessage
    tool_calls: tuple[ToolCall, ...]
    usage: Usage


class AddedToInteractiveToolCalled(Added, kw_only=True):
    """`callInteractiveTool`. The usage is the one that `callTools` counted."""

    new_message: ExpertMessage
    tool_call: ToolCall
    usage: Usage


class AddedToStepContinued(Added, kw_only=True):
    """`continueToNextStep`."""

    checkpoint: Checkpoint
    step: Step
    next_checkpoint: Checkpoint


class AddedToRetried(Added, kw_only=True):
    """`retry`."""

    new_messages: Messages | UnsetType = UNSET
    usage: Usage | UnsetType = UNSET


class AddedToRunCompleted(Added, kw_only=True):
    """`completeRun`."""

    checkpoint: Checkpoint
    step: Step
    text: str
    usage: Usage | UnsetType = UNSET


class AddedToStop(Added, kw_only=True):
    """The other events that stop a run."""

    checkpoint: Checkpoint
    step: Step


class AddedToSkillStarting(Added, kw_only=True):
    """`skillStarting`."""

    args: tuple[str, ...] | UnsetType = UNSET


ADDED: Mapping[type[Fact], type[Added]] = {
    RunStarted: AddedToRunStarted,
    GenerationStarted: AddedToGenerationStarted,
    ToolsCalled: AddedToToolsCalled,
    ToolResultsResolved: AddedToToolResultsResolved,
    CompletionAttempted: AddedToCompletionAttempted,
    ToolCallFinished: AddedToToolCallsFinished,
    AllToolCallsFinished: AddedToToolCallsFinished,
    ToolCallsResumed: AddedToToolCallsResumed,
    DelegatesCalled: AddedToDelegatesCalled,
    InteractiveToolCalled: AddedToInteractiveToolCalled,
    StepContinued: AddedToStepContinued,
    Retried: AddedToRetried,
    RunCompleted: AddedToRunCompleted,
    RunStoppedByDelegate: AddedToStop,
    RunStoppedByInteractiveTool: AddedToStop,
    RunStoppedByExceededMaxSteps: AddedToStop,
    RunStoppedByError: AddedToStop,
    SkillStarting: AddedToSkillStarting,
}
"""Which declaration belongs to which event; to the others nothing is added."""


def added_to(  # noqa: C901 - one arm a fact
    fact: Fact, before: RunState, after: RunState, messages_of: MessagesOf | None = None
) -> Added | None:
    """What the log says about `fact` beyond its own line.

    With `messages_of`, whole conversations are part of it.
    """

    def checkpoint(state: RunState, status: CheckpointStatus | None = None) -> Checkpoint:
        made = checkpoint_of(state, status=status)
        return made if messages_of is None else with_messages(made, messages_of(state))

    match fact:
        case RunStarted():
            status = "init" if fact.definition is not None else "proceeding"
            return AddedToRunStarted(
                initial_checkpoint=checkpoint(after, status),
                input_messages=UNSET if fact.input_messages else (),
            )
        case GenerationStarted():
            return AddedToGenerationStarted(messages=messages_of(after) if messages_of else UNSET)
        case ToolsCalled():
            return AddedToToolsCalled(tool_calls=fact.tool_calls)
        case ToolResultsResolved():
            return AddedToToolResultsResolved(tool_results=after.turn.answers)
        case CompletionAttempted():
            return AddedToCompletionAttempted(tool_result=_completion_result(after))
        case ToolCallFinished() | AllToolCallsFinished():
            return AddedToToolCallsFinished(new_messages=after.messages[-1:])
        case ToolCallsResumed():
            return AddedToToolCallsResumed(
                pending_tool_calls=after.turn.unanswered, partial_tool_results=after.turn.answers
            )
        case DelegatesCalled():
            return AddedToDelegatesCalled(
                new_message=_reply_of(after),
                tool_calls=_delegate_calls(fact, after),
                usage=after.turn.usage,
            )
        case InteractiveToolCalled():
            return AddedToInteractiveToolCalled(
                new_message=_reply_of(after),
                tool_call=pending_questions(after)[0],
                usage=after.turn.usage,
            )
        case StepContinued():
            return AddedToStepContinued(
                checkpoint=checkpoint(before),
                step=step_of(before, fact.timestamp),
                next_checkpoint=checkpoint(after),
            )
        case RunCompleted():
            return AddedToRunCompleted(
                checkpoint=checkpoint(after),
                step=step_of(after, fact.timestamp),
                text=after.text,
                usage=_missing(fact.usage),
            )
        case (
            RunStoppedByDelegate()
            | RunStoppedByInteractiveTool()
            | RunStoppedByExceededMaxSteps()
            | RunStoppedByError()
        ):
            return AddedToStop(checkpoint=checkpoint(after), step=step_of(after, fact.timestamp))
        case Retried():
            return AddedToRetried(
                new_messages=UNSET if fact.new_messages else (), usage=_missing(fact.usage)
            )
        case SkillStarting():
            return AddedToSkillStarting(args=UNSET if fact.args else ())
        case _:
            return None


def with_messages(checkpoint: Checkpoint, messages: Messages) -> Checkpoint:
    """The same checkpoint, with its conversation."""
    return replace(checkpoint, messages=messages)


def _missing(usage: Usage) -> Usage | UnsetType:
    """The usage, where the stored line leaves it out: there it is the default itself."""
    return usage if usage is NO_USAGE else UNSET


def _delegate_calls(fact: DelegatesCalled, state: RunState) -> tuple[ToolCall, ...]:
    """The calls that delegates were named for."""
    named = {child.tool_call_id for child in fact.children}
    return tuple(call for call in sort_calls(state).delegates if call.id in named)


def _reply_of(state: RunState) -> ExpertMessage:
    """The reply whose calls are being answered.

    Raises:
        ValueError: there is none.
    """
    for message in reversed(state.messages[-2:]):
        if isinstance(message, ExpertMessage):
            return message
    raise ValueError(f"run {state.run_id} has no reply at event {state.seq}")


def _completion_result(state: RunState) -> ToolResult:
    completion = next(call for call in state.turn.calls if is_completion(call))
    return state.turn.results[completion.id]
