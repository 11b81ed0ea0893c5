from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from base.kit import MODES, calls_in, tree
from perstack.base import Caps

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


async def test_a_listing_is_sorted_and_leaves_the_store_out(tmp_path: Path):
    for name in ("b", "perstack", "c"):
        (tmp_path / name).mkdir()
    (tmp_path / "a.txt").write_text("four")
    (tmp_path / "to-b").symlink_to("b")
    (tmp_path / "to-outside").symlink_to("/etc")
    async with calls_in(tmp_path) as call:
        said = await call("listDirectory", path=".")
    assert [(item["name"], item["type"]) for item in said.data["items"]] == [
        ("a.txt", "file"),
        ("b", "directory"),
        ("c", "directory"),
        ("to-b", "directory"),
        ("to-outside", "file"),
    ]
    assert said.data["items"][0]["size"] == 4
    assert said.data["items"][0]["modified"].endswith("Z")
    assert "truncated" not in said.data


async def test_a_listing_past_the_cap_says_what_it_leaves_out(tmp_path: Path):
    for number in range(5):
        (tmp_path / f"{number}").touch()
    async with calls_in(tmp_path, caps=Caps(entries=3)) as call:
        said = await call("listDirectory", path=".")
    assert [item["name"] for item in said.data["items"]] == ["0", "1", "2"]
    assert said.data["truncated"] is True
    assert said.data["message"] == "The first 3 of 5 entries are shown."


@pytest.mark.parametrize("path", ["missing", "file"])
async def test_only_directories_are_listed(tmp_path: Path, path: str):
    (tmp_path / "file").touch()
    async with calls_in(tmp_path) as call:
        assert path in (await call("listDirectory", path=path)).message


@pytest.mark.parametrize("mode", MODES)
async def test_making_a_directory_twice_is_the_same_as_once(tmp_path: Path, mode: str):
    async with calls_in(tmp_path, mode=mode) as call:
        first = await call("createDirectory", path="a/b/c")
        again = await call("createDirectory", path="a/b/c")
    assert first.data == again.data == {"path": str(tmp_path / "a/b/c")}
    assert (tmp_path / "a/b/c").is_dir()


async def test_a_directory_is_not_made_where_a_file_is(tmp_path: Path):
    (tmp_path / "a").touch()
    async with calls_in(tmp_path) as call:
        assert (await call("createDirectory", path="a")).is_error
        assert (await call("createDirectory", path="a/b")).is_error


async def test_a_directory_that_holds_something_needs_recursive(tmp_path: Path):
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("canary")
    (tmp_path / "a/b/c").mkdir(parents=True)
    (tmp_path / "a/b/file").touch()
    (tmp_path / "a/link").symlink_to("../kept")
    async with calls_in(tmp_path) as call:
        refused = await call("deleteDirectory", path="a")
        assert (tmp_path / "a/b/file").exists()
        done = await call("deleteDirectory", path="a", recursive=True)
        empty = await call("deleteDirectory", path="kept/../kept")
    assert "recursive" in refused.message
    assert done.data == {"path": str(tmp_path / "a")}
    assert empty.is_error
    assert set(tree(tmp_path)) == {"kept", "kept/file"}


@pytest.mark.parametrize("path", [".", "/", "a/..", "./"])
async def test_the_workspace_itself_is_not_deleted_or_moved(tmp_path: Path, path: str):
    (tmp_path / "a").mkdir()
    async with calls_in(tmp_path) as call:
        deleted = await call("deleteDirectory", path=path, recursive=True)
        moved = await call("moveFile", source=path, destination="b")
    assert deleted.is_error
    assert moved.is_error
    assert set(tree(tmp_path)) == {"a"}


async def test_a_link_is_deleted_as_a_file_and_not_as_a_directory(tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to("a")
    async with calls_in(tmp_path) as call:
        assert (await call("deleteDirectory", path="link", recursive=True)).is_error
        assert not (await call("deleteFile", path="link")).is_error
    assert set(tree(tmp_path)) == {"a"}
