"""What became of a server's tools between one start and the next, or since they were locked."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from perstack.schema.lockfile import sayable
from perstack.skills.mcp.protocol import ServerTool


class Locked(NamedTuple):
    """The tools that a lock says a skill has.

    `is_exact` is False where the lock keeps less of a tool than its server says: no
    annotations, and of a schema what TOML can say.
    """

    tools: tuple[ServerTool, ...]
    is_exact: bool = True


def changes_of(
    before: Mapping[str, ServerTool], now: Mapping[str, ServerTool], *, is_exact: bool = True
) -> dict[str, str]:
    """How each tool of `before` differs, by its name, as a sentence; nothing for the same ones.

    Tools that are only among those of `now` were never offered, and are not here.
    `is_exact` is as in `Locked`, of `before`.
    """
    told: dict[str, str] = {}
    for name, tool in before.items():
        known, found = tool, now.get(name)
        if not is_exact:
            known, found = _kept(known), found and _kept(found)
        if difference := _difference(known, found):
            told[name] = difference
    return told


def _kept(tool: ServerTool) -> ServerTool:
    return tool._replace(input_schema=sayable(tool.input_schema), annotations={})


def _difference(before: ServerTool, now: ServerTool | None) -> str:
    if now is None:
        return "The server has it no more."
    parts = [
        f"its {what} was {_digest(old)} and is {_digest(new)}"
        for what, old, new in (
            ("description", before.description, now.description),
            ("schema", before.input_schema, now.input_schema),
            ("set of annotations", before.annotations, now.annotations),
        )
        if old != new
    ]
    return f"It is another tool now: {' and '.join(parts)} (sha256)." if parts else ""


def _digest(value: object) -> str:
    data = msgspec.json.encode(value, order="sorted")
    return hashlib.sha256(data).hexdigest()[:16]
