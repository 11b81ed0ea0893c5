"""Which tools the vendors behind the bridge take. Schemas go out as their servers wrote them.

Google documents no limits of `parametersJsonSchema` but that it describes an object; it
refuses a reference with constraints beside it. Claude, on Bedrock as at home, refuses
alternatives at the top. What else a vendor refuses, its own answer names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

from perstack.providers import Failure
from perstack.providers.failure import trouble
from perstack.schema.message import Json
from perstack.schema.tool import ToolDefinition

UNSUPPORTED = "UnsupportedToolSchema"
"""The name of the failure."""

_BESIDE_A_REFERENCE = frozenset({"description", "default"})
_ALTERNATIVES = ("oneOf", "anyOf", "allOf")


def refused_tool(
    vendor: str, tools: tuple[ToolDefinition, ...], problem: Callable[[Json], str]
) -> Failure | None:
    """Why `vendor` would refuse the first of `tools` that has a `problem`; None if none has."""
    for tool in tools:
        if found := problem(tool.input_schema):
            return trouble(
                UNSUPPORTED,
                f"{vendor} does not take the tool {tool.name!r} of the skill {tool.skill_name!r}: "
                f"{found}. Leave the tool out with the skill's omit, change its schema, "
                "or choose a provider that takes it.",
                is_retryable=False,
            )
    return None


def no_object(schema: Json) -> str:
    """The problem of a schema that does not describe an object."""
    if schema.get("type") == "object":
        return ""
    return 'the "type" of its input schema (at /type) must be "object"'


def gemini_problem(schema: Json) -> str:
    """What Gemini refuses."""
    if problem := no_object(schema):
        return problem
    for place, inner in _schemas(schema):
        if "$ref" not in inner:
            continue
        for keyword in inner:
            if not keyword.startswith("$") and keyword not in _BESIDE_A_REFERENCE:
                return f'its input schema has "{keyword}" beside a "$ref" (at {place or "/"})'
    return ""


def claude_problem(schema: Json) -> str:
    """What Claude refuses."""
    for keyword in _ALTERNATIVES:
        if keyword in schema:
            return f'its input schema has "{keyword}" at the top level (at /{keyword})'
    return no_object(schema)


def _schemas(schema: Json) -> Iterator[tuple[str, Json]]:
    """Each schema in `schema` with its JSON pointer. Not by recursion: servers nest at will."""
    pending: list[tuple[str, Json]] = [("", schema)]
    while pending:
        place, inner = pending.pop()
        yield place, inner
        for keyword, value in inner.items():
            match keyword, value:
                case (("properties" | "$defs" | "definitions" | "patternProperties"), dict()):
                    named = cast("Json", value).items()
                case (("items" | "additionalProperties" | "not"), dict()):
                    pending.append((f"{place}/{keyword}", cast("Json", value)))
                    continue
                case (("oneOf" | "anyOf" | "allOf" | "prefixItems"), list()):
                    listed = cast("list[object]", value)
                    named = ((str(index), each) for index, each in enumerate(listed))
                case _:
                    continue
            for name, each in named:
                if isinstance(each, dict):
                    escaped = name.replace("~", "~0").replace("/", "~1")
                    pending.append((f"{place}/{keyword}/{escaped}", cast("Json", each)))
