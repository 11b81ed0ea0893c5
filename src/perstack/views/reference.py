"""The reference implementation's exact shape of our data: the same, without what is ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias, TypeGuard, cast

import msgspec
from msgspec.structs import replace

from perstack.kernel.state import RunState
from perstack.schema.base import Data
from perstack.schema.checkpoint import DelegateTo
from perstack.schema.event import (
    DelegatesCalled,
    Fact,
    Recorded,
    Retried,
    RunCompleted,
    RunStarted,
    RuntimeInitialized,
    SkillDisconnected,
    SkillReported,
    ToolCallCompleted,
    ToolCallStarted,
    ToolsCalled,
)
from perstack.schema.line import json_line
from perstack.schema.message import Message, ThinkingPart
from perstack.schema.tool import ToolCall, ToolResult
from perstack.schema.usage import Usage

Fields: TypeAlias = dict[str, object]

OURS: Mapping[type[Data], tuple[str, ...]] = {
    RunStarted: (
        "definition",
        "base",
        "delegatedBy",
        "toolResults",
        "delegateUsage",
        "changes",
        "contextWindow",
    ),
    ToolsCalled: ("routes", "problems", "contextWindow"),
    DelegatesCalled: ("children",),
    Retried: ("cause", "waitMs"),
    RunCompleted: ("newMessage", "contextWindow"),
    RuntimeInitialized: ("notice", "provider", "providerAddress"),
    Usage: ("cacheWriteInputTokens",),
    SkillDisconnected: ("reason", "toolsLost"),
    ThinkingPart: ("redacted",),
    ToolCall: ("problem",),
    ToolResult: ("isError",),
    DelegateTo: ("runId",),
}
"""Fields that the reference's shape does not have, by their wire names."""

OURS_OF_EVENTS = ("seq",)
"""Fields of every recorded event that the reference's shape does not have."""

OUR_EVENTS: tuple[type[Fact], ...] = (ToolCallStarted, ToolCallCompleted, SkillReported)
"""Events that the reference does not have."""

_shallow = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def ours_of(kind: type[Data]) -> tuple[str, ...]:
    """The fields of `kind` that are ours."""
    named = OURS.get(kind, ())
    return (*OURS_OF_EVENTS, *named) if issubclass(kind, Recorded) else named


def reference_fields(value: Data) -> Fields:
    """The fields of `value`, ready to be encoded, without ours at any depth.

    Arguments of tools and other free JSON are nobody's shape and stay as they are.
    """
    encoded = {name: item for name, item in _items(value) if _is_encoded(item)}
    if encoded:
        value = replace(value, **dict.fromkeys(encoded, msgspec.UNSET))
    fields: Fields = dict(_shallow(json_line(value)))
    for name in ours_of(type(value)):
        fields.pop(name, None)
    wire_names = dict(
        zip(value.__struct_fields__, type(value).__struct_encode_fields__, strict=True)
    )
    for name, item in _items(value):
        if wire_names[name] in fields and _has_structs(item):
            fields[wire_names[name]] = _shape(item)
    return fields | {wire_names[name]: item for name, item in encoded.items()}


def reference_message(message: Message) -> msgspec.Raw:
    """One message, encoded."""
    return msgspec.Raw(json_line(reference_fields(message)))


def reference_messages(state: RunState) -> tuple[Message, ...]:
    """The run's whole conversation, each message of which is encoded once in its life.

    They are pieces of JSON under the type of what they stand for, good for nothing
    but to be encoded within something else.
    """
    head = (reference_message(state.instruction),) if state.instruction else ()
    rest = state.messages.encoded("full events", reference_message)
    return cast("tuple[Message, ...]", (*head, *rest))


def _items(value: Data) -> list[tuple[str, object]]:
    return [(name, getattr(value, name)) for name in value.__struct_fields__]


def _shape(item: object) -> object:
    if isinstance(item, Data):
        return reference_fields(item)
    return [_shape(inner) for inner in cast("tuple[object, ...]", item)]


def _has_structs(item: object) -> bool:
    return isinstance(item, Data) or (_is_filled(item) and isinstance(item[0], Data))


def _is_encoded(item: object) -> bool:
    return _is_filled(item) and isinstance(item[0], msgspec.Raw)


def _is_filled(item: object) -> TypeGuard[tuple[object, ...]]:
    return isinstance(item, tuple) and item != ()
