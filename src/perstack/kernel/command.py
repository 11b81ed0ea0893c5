"""What a run owes the world: the commands `plan` gives and the runtime performs."""

from __future__ import annotations

from typing import TypeAlias

from perstack.schema.base import Data
from perstack.schema.event import (
    AllToolCallsFinished,
    CompletionAttempted,
    InteractiveToolCalled,
    RunCompleted,
    RunStoppedByDelegate,
    RunStoppedByExceededMaxSteps,
    RunStoppedByInteractiveTool,
    StepContinued,
    ToolCallFinished,
    ToolCallsResumed,
    ToolResultsResolved,
)
from perstack.schema.tool import ToolCall

Mark: TypeAlias = (
    type[ToolResultsResolved]
    | type[ToolCallFinished]
    | type[AllToolCallsFinished]
    | type[ToolCallsResumed]
    | type[CompletionAttempted]
    | type[InteractiveToolCalled]
    | type[StepContinued]
    | type[RunCompleted]
    | type[RunStoppedByDelegate]
    | type[RunStoppedByInteractiveTool]
    | type[RunStoppedByExceededMaxSteps]
)
"""Facts that follow from the state alone and need nothing but to be written down."""


class Limits(Data, kw_only=True):
    """What a run may still do, decided outside its own log.

    `steps_left` is the job's; `depth_left` is how many generations of delegates may
    still come below this run; `width` is how many delegates one reply may ask.
    """

    steps_left: int = 2**31
    depth_left: int = 8
    width: int = 32


class StartStep(Data, kw_only=True):
    """Reserve one of the job's steps and begin it, or stop at the limit."""


class Generate(Data, kw_only=True):
    """Ask the model in `wait_ms`; for the result alone where `is_final`."""

    wait_ms: int = 0
    is_final: bool = False


class CallTools(Data, kw_only=True):
    """Make these calls, one after the other. Several of these commands run at once."""

    calls: tuple[ToolCall, ...]


class AnswerCall(Data, kw_only=True):
    """Answer a call without making it."""

    call: ToolCall
    text: str
    is_error: bool = False


class CallDelegates(Data, kw_only=True):
    """Name a run for each of these calls' delegates."""

    calls: tuple[ToolCall, ...]


class Write(Data, kw_only=True):
    """Write down a fact that follows from the state."""

    fact: Mark


Command: TypeAlias = StartStep | Generate | CallTools | AnswerCall | CallDelegates | Write
