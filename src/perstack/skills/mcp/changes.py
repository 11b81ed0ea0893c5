"""What became of a server's tools between one start and the next."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec

from perstack.skills.mcp.protocol import ServerTool


def changes_of(before: Mapping[str, ServerTool], now: Mapping[str, ServerTool]) -> dict[str, str]:
    """How each tool of `before` differs, by its name, as a sentence; nothing for the same ones.

    Tools that are only among those of `now` were never offered, and are not here.
    """
    told = {name: _difference(tool, now.get(name)) for name, tool in before.items()}
    return {name: difference for name, difference in told.items() if difference}


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
