"""Which schemas of a server's tools can be passed on to a model."""

from __future__ import annotations

from typing import cast

from perstack.schema.message import Json

MAX_DEPTH = 64
MAX_NODES = 20_000

_LINKS = ("$ref", "$dynamicRef", "$recursiveRef")


def sendable(schema: Json) -> Json:
    """The schema as vendors take it: of an object, and saying so."""
    return schema if "type" in schema else {"type": "object", **schema}


def schema_problem(schema: Json) -> str | None:
    """Why a schema is not passed on, as the end of a sentence; None where it is.

    Nothing is looked up and no pattern is tried: a schema is data for the model.
    """
    if schema.get("type", "object") != "object":
        return "its schema is not one of an object"
    level: list[object] = [schema]
    seen = 0
    for _ in range(MAX_DEPTH):
        inner: list[object] = []
        for item in level:
            if isinstance(item, dict):
                table = cast("Json", item)
                if _links_elsewhere(table):
                    return "its schema refers to another document"
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


def _links_elsewhere(table: Json) -> bool:
    links = (table.get(name) for name in _LINKS)
    return any(isinstance(link, str) and not link.startswith("#") for link in links)
