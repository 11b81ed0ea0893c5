"""What a tool call and its answer tell: one activity. Whatever they hold, there is one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast, get_args

import msgspec

from perstack.schema.message import FileInlinePart, ImageInlinePart, Json
from perstack.schema.tool import BASE_SKILL, Todo, ToolCall, ToolResult
from perstack.views.activity_kinds import (
    ActivityHeader,
    BaseToolActivity,
    GeneralToolActivity,
    ReadImageFileActivity,
    ReadPdfFileActivity,
    TodoActivity,
    ToolActivity,
)

BASE_TOOLS: dict[str, type[ToolActivity]] = {
    cast("str", kind.__struct_config__.tag): kind for kind in get_args(BaseToolActivity)
}
"""The kind of activity of each base tool, by the tool's name."""

_FROM_ANSWER = frozenset({"remainingTodos", "output", "stdout", "stderr", "content", "items"})
_FROM_EITHER = frozenset({"from", "to"})
_MADE = frozenset({"error", "info", "todos", "mimeType", "size"})
_HEADER = frozenset(ActivityHeader.__struct_encode_fields__)
_decode = msgspec.json.Decoder(dict[str, object]).decode


def activity_of_call(
    call: ToolCall, result: ToolResult, todos: Sequence[Todo] = ()
) -> BaseToolActivity | GeneralToolActivity:
    """The activity of an answered call. `todos` is the run's list after it."""
    kind = BASE_TOOLS.get(call.tool_name) if call.skill_name == BASE_SKILL else None
    if kind is not None:
        answer = _json_of(result)
        asked = {
            name: value
            for name, value in call.args.items()
            if value is not None and name not in _FROM_ANSWER | _MADE
        }
        told = _answered(kind, answer, result, todos)
        for fields in (asked | told, asked | _only(told, "error", "todos")):
            if (activity := _made(kind, fields)) is not None:
                return activity
    return GeneralToolActivity(
        skill_name=call.skill_name,
        tool_name=call.tool_name,
        args=call.args,
        result=None if result.is_error else result.result,
        error=error_of(result) if result.is_error else None,
    )


def error_of(result: ToolResult) -> str:
    """Why a call failed, in its own words."""
    answer = _json_of(result)
    for name in ("message", "error"):
        if isinstance(text := answer.get(name), str) and text:
            return text
    return result.text or "It failed without a word."


def _made(kind: type[ToolActivity], fields: Json) -> BaseToolActivity | None:
    """An activity of these fields, or None where they do not fit its kind."""
    known = set(kind.__struct_encode_fields__) - _HEADER
    try:
        made = msgspec.convert({name: fields[name] for name in known & set(fields)}, kind)
    except (msgspec.ValidationError, ValueError, RecursionError):
        return None
    return cast("BaseToolActivity", made)


def _answered(
    kind: type[ToolActivity], answer: Json, result: ToolResult, todos: Sequence[Todo]
) -> Json:
    """The fields that the answer gives."""
    told: Json = {name: answer[name] for name in (_FROM_ANSWER | _FROM_EITHER) & set(answer)}
    if result.is_error:
        told["error"] = error_of(result)
    elif "info" in kind.__struct_fields__:
        told["info"] = answer
    elif kind in (ReadImageFileActivity, ReadPdfFileActivity):
        told |= _media(result)
    elif kind.__struct_config__.tag == "attemptCompletion" and not answer and result.text != "{}":
        told["error"] = result.text
    if kind is TodoActivity:
        told["todos"] = msgspec.to_builtins(todos)
    return told


def _media(result: ToolResult) -> Json:
    for part in result.result:
        if isinstance(part, (ImageInlinePart, FileInlinePart)):
            data = part.encoded_data
            padding = len(data) - len(data.rstrip("="))
            return {"mimeType": part.mime_type, "size": len(data) * 3 // 4 - padding}
    return {}


def _only(fields: Json, *names: str) -> Json:
    return {name: fields[name] for name in names if name in fields}


def _json_of(result: ToolResult) -> Json:
    try:
        return _decode(result.text)
    except (ValueError, RecursionError):
        return {}
