"""What a call changes in a file, as lines taken away and added."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import unified_diff
from itertools import islice
from typing import TYPE_CHECKING

from textual.content import Content

from perstack.schema.tool import BASE_SKILL
from perstack.views.plain import counted, plain

if TYPE_CHECKING:
    from perstack.schema.tool import ToolCall

LINES = 60
"""Of the longest diff that is shown."""

LONGEST = 20_000
"""Characters of a text that is compared: the work grows faster than the text."""

STYLES = {"+": "$text-success", "-": "$text-error"}


def diff_of(call: ToolCall) -> Content | None:
    """The change that a call of a file tool asks for; None for other calls."""
    if call.skill_name != BASE_SKILL:
        return None
    match call.tool_name, call.args:
        case "editTextFile", {"oldText": str(old), "newText": str(new)}:
            lines = _changed(old, new)
        case (("writeTextFile" | "appendTextFile"), {"text": str(text)}):
            lines = (f"+{line}" for line in text[:LONGEST].splitlines())
        case _:
            return None
    return _shown([*lines])


def _changed(old: str, new: str) -> Iterator[str]:
    before, after = old[:LONGEST].splitlines(), new[:LONGEST].splitlines()
    without_names = islice(unified_diff(before, after, lineterm="", n=2), 2, None)
    return (line for line in without_names if not line.startswith("@@"))


def _shown(lines: list[str]) -> Content:
    shown = [
        Content.styled(
            plain(line.replace("\t", "    "), 400, one_line=True), STYLES.get(line[:1], "")
        )
        for line in lines[:LINES]
    ]
    if len(lines) > LINES:
        more = counted(len(lines) - LINES, "more line")
        shown.append(Content.styled(f"… and {more}", "dim"))
    return Content("\n").join(shown)
