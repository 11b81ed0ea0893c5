"""How two locks differ, in lines for a person."""

from __future__ import annotations

import difflib
import json
import re
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import fields

from perstack.schema.lockfile import LockedExpert, LockedTool, expert_integrity

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from perstack.schema.expert import Expert
    from perstack.schema.lockfile import Lockfile

MAX_LINES = 400
"""Lines of all differences."""
MAX_DIFF_LINES = 40
"""Lines of one text's difference."""
MAX_LINE = 200
"""Characters of a line of a difference; a longer one is told in several."""
MAX_COMPARED = 1000
"""Lines that are compared from the first difference on: the work grows with their square."""

_PIECE = re.compile(rf".{{1,{MAX_LINE}}}?(?:[.;:!?] |\Z)|.{{{MAX_LINE}}}", re.DOTALL)
"""A sentence, if it is not too long."""
_INDENT = "    "


def lock_changes(before: Lockfile, now: Lockfile) -> tuple[str, ...]:
    """What differs, a line each; none where the locks are the same but for their times.

    An Expert that the reference implementation locked always differs: it has no sums.
    """
    lines = list(_changes(before, now))
    if len(lines) > MAX_LINES:
        lines[MAX_LINES:] = [f"… and {len(lines) - MAX_LINES} more lines"]
    return tuple(lines)


def _changes(before: Lockfile, now: Lockfile) -> Iterator[str]:
    if before.config_path != now.config_path:
        yield f"configPath: {before.config_path} -> {now.config_path}"
    yield from _named("Expert", before.experts, now.experts)
    for key, locked in now.experts.items():
        if (known := before.experts.get(key)) is not None:
            yield from _under(key, _of_an_expert(known, locked))


def _of_an_expert(before: LockedExpert, now: LockedExpert) -> Iterator[str]:
    if not before.is_whole:
        yield "it was locked by another implementation, without sums"
    if expert_integrity(before.expert) != expert_integrity(now.expert):
        yield from _of_a_definition(before.expert, now.expert)
    for skill in dict.fromkeys((*before.tools, *now.tools)):
        listed = _of_tools(before.tools.get(skill, ()), now.tools.get(skill, ()))
        yield from _under(f"skill {skill}", listed)


def _of_a_definition(old: Expert, new: Expert) -> Iterator[str]:
    for field in fields(old):
        name = field.encode_name
        before, now = getattr(old, field.name), getattr(new, field.name)
        if before == now:
            continue
        if isinstance(before, str) and isinstance(now, str):
            yield f"{name} changed"
            yield from _diff(before, now)
        elif name == "skills":
            yield from _named("skill", before, now)
            for skill in now:
                if skill in before and before[skill] != now[skill]:
                    yield f"skill {skill} is declared otherwise"
                    yield from _diff(_shown(before[skill]), _shown(now[skill]))
        else:
            yield f"{name} changed"
            yield from _diff(_shown(before), _shown(now))


def _of_tools(before: Sequence[LockedTool], now: Sequence[LockedTool]) -> Iterator[str]:
    old, new = ({tool.name: tool for tool in tools} for tools in (before, now))
    yield from _named("tool", old, new)
    for name, tool in new.items():
        if name in old:
            yield from _of_a_tool(old[name], tool)
    if old.keys() == new.keys() and list(old) != list(new):
        yield "its tools are listed in another order"


def _of_a_tool(old: LockedTool, new: LockedTool) -> Iterator[str]:
    if old.description != new.description:
        yield f"the description of {old.name} changed"
        yield from _diff(old.description, new.description)
    for what, before, now in (
        ("schema", _shown(old.input_schema), _shown(new.input_schema)),
        ("set of annotations", _shown(old.annotations), _shown(new.annotations)),
    ):
        if before != now:  # as text, where 1 is neither 1.0 nor true
            yield f"the {what} of {old.name} changed"
            yield from _diff(before, now)


def _named(what: str, before: Collection[str], now: Collection[str]) -> Iterator[str]:
    """What came and went, by its name."""
    for mark, names, others in (("removed", before, now), ("added", now, before)):
        yield from (f"{what} {name} {mark}" for name in names if name not in others)


def _under(head: str, lines: Iterator[str]) -> Iterator[str]:
    """The lines with what they are about; those of a text's difference as they are."""
    for line in lines:
        yield line if line.startswith(_INDENT) else f"{head}: {line}"


def _shown(value: object) -> str:
    """JSON as a person reads it, keys sorted: their order is no difference."""
    built = msgspec.to_builtins(value)
    return json.dumps(built, indent=2, sort_keys=True, ensure_ascii=False)


def _diff(before: str, now: str) -> Iterator[str]:
    """The lines that differ, and what stands around them."""
    old, new = _lines(before), _lines(now)
    end = _common(old, new) + MAX_COMPARED
    lines = difflib.unified_diff(old[:end], new[:end], n=2, lineterm="")
    shown = [f"{_INDENT}{line}" for line in list(lines)[2:]]
    left = len(shown) - MAX_DIFF_LINES
    yield from shown[:MAX_DIFF_LINES]
    if max(len(old), len(new)) > end:
        yield f"{_INDENT}… and more"
    elif left > 0:
        yield f"{_INDENT}… and {left} more lines"


def _lines(text: str) -> list[str]:
    """The lines of a text, and a long one in pieces: what differs may stand at its end."""
    pieces: list[str] = []
    for line in text.split("\n") if text else ():
        pieces += [line] if len(line) <= MAX_LINE else _PIECE.findall(line)
    return pieces


def _common(old: list[str], new: list[str]) -> int:
    """How many lines are the same at the beginning."""
    pairs = enumerate(zip(old, new, strict=False))
    return next((at for at, (one, other) in pairs if one != other), min(len(old), len(new)))
