"""Texts and edits as the workbench shows them."""

from __future__ import annotations

import pytest

from perstack.schema.message import Json
from perstack.schema.tool import ToolCall
from perstack.tui.diffs import LINES, diff_of
from perstack.tui.words import BODY_LIMIT, body_of


@pytest.mark.parametrize(("more", "told"), [(1, "1 more character,"), (2, "2 more characters,")])
def test_of_a_long_text_it_is_told_how_much_is_left_out(more: int, told: str) -> None:
    assert f"… and {told}" in body_of("x" * (BODY_LIMIT + more)).plain
    assert "…" not in body_of("x" * BODY_LIMIT).plain


@pytest.mark.parametrize(("more", "told"), [(1, "1 more line"), (2, "2 more lines")])
def test_of_a_long_edit_it_is_told_how_much_is_left_out(more: int, told: str) -> None:
    args: Json = {"path": "a.txt", "text": "x\n" * (LINES + more)}
    shown = diff_of(
        ToolCall(id="c", skill_name="@perstack/base", tool_name="writeTextFile", args=args)
    )
    assert shown is not None
    assert shown.plain.splitlines()[-1] == f"… and {told}"
