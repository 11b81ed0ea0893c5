from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from base.kit import MODES, calls_in, tree
from perstack.base import Caps

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("mode", MODES)
async def test_what_is_written_can_be_read_and_the_path_is_the_real_one(tmp_path: Path, mode: str):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    async with calls_in(tmp_path, mode=mode) as call:
        written = await call("writeTextFile", path="link/a.txt", text="one\ntwo\nthree\n")
        read = await call("readTextFile", path="link/a.txt")
    assert written.data == {
        "path": str(tmp_path / "real/a.txt"),
        "text": "one\ntwo\nthree\n",
    }
    assert read.data == {
        "path": "link/a.txt",
        "content": "one\ntwo\nthree\n",
        "from": 0,
        "to": 4,
    }


@pytest.mark.parametrize(
    ("start", "end", "content"),
    [(1, 2, "two"), (0, 2, "one\ntwo"), (2, None, "three"), (None, 1, "one"), (9, 12, "")],
)
async def test_lines_count_from_zero_and_the_end_is_left_out(
    tmp_path: Path, start: int | None, end: int | None, content: str
):
    (tmp_path / "a.txt").write_text("one\ntwo\nthree")
    async with calls_in(tmp_path) as call:
        said = await call("readTextFile", path="a.txt", first_line=start, to=end)
    assert said.data["content"] == content
    assert said.data["from"] == (start or 0)
    assert said.data["to"] == (3 if end is None else end)


async def test_a_missing_file_is_named(tmp_path: Path):
    async with calls_in(tmp_path) as call:
        said = await call("readTextFile", path="missing.txt")
    assert said.is_error
    assert said.data == {"error": "Error", "message": "File missing.txt does not exist."}


async def test_bytes_that_are_no_utf8_are_read_as_replacement_characters(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"caf\xe9 ok")
    async with calls_in(tmp_path) as call:
        assert (await call("readTextFile", path="a")).data["content"] == "caf\ufffd ok"


@pytest.mark.parametrize("mode", MODES)
async def test_missing_directories_are_made_for_a_new_file(tmp_path: Path, mode: str):
    async with calls_in(tmp_path, mode=mode) as call:
        assert not (await call("writeTextFile", path="a/b/c.txt", text="x")).is_error
    assert (tmp_path / "a/b/c.txt").read_text() == "x"


async def test_a_replaced_file_keeps_its_mode_and_a_new_one_follows_the_umask(tmp_path: Path):
    script = tmp_path / "run.sh"
    script.write_text("old")
    script.chmod(0o754)
    before = os.umask(0o027)
    try:
        async with calls_in(tmp_path) as call:
            await call("writeTextFile", path="run.sh", text="new")
            await call("writeTextFile", path="new.txt", text="new")
    finally:
        os.umask(before)
    assert script.read_text() == "new"
    assert script.stat().st_mode & 0o777 == 0o754
    assert (tmp_path / "new.txt").stat().st_mode & 0o777 == 0o640


async def test_a_read_only_file_is_not_replaced(tmp_path: Path):
    (tmp_path / "a").write_text("old")
    (tmp_path / "a").chmod(0o444)
    async with calls_in(tmp_path) as call:
        said = await call("writeTextFile", path="a", text="new")
    assert said.message == "File a is not writable."
    assert (tmp_path / "a").read_text() == "old"


async def test_a_failed_write_leaves_no_temporary_file(tmp_path: Path):
    (tmp_path / "a").mkdir()
    async with calls_in(tmp_path, caps=Caps(write=3)) as call:
        assert (await call("writeTextFile", path="a", text="x")).is_error
        assert (await call("writeTextFile", path="b", text="four")).is_error
        assert (await call("appendTextFile", path="b", text="x")).is_error
    assert set(tree(tmp_path)) == {"a"}


async def test_text_is_appended_to_a_file_that_exists_and_to_no_other(tmp_path: Path):
    (tmp_path / "a").write_text("one")
    async with calls_in(tmp_path, caps=Caps(write=6)) as call:
        appended = await call("appendTextFile", path="a", text="two")
        missing = await call("appendTextFile", path="b", text="two")
        large = await call("appendTextFile", path="a", text="x")
    assert appended.data == {"path": str(tmp_path / "a"), "text": "two"}
    assert (tmp_path / "a").read_text() == "onetwo"
    assert missing.message == "File b does not exist."
    assert large.message == "File a would have 7 B; at most 6 B can be written."


@pytest.mark.parametrize("typed", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            b"\xffkeep\r\none\r\ntwo\r\none\r\ntwo\r\n",
            b"\xffkeep\r\n1\r\n2\r\none\r\ntwo\r\n",
        ),
        (b"\xffkeep\none\ntwo\none\ntwo\n", b"\xffkeep\n1\n2\none\ntwo\n"),
        (b"a\r\nb\nc\none\r\ntwo", b"a\r\nb\nc\n1\n2"),
        (b"one\r\ntwo\r", b"1\r\n2\r"),
    ],
)
async def test_an_edit_replaces_the_first_match_and_leaves_every_other_byte_as_it_is(
    tmp_path: Path, typed: str, before: bytes, after: bytes
):
    (tmp_path / "a").write_bytes(before)
    async with calls_in(tmp_path) as call:
        said = await call("editTextFile", path="a", oldText=f"one{typed}two", newText=f"1{typed}2")
    assert said.data["oldText"] == f"one{typed}two"
    assert (tmp_path / "a").read_bytes() == after


async def test_an_edit_without_a_match_changes_nothing_and_says_so(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"one\r\n")
    async with calls_in(tmp_path) as call:
        said = await call("editTextFile", path="a", oldText="two", newText="x")
    assert said.is_error
    assert "was not found in a" in said.message
    assert (tmp_path / "a").read_bytes() == b"one\r\n"
