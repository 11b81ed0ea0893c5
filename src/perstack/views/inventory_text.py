"""What Experts are offered, for a person."""

from __future__ import annotations

import shlex
import textwrap
from typing import TYPE_CHECKING

from perstack.views.plain import counted, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from perstack.schema.inventory import (
        ExpertEntry,
        Inventory,
        LeftOut,
        OfferedTool,
        SkillEntry,
        StartUp,
    )

LINE_LIMIT = 120
"""Characters of a line where no width is given."""

PROBLEM_LIMIT = 4000
"""Characters of a reason, with what a server printed last."""

_NAME_COLUMN = 32
_NAME_LIMIT = 64
_LEAST = 20
_ROW = 72
_INDENT = "    "


def inventory_text(inventory: Inventory, width: int | None = None) -> str:
    """Experts, below each its skills, below each its tools. No line end at the end.

    Safe to print, whatever servers say. Descriptions are cut so that lines have at most
    `width` characters; commands, reasons and what to do are whole.
    """
    lines: list[str] = []
    for expert in inventory.experts:
        lines += [*_expert_lines(expert, width or LINE_LIMIT), ""]
    return "\n".join([*lines, _summary(inventory)])


def _expert_lines(expert: ExpertEntry, width: int) -> Iterator[str]:
    about = f"{expert.key}: {expert.description}" if expert.description else expert.key
    yield _line(about, width)
    for skill in expert.skills:
        yield f"  {_line(_head(skill), width - 2)}"
        for line in _skill_lines(skill, width - len(_INDENT)):
            yield f"{_INDENT}{line}"


def _head(skill: SkillEntry) -> str:
    tools = counted(len(skill.tools), "tool")
    left = f" ({len(skill.left_out)} left out)" if skill.left_out else ""
    words = [f"{tools}{left}" if skill.is_working else "DOES NOT WORK"]
    if skill.is_locked:
        words.append("locked")
    if skill.server is not None:
        about = f"{skill.server.get('name', '')} {skill.server.get('version', '')}".strip()
        words.append(about or "a server without a name")
    return f"{skill.name}: {', '.join(words)}"


def _cost(cost: StartUp) -> str:
    parts = (
        f"start {_time(cost.spawn_ms)}",
        f"handshake {_time(cost.handshake_ms)}",
        f"tools {_time(cost.discovery_ms)}",
    )
    return f"up in {_time(cost.total_ms)} ({', '.join(parts)})"


def _skill_lines(skill: SkillEntry, width: int) -> Iterator[str]:
    if skill.command:
        yield f"$ {plain(shlex.join(skill.command), one_line=True)}"
    if skill.endpoint is not None:
        yield plain(skill.endpoint, one_line=True)
    if skill.start_up is not None:
        yield _line(_cost(skill.start_up), width)
    for line in plain(skill.problem, PROBLEM_LIMIT).splitlines():
        yield f"! {line}"
    if skill.advice:
        yield f"> {plain(skill.advice, one_line=True)}"
    for note in skill.notes:
        yield _line(f"warning: {note}", width)
    if skill.type == "base":  # everybody knows what these do
        yield from _names((tool.name for tool in skill.tools), width)
    else:
        yield from _tool_lines(skill.tools, width)
    yield from _left_out(skill.left_out, width)


def _tool_lines(tools: Sequence[OfferedTool], width: int) -> Iterator[str]:
    """A table of two columns. A name that is not the tool's own is followed by that."""
    names = [_line(tool.name, _NAME_LIMIT) for tool in tools]
    column = min(max(map(len, names), default=0), _NAME_COLUMN)
    for name, tool in zip(names, tools, strict=True):
        own = f"[{tool.tool}] " if tool.tool != tool.name else ""
        start = f"{name:<{column}}  "
        words = _line(f"{own}{tool.description.strip()}", max(width - len(start), _LEAST))
        yield f"{start}{words}".rstrip()


def _left_out(tools: Sequence[LeftOut], width: int) -> Iterator[str]:
    """A line or more for each reason."""
    by_reason: dict[str, list[str]] = {}
    for left in tools:
        by_reason.setdefault(left.reason, []).append(left.tool or "(no name)")
    for reason, names in by_reason.items():
        yield f"left out, since {_line(reason, LINE_LIMIT)}:"
        for line in _names(names, width - 2):
            yield f"  {line}"


def _names(names: Iterable[str], width: int) -> Iterator[str]:
    """The names in a row, and in further rows where there are many."""
    shown = ", ".join(_line(name, _NAME_LIMIT) for name in names)
    return iter(
        textwrap.wrap(
            shown, max(min(width, _ROW), _LEAST), break_long_words=False, break_on_hyphens=False
        )
    )


def _summary(inventory: Inventory) -> str:
    broken = [
        f"{expert.key}: {skill.name}"
        for expert in inventory.experts
        for skill in expert.skills
        if not skill.is_working
    ]
    if not broken:
        return "All skills work."
    return f"{counted(len(broken), 'skill')} {_do(len(broken))} not work ({', '.join(broken)})."


def _line(text: str, limit: int) -> str:
    """The first line of a text, which says so where there is more."""
    first, _, rest = text.strip().partition("\n")
    return plain(f"{first.rstrip()} …" if rest.strip() else first, limit, one_line=True)


def _time(ms: float) -> str:
    return f"{ms:.0f} ms" if ms < 1000 else f"{ms / 1000:.1f} s"


def _do(number: int) -> str:
    return "does" if number == 1 else "do"
