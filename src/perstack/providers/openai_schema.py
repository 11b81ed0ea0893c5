"""Which tools OpenAI takes, with its `strict` off. The rule is one for all of its wires."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from perstack.providers import Failure
from perstack.providers.failure import trouble
from perstack.schema.message import Json
from perstack.schema.tool import ToolDefinition

UNSUPPORTED = "UnsupportedToolSchema"
"""The name of the failure."""

_NOT_AT_THE_TOP = ("oneOf", "anyOf", "allOf", "enum", "const", "not")
_ALTERNATIVES = ("oneOf", "anyOf", "allOf")


def schema_problem(tools: tuple[ToolDefinition, ...]) -> Failure | None:
    """Why OpenAI would refuse a request with `tools`: the first tool that it does not take.

    Checked is what it refuses in every model: a schema that is not an object, one with
    an alternative at its top, and an array that does not say what its items are. What
    else it may refuse, its own answer names.
    """
    for tool in tools:
        if problem := _problem(tool.input_schema):
            return trouble(
                UNSUPPORTED,
                f"OpenAI does not take the tool {tool.name!r} of the skill {tool.skill_name!r}: "
                f"{problem}. Leave the tool out with the skill's omit, change its schema, "
                "or choose a provider that takes it.",
                is_retryable=False,
            )
    return None


def accepted(schema: Json) -> Json:
    """`schema`, with an empty list of properties where it has none: OpenAI refuses none."""
    return schema if "properties" in schema else {**schema, "properties": {}}


def _problem(schema: Json) -> str:
    """What is wrong, with its keyword and its JSON pointer; empty for nothing."""
    if schema.get("type") != "object":
        return 'the "type" of its input schema (at /type) must be "object"'
    for keyword in _NOT_AT_THE_TOP:
        if keyword in schema:
            return f'its input schema has "{keyword}" at the top level (at /{keyword})'
    pending: list[tuple[str, Json]] = [("", schema)]
    while pending:  # not by recursion: a server may nest as deep as it likes
        place, inner = pending.pop()
        if inner.get("type") == "array" and "items" not in inner and "prefixItems" not in inner:
            return f'its input schema has an array without "items" (at {place})'
        pending.extend(_below(place, inner))
    return ""


def _below(place: str, schema: Json) -> Iterator[tuple[str, Json]]:
    """The schemas directly inside `schema`, each with its JSON pointer."""
    if isinstance(items := schema.get("items"), dict):
        yield f"{place}/items", cast("Json", items)
    if isinstance(properties := schema.get("properties"), dict):
        for name, inner in cast("Json", properties).items():
            if isinstance(inner, dict):
                escaped = name.replace("~", "~0").replace("/", "~1")
                yield f"{place}/properties/{escaped}", cast("Json", inner)
    for keyword in _ALTERNATIVES:
        if isinstance(inners := schema.get(keyword), list):
            for index, inner in enumerate(cast("list[object]", inners)):
                if isinstance(inner, dict):
                    yield f"{place}/{keyword}/{index}", cast("Json", inner)
