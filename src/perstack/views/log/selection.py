"""Which events are meant: predicates on a line and its head."""

from __future__ import annotations

from typing import get_args

import msgspec

from perstack.schema.event import Fact
from perstack.schema.head import Head, Something
from perstack.schema.tool import DELEGATE_SKILL
from perstack.views.log.steps import Steps

EVENT_TYPES: dict[str, type[Fact]] = {
    str(kind.__struct_config__.tag): kind for kind in get_args(Fact)
}
"""Wire name to event, of everything that stands in a log."""

BOOKKEEPING = frozenset(
    {
        "startGeneration",
        "startToolCall",
        "resolveToolResults",
        "finishToolCall",
        "finishAllToolCalls",
        "resumeToolCalls",
        "continueToNextStep",
        "attemptCompletion",
        "stopRunByDelegate",
        "skillStarting",
    }
)
"""Events that tell a person nothing that those around them do not."""

TOOL_EVENTS = frozenset(
    {
        "callTools",
        "startToolCall",
        "completeToolCall",
        "resolveToolResults",
        "attemptCompletion",
        "finishToolCall",
        "finishAllToolCalls",
        "resumeToolCalls",
        "callInteractiveTool",
    }
)
ERROR_EVENTS = frozenset({"stopRunByError", "stopRunByExceededMaxSteps", "retry"})
DELEGATION_EVENTS = frozenset({"callDelegate", "stopRunByDelegate"})


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """What an event must be, all of it at once. `step` leaves runtime events out."""

    types: frozenset[str] = frozenset()
    step: Steps | None = None
    errors: bool = False
    tools: bool = False
    delegations: bool = False

    def matches(self, head: Head, line: bytes) -> bool:
        """Whether the event of `line` is meant."""
        return (
            (not self.types or head.type in self.types)
            and (self.step is None or head.step_number in self.step)
            and (not self.errors or is_trouble(head, line))
            and (not self.tools or head.type in TOOL_EVENTS)
            and (not self.delegations or is_delegation(head, line))
        )


class _Outcome(msgspec.Struct, frozen=True, rename="camel"):
    is_error: bool = False


class _Trouble(msgspec.Struct, rename="camel"):
    """Where an event says that something failed."""

    tool_result: _Outcome = _Outcome()
    tools_lost: bool = False
    reason: str | None = None


class _Answer(msgspec.Struct, rename="camel"):
    skill_name: str = ""


class _Delegation(msgspec.Struct, rename="camel"):
    delegated_by: Something | None = None
    tool_results: tuple[_Answer, ...] = ()


_decode_trouble = msgspec.json.Decoder(_Trouble).decode
_decode_delegation = msgspec.json.Decoder(_Delegation).decode


def is_trouble(head: Head, line: bytes) -> bool:
    """Whether it tells of something that failed: a run, a reply, a call, a skill's server."""
    if head.type == "completeToolCall":
        return _said(line).tool_result.is_error
    if head.type == "skillDisconnected":
        said = _said(line)
        return said.tools_lost or said.reason is not None
    return head.type in ERROR_EVENTS


def _said(line: bytes) -> _Trouble:
    try:
        return _decode_trouble(line)
    except (ValueError, RecursionError):
        return _Trouble()  # it is shown to be no event where it is looked at as a whole


def is_delegation(head: Head, line: bytes) -> bool:
    """Whether an Expert asks another, begins for another, or has its answer."""
    if head.type != "startRun":
        return head.type in DELEGATION_EVENTS
    try:
        said = _decode_delegation(line)
    except (ValueError, RecursionError):
        return False
    return said.delegated_by is not None or any(
        answer.skill_name == DELEGATE_SKILL for answer in said.tool_results
    )


def is_shown(head: Head) -> bool:
    """Whether a person sees it without having asked for everything."""
    return head.type not in BOOKKEEPING
