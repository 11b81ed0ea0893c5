"""What a person answers to interactive calls: text in, tool results out."""

from __future__ import annotations

import msgspec

from perstack.errors import CannotContinue
from perstack.kernel.apply import result_of
from perstack.kernel.plan import pending_questions
from perstack.kernel.state import RunState
from perstack.schema.tool import ToolCall, ToolResult


class _Answer(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    tool_call_id: str
    text: str


_decode_one = msgspec.json.Decoder(_Answer).decode
_decode_many = msgspec.json.Decoder(list[_Answer]).decode


def results_of(text: str, pending: tuple[ToolCall, ...]) -> tuple[ToolResult, ...]:
    """The results that `text` gives to some of the `pending` calls.

    One JSON object `{toolCallId, text}` or an array of them answers the calls it
    names; any other text is the answer to the first.

    Raises:
        CannotContinue: no call is pending, or a named one is not.
    """
    if not pending:
        raise CannotContinue("Nothing waits for an answer here: leave -i out to send a query")
    named = _named_answers(text)
    if named is None:
        return (result_of(pending[0], text),)
    calls = {call.id: call for call in pending}
    if len({answer.tool_call_id for answer in named}) < len(named):
        raise CannotContinue("-i answers one call twice")
    for answer in named:
        if answer.tool_call_id not in calls:
            raise CannotContinue(
                f"No call {answer.tool_call_id!a} waits for an answer. Waiting: {describe(pending)}"
            )
    return tuple(result_of(calls[answer.tool_call_id], answer.text) for answer in named)


def questions_of(state: RunState) -> tuple[ToolCall, ...]:
    """The interactive calls at which the run rests until a person answers."""
    return pending_questions(state) if state.status == "stoppedByInteractiveTool" else ()


def check_answers(state: RunState, results: tuple[ToolResult, ...]) -> None:
    """Refuse answers to what is not asked: they would move a run that waits for nothing.

    Raises:
        CannotContinue: there is no answer, or one is to a call that waits for none.
    """
    asked = {call.id for call in questions_of(state)}
    if not results:
        raise CannotContinue(f"Run {state.run_id} was given no answer")
    for result in results:
        if result.id not in asked:
            raise CannotContinue(f"No call {result.id!a} of run {state.run_id} waits for an answer")


def describe(pending: tuple[ToolCall, ...]) -> str:
    """The calls by tool name and id, in one line."""
    return ", ".join(f"{call.tool_name} ({call.id})" for call in pending)


def _named_answers(text: str) -> list[_Answer] | None:
    stripped = text.strip()
    try:
        if stripped.startswith("{"):
            return [_decode_one(stripped)]
        if stripped.startswith("["):
            return _decode_many(stripped) or None
    except (msgspec.MsgspecError, RecursionError):
        if "toolCallId" in stripped:
            raise CannotContinue(
                "-i takes text, or JSON as {toolCallId, text} or an array of that, both being text"
            ) from None
    return None
