"""An activity is one safe line."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perstack.schema.base import Data
from perstack.views.activity import Activity, activities, line_of
from perstack.views.activity_kinds import (
    ErrorActivity,
    ExecActivity,
    GeneralToolActivity,
    QueryActivity,
    ReadImageFileActivity,
    ReadTextFileActivity,
    RetryActivity,
    WriteTextFileActivity,
)
from perstack.views.activity_line import LINE_LIMIT
from views.played import base_tools, play, play_all

pytestmark = pytest.mark.anyio

EVIL = "\x1b]52;c;aGk=\x07\r\n\u202e\ud800\x9b" + "x" * 10


def evil(kind: Any) -> Any:
    """An activity whose every text is hostile."""
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        if field.name == "delegated_by":
            continue
        spelled = str(field.type)
        if "Todo" in spelled or "ResultPart" in spelled or "Part" in spelled:
            values[field.name] = ()
        elif "dict" in spelled:
            values[field.name] = {EVIL: [EVIL]} if "tuple" not in spelled else ({EVIL: EVIL},)
        elif "tuple[str" in spelled:
            values[field.name] = (EVIL, EVIL)
        elif "tuple" in spelled:
            values[field.name] = ()
        elif "str" in spelled:
            values[field.name] = EVIL
        elif field.required:
            values[field.name] = 1
    return kind(**values)


def is_safe_line(line: str) -> bool:
    unsafe = {"Cc", "Cs", "Zl", "Zp"}
    return not any(unicodedata.category(c) in unsafe or c == "\u202e" for c in line)


@pytest.mark.hostile
@pytest.mark.parametrize("kind", get_args(Activity))
def test_row_79_a_line_shows_escapes_and_never_sends_them(kind: type[Data]) -> None:
    line = line_of(evil(kind))
    assert is_safe_line(line)
    assert r"\x1b]52" in line
    assert len(line) <= LINE_LIMIT


@given(st.text(st.characters(codec=None), max_size=400), st.text(st.characters(codec=None)))
def test_a_line_is_short_and_safe_whatever_was_said(text: str, key: str) -> None:
    for activity in (
        QueryActivity(expert_key=key, text=text),
        GeneralToolActivity(skill_name=text, tool_name=text, args={text: text}, error=text),
        ExecActivity(command=text, args=(text, key), cwd=text, error=key),
    ):
        line = line_of(activity)
        assert len(line) <= LINE_LIMIT
        assert is_safe_line(line)


async def test_every_activity_of_every_job_has_a_line_that_names_its_expert(
    tmp_path: Path,
) -> None:
    jobs = [*(await play_all()).values(), await play(base_tools(tmp_path))]
    for job in jobs:
        for activity in activities(seen.fact for seen in job.live):
            line = line_of(activity)
            assert line.startswith(f"[{activity.expert_key}] ")
            assert "  " not in line


def test_lines_read_well() -> None:
    assert line_of(QueryActivity(expert_key="lead", text="Begin.")) == "[lead] query: Begin."
    read = ReadTextFileActivity(expert_key="lead", path="a.txt", from_=0, to=9, content="…")
    assert line_of(read) == "[lead] readTextFile a.txt lines 0 to 9"
    wrote = WriteTextFileActivity(expert_key="lead", path="a.txt", text="x")
    assert line_of(wrote) == "[lead] writeTextFile a.txt (1 character)"
    image = ReadImageFileActivity(expert_key="lead", path="a.png", mime_type="image/png", size=1)
    assert line_of(image) == "[lead] readImageFile a.png (1 byte)"
    failed = ExecActivity(
        expert_key="lead", command="sh", args=("-c", "exit 3"), cwd=".", error="Status 3."
    )
    assert line_of(failed) == "[lead] exec sh -c 'exit 3' failed: Status 3."
    again = RetryActivity(expert_key="lead", error="E", message="Overloaded", wait_ms=1500)
    assert line_of(again) == "[lead] retry: Overloaded (again in 1.5 s)"
    error = ErrorActivity(expert_key="lead", error="No.", error_name="E")
    assert line_of(error) == "[lead] error: E: No."
    tool = GeneralToolActivity(
        expert_key="lead", skill_name="s", tool_name="find", args={"q": "x"}, error="Gone."
    )
    assert line_of(tool) == "[lead] generalTool find q='x' failed: Gone."
