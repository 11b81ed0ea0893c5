"""Which name each tool of an Expert's MCP skills is offered under."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from perstack.schema.tool import BASE_SKILL, BASE_TOOLS

MAX_NAME = 64
"""Of a tool's name on every vendor's wire, which takes letters, digits, '-' and '_'."""

_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")
_DIGEST = 8
_NOBODY = ""


class Named(NamedTuple):
    """A tool of a skill's server, and the name that a model calls it by."""

    name: str
    skill: str
    tool: str


def opener_of(skill: str) -> str:
    """What the tool is called that opens a lazy skill."""
    return f"open_{_stem(skill)}"


def _stem(skill: str) -> str:
    """A skill's name as a part of a tool's."""
    return _UNSAFE.sub("_", skill).strip("_") or "skill"


def names_of(
    skills: Iterable[tuple[str, Sequence[str]]], taken: Collection[str]
) -> tuple[Named, ...]:
    """A name for each tool: its own, or `SKILL__TOOL` where that is taken or cannot be sent.

    `skills` are in the order they are declared, each with its tools in its server's
    order. The first has a name; `taken` are those of others than MCP skills, who
    keep them, and the base tools' are for the base skill alone. Asking twice gives the
    same names. A second tool of one name in one skill gets none: nobody could say which
    is meant.
    """
    kept = {**dict.fromkeys(BASE_TOOLS, BASE_SKILL), **dict.fromkeys(taken, _NOBODY)}
    named: list[Named] = []
    for skill, tools in skills:
        for tool in dict.fromkeys(tools):
            free = (name for name in _candidates(skill, tool) if kept.get(name, skill) == skill)
            name = next(free)
            kept[name] = _NOBODY
            named.append(Named(name, skill, tool))
    return tuple(named)


def _candidates(skill: str, tool: str) -> Iterable[str]:
    if len(tool) <= MAX_NAME and tool and not _UNSAFE.search(tool):
        yield tool
    plain = f"{_stem(skill)}__{_UNSAFE.sub('_', tool)}"
    digest = hashlib.sha256(f"{skill}\0{tool}".encode(errors="replace")).hexdigest()
    if len(plain) <= MAX_NAME and tool.isascii():
        yield plain
    for length in range(_DIGEST, len(digest) + 1):
        yield f"{plain[: max(0, MAX_NAME - length - 1)]}_{digest[:length]}"[-MAX_NAME:]
