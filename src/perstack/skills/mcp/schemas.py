"""Which schemas of a server's tools can be passed on to a model."""

from __future__ import annotations

from typing import cast

from perstack.schema.message import Json
from perstack.skills.mcp import MAX_TOOL_BYTES
from perstack.skills.mcp.alternatives import MAX_PARTS, TooMany, part_at, without_alternatives
from perstack.skills.mcp.arguments import with_offered_names
from perstack.skills.mcp.keywords import misused_keyword
from perstack.skills.mcp.protocol import encode

MAX_DEPTH = 64
MAX_NODES = 20_000

_LINKS = ("$ref", "$dynamicRef", "$recursiveRef")


def sendable(schema: Json) -> Json:
    """The schema as vendors take it: of an object, saying so, and with no alternatives at its top.

    Arguments go by the names that they are offered under. `schema` has no problem.
    """
    plain = with_offered_names(without_alternatives(schema))
    return plain if "type" in plain else {"type": "object", **plain}


def schema_problem(schema: Json) -> str | None:
    """Why a schema is not passed on, as the end of a sentence; None where it is.

    Nothing is looked up and no pattern is tried: a schema is data for the model.
    """
    if schema.get("type", "object") != "object":
        return "its schema is not one of an object"
    if problem := _shape_problem(schema):
        return problem
    if found := misused_keyword(schema):
        keyword, place = found
        return f"its schema is not valid: {keyword!r} at {place[:100]!r} has a wrong value"
    return _size_problem(schema)


def _shape_problem(schema: Json) -> str | None:
    """Too deep, too large, or not by itself."""
    level: list[object] = [schema]
    seen = 0
    for _ in range(MAX_DEPTH):
        inner: list[object] = []
        for item in level:
            if isinstance(item, dict):
                table = cast("Json", item)
                if problem := _link_problem(table, schema):
                    return problem
                inner.extend(table.values())
            elif isinstance(item, list):
                inner.extend(cast("list[object]", item))
        seen += len(inner)
        if not inner:
            return None
        if seen > MAX_NODES:
            return f"its schema has more than {MAX_NODES} parts"
        level = inner
    return f"its schema is nested deeper than {MAX_DEPTH} levels"


def _link_problem(table: Json, whole: Json) -> str | None:
    links = [link for name in _LINKS if isinstance(link := table.get(name), str)]
    if any(not link.startswith("#") for link in links):
        return "its schema refers to another document"
    if any(link.startswith("#/") and part_at(whole, link) is None for link in links):
        return "its schema refers to a part that it has not"
    return None


def _size_problem(schema: Json) -> str | None:
    """What is drawn together from a top with alternatives may be larger than they were."""
    try:
        plain = sendable(schema)
    except TooMany:
        return f"its schema has more than {MAX_PARTS} alternatives at its top"
    if plain is not schema and len(encode(plain)) > MAX_TOOL_BYTES:
        return "its schema is too large without its alternatives at the top"
    return _shape_problem(plain)  # a part that others refer to may go by another name
