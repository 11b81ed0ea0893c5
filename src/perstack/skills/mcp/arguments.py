"""Which name each argument of a server's tool is offered under."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perstack.schema.message import Json

_MAX_NAME = 64
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]")


def offered_names(schema: Json) -> dict[str, str]:
    """By the server's own name, that of each argument which vendors refuse as it is.

    They refuse a whole request for it: Anthropic takes at most 64 letters, digits and
    `_.-`. Asking twice gives the same names, none of them that of another argument.
    """
    own = schema.get("properties")
    names = list(cast("Json", own)) if isinstance(own, dict) else []
    used = set(names)
    offered: dict[str, str] = {}
    for name in names:
        if name and len(name) <= _MAX_NAME and not _UNSAFE.search(name):
            continue
        plain = _UNSAFE.sub("_", name[:_MAX_NAME]) or "_"
        safe, number = plain, 1
        while safe in used:
            number += 1
            safe = f"{plain[: _MAX_NAME - len(str(number)) - 1]}_{number}"
        used.add(safe)
        offered[name] = safe
    return offered


def with_offered_names(schema: Json) -> Json:
    """The schema with these names, where an object has them and where they are required."""
    offered = offered_names(schema)
    if not offered:
        return schema
    properties = cast("Json", schema["properties"])
    renamed = {offered.get(name, name): part for name, part in properties.items()}
    required = schema.get("required")
    if not isinstance(required, list):
        return {**schema, "properties": renamed}
    names = [offered.get(name, name) for name in cast("list[str]", required)]
    return {**schema, "properties": renamed, "required": names}


def as_the_server_names_them(args: Json, offered: Mapping[str, str]) -> Json:
    """What a model gave, for the server. `offered` is as `offered_names` gives it."""
    own = {name: server for server, name in offered.items()}
    return {own.get(name, name): value for name, value in args.items()}
