"""Texts and edits as the workbench shows them."""

from __future__ import annotations

import pytest
from textual.content import Content

from perstack.schema.message import Json
from perstack.schema.tool import ToolCall
from perstack.tui.diffs import LINES, diff_of
from perstack.tui.status import packed
from perstack.tui.words import BODY_LIMIT, body_of, trouble_of


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


def test_facts_are_packed_into_lines_and_none_is_cut() -> None:
    parts = [Content(word) for word in ("one two", "three", "four five", "six")]
    assert [line.plain for line in packed(parts, 20)] == ["one two  three", "four five  six"]
    assert [line.plain for line in packed(parts, 14)] == ["one two  three", "four five  six"]
    assert [line.plain for line in packed(parts, 13)] == ["one two", "three", "four five", "six"]
    assert [line.plain for line in packed(parts, 1)] == ["one two", "three", "four five", "six"]


def test_an_edit_shows_a_tab_as_room_and_a_written_escape_as_it_is() -> None:
    args: Json = {"path": "a.py", "text": "\tprint('\\t')\n"}
    shown = diff_of(
        ToolCall(id="c", skill_name="@perstack/base", tool_name="writeTextFile", args=args)
    )
    assert shown is not None
    assert shown.plain == "+    print('\\t')"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ('{"error":"Error","message":"File a.txt does not exist."}', "File a.txt does not exist."),
        ('{"error":"Error","message":""}', '{"error":"Error","message":""}'),
        ('{"message":7}', '{"message":7}'),
        ("[1]", "[1]"),
        ("[" * 100_000, "[" * 100_000),
        ("no such file", "no such file"),
    ],
    ids=["message", "empty", "number", "list", "deep", "words"],
)
def test_of_a_failed_call_its_message_is_told(answer: str, told: str) -> None:
    assert trouble_of(answer) == told
