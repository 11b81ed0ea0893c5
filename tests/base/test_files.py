from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from base.kit import MODES, calls_in, tree
from perstack.base import files

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


def no_renameat2(*_args: object) -> None:
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


@pytest.mark.parametrize("kind", ["file", "directory", "link"])
@pytest.mark.parametrize("old_kernel", [False, True])
async def test_a_move_makes_directories_and_never_overwrites(
    tmp_path: Path, kind: str, old_kernel: bool, monkeypatch: pytest.MonkeyPatch
):
    if old_kernel:
        monkeypatch.setattr(files, "rename_new", no_renameat2)
    source = tmp_path / "source"
    if kind == "directory":
        source.mkdir()
    elif kind == "link":
        source.symlink_to("nowhere")
    else:
        source.write_text("text")
    (tmp_path / "taken").write_text("kept")
    before = tree(tmp_path)
    async with calls_in(tmp_path) as call:
        taken = await call("moveFile", source="source", destination="taken")
        assert tree(tmp_path) == before
        moved = await call("moveFile", source="source", destination="new/place")
    assert taken.message == "Destination taken already exists."
    root = tmp_path
    assert moved.data == {"source": str(root / "source"), "destination": str(root / "new/place")}
    assert tree(tmp_path)["new/place"] == before["source"]
    assert "source" not in tree(tmp_path)


@pytest.mark.parametrize("old_kernel", [False, True])
async def test_a_directory_is_not_moved_into_itself(
    tmp_path: Path, old_kernel: bool, monkeypatch: pytest.MonkeyPatch
):
    if old_kernel:
        monkeypatch.setattr(files, "rename_new", no_renameat2)
    (tmp_path / "a").mkdir()
    async with calls_in(tmp_path) as call:
        said = await call("moveFile", source="a", destination="a/b")
    assert said.is_error
    assert set(tree(tmp_path)) == {"a"}


@pytest.mark.parametrize("mode", MODES)
async def test_file_info_tells_kind_size_times_and_permissions(tmp_path: Path, mode: str):
    (tmp_path / "a.json").write_text("x" * 2048)
    (tmp_path / "a.json").chmod(0o500)
    (tmp_path / "link").symlink_to(tmp_path / "a.json")
    async with calls_in(tmp_path, mode=mode) as call:
        said = await call("getFileInfo", path="link")
        folder = await call("getFileInfo", path=f"/{tmp_path}/.")
    root = str(tmp_path)
    assert {name: said.data[name] for name in ("path", "name", "directory", "type", "size")} == {
        "path": f"{root}/a.json",
        "name": "a.json",
        "directory": root,
        "type": "file",
        "size": 2048,
    }
    assert said.data["extension"] == ".json"
    assert said.data["mimeType"] == "application/json"
    assert said.data["sizeFormatted"] == "2.00 KB"
    assert said.data["permissions"] == {"readable": True, "writable": False, "executable": True}
    assert folder.data["type"] == "directory"
    assert folder.data["path"] == root


async def test_deleting_takes_files_and_not_directories(tmp_path: Path):
    (tmp_path / "a").touch()
    (tmp_path / "b").mkdir()
    async with calls_in(tmp_path) as call:
        assert (await call("deleteFile", path="a")).data == {"path": str(tmp_path / "a")}
        assert "deleteDirectory" in (await call("deleteFile", path="b")).message
        assert (await call("deleteFile", path="a")).message == "File a does not exist."
    assert set(tree(tmp_path)) == {"b"}
