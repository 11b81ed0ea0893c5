"""Things that are no plain file, or too much of one. Row 83 as well: edits are literal."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from base.kit import MODES, calls_in, path_calls, tree
from perstack.base import Caps

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.anyio, pytest.mark.hostile]

MIB = 1024 * 1024
READERS = ("readTextFile", "readImageFile", "readPdfFile")


@pytest.fixture
def memory_disk() -> Iterator[Path]:
    """A directory in memory, where the system has one."""
    shm = Path("/dev/shm")
    top = Path(tempfile.mkdtemp(dir=shm if os.access(shm, os.W_OK) else None))
    yield top
    shutil.rmtree(top, ignore_errors=True)


@contextlib.contextmanager
def little_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 64 * MIB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", ["fifo", "socket", "device"])
@pytest.mark.parametrize("mode", MODES)
async def test_row_12_what_is_no_regular_file_is_refused_at_once(
    tmp_path: Path, kind: str, mode: str
):
    odd = tmp_path / "odd"
    with contextlib.ExitStack() as stack:
        if kind == "fifo":
            os.mkfifo(odd)
        elif kind == "socket":
            stack.enter_context(socket.socket(socket.AF_UNIX)).bind(str(odd))
        else:
            try:
                os.mknod(odd, 0o020666, os.makedev(1, 3))
            except PermissionError:
                pytest.skip("device nodes need root")
        (tmp_path / "link").symlink_to("odd")
        before = odd.lstat()
        async with calls_in(tmp_path, mode=mode) as call:
            with anyio.fail_after(2):
                for path in ("odd", "link"):
                    for name, args in path_calls(path):
                        if "TextFile" in name or name in READERS:
                            said = await call(name, **args)
                            assert said.message == f"Path {path} is not a regular file."
        assert odd.lstat().st_ino == before.st_ino


@pytest.mark.parametrize("size", [1 << 40, 200 * MIB])
async def test_row_13_a_huge_file_is_refused_before_it_is_read(tmp_path: Path, size: int):
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(size)
    async with calls_in(tmp_path) as call:
        with little_memory(), anyio.fail_after(2):
            for name in READERS:
                assert "at most" in (await call(name, path="huge")).message
            assert "at most" in (await call("appendTextFile", path="huge", text="x")).message
            edit = await call("editTextFile", path="huge", oldText="x", newText="y")
            assert "at most" in edit.message
            assert (await call("getFileInfo", path="huge")).data["size"] == size


async def test_row_13_one_line_of_fifty_mebibytes_is_refused(tmp_path: Path):
    (tmp_path / "line").write_bytes(b"x" * (50 * MIB))
    async with calls_in(tmp_path) as call:
        with little_memory():
            said = await call("readTextFile", path="line", first_line=0, to=1)
    assert said.message == "File line has 50.00 MB; at most 8.00 MB can be used."


NAMES = [
    *(b"new\nline", b"esc\x1b[31m", "rtl\u202eexe.txt".encode(), b"x" * 255),
    *(b"\xff\xfe\x00"[:2], b"bad\xc3(", "\u00e9".encode()),
]


async def test_row_14_any_name_is_listed_as_valid_text(tmp_path: Path):
    for name in NAMES:
        (tmp_path / os.fsdecode(name)).write_text("x")
    async with calls_in(tmp_path) as call:
        said = await call("listDirectory", path=".")
        assert not said.is_error
        text = said.output.contents[0].text  # type: ignore[union-attr]
        text.encode()  # no lone surrogates
        assert "\x1b" not in text
        assert "\n" not in text
        names = {item["name"] for item in said.data["items"]}
        assert names == {
            *("new\nline", "esc\x1b[31m", "rtl\u202eexe.txt", "x" * 255),
            *("\\xff\\xfe", "bad\\xc3(", "\u00e9"),
        }
        for name in ("new\nline", "esc\x1b[31m", "rtl\u202eexe.txt", "x" * 255, "\u00e9"):
            assert (await call("readTextFile", path=name)).data["content"] == "x"
            assert not (await call("writeTextFile", path=name, text="y")).is_error


async def test_row_14_a_workspace_with_an_odd_name_works(tmp_path: Path):
    workspace = tmp_path / os.fsdecode(b"ws-\xff\n")
    workspace.mkdir()
    async with calls_in(workspace) as call:
        said = await call("writeTextFile", path="a", text="x")
        assert said.data["path"] == f"{tmp_path}/ws-\\xff\n/a"
        assert (await call("healthCheck")).data["workspace"].endswith("ws-\\xff\n")
        assert (await call.exec("ls")).data["output"] == "a\n"


@pytest.mark.slow
async def test_row_15_a_crowded_directory_is_listed_in_part(memory_disk: Path):
    folder = os.open(memory_disk, os.O_RDONLY)
    for number in range(200_000):
        os.close(os.open(f"{number:06}", os.O_CREAT | os.O_WRONLY, dir_fd=folder))
    os.close(folder)
    async with calls_in(memory_disk) as call:
        with little_memory():
            said = await call("listDirectory", path=".")
        assert len(said.data["items"]) == 2000
        assert said.data["truncated"] is True
        assert said.data["message"] == "The first 2000 of more than 100000 entries are shown."


@pytest.mark.parametrize("mode", MODES)
async def test_row_15_a_tree_deeper_than_any_path_is_deleted(memory_disk: Path, mode: str):
    fd = os.open(memory_disk, os.O_RDONLY)
    for _ in range(2000):
        os.mkdir("deeper", dir_fd=fd)
        below = os.open("deeper", os.O_RDONLY, dir_fd=fd)
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=below))
        os.symlink(".", "loop", dir_fd=below)
        os.close(fd)
        fd = below
    os.close(fd)
    async with calls_in(memory_disk, mode=mode) as call:
        deep = "/".join(["deeper"] * 500)
        assert len((await call("listDirectory", path=deep)).data["items"]) == 3
        assert (await call("listDirectory", path="deeper/loop/loop/deeper")).data["items"]
        said = await call("deleteDirectory", path="deeper", recursive=True)
    assert not said.is_error
    assert tree(memory_disk) == {}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "path",
    [
        *("/proc/self/environ", "/proc/1/environ", "/proc/OUR-ID/environ"),
        *("/proc/self/root/etc/passwd", "/proc/self/cwd", "/proc/self/fd/0", "/dev/stdin"),
    ],
)
async def test_row_16_the_process_is_not_a_way_out(
    tmp_path: Path, mode: str, path: str, monkeypatch: pytest.MonkeyPatch
):
    path = path.replace("OUR-ID", str(os.getpid()))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(path)
    (tmp_path / "proc").symlink_to("/proc/self")
    (tmp_path / "a").write_text("x")
    async with calls_in(tmp_path, mode=mode) as call:
        for way in (path, "link", "link/a", f"proc/root/{tmp_path}/a", "proc/cwd/a"):
            for name in (*READERS, "listDirectory", "getFileInfo"):
                assert "outside the workspace" in (await call(name, path=way)).message


async def test_row_83_edits_are_literal_whatever_they_look_like(tmp_path: Path):
    text = "(a+)+$ " + "a" * 100_000 + "! **/**/** \\1 $& $1"
    (tmp_path / "a").write_text(text)
    async with calls_in(tmp_path) as call:
        before = time.thread_time()
        for old, new in (("(a+)+$", "$&"), ("**/**/**", "\\1 \\g<0>"), ("$1", "(b+)+$")):
            assert not (await call("editTextFile", path="a", oldText=old, newText=new)).is_error
            text = text.replace(old, new, 1)
        assert time.thread_time() - before < 1
        assert (tmp_path / "a").read_text() == text
        assert (
            "$.oldText" in (await call("editTextFile", path="a", oldText="", newText="x")).message
        )


async def test_row_83_a_replacement_of_ten_megabytes_is_refused(tmp_path: Path):
    (tmp_path / "a").write_text("old")
    async with calls_in(tmp_path, caps=Caps(write=8 * MIB)) as call:
        said = await call("editTextFile", path="a", oldText="old", newText="x" * 10_000_000)
        wide = await call("editTextFile", path="a", oldText="x" * 10_000_000, newText="y")
    assert "at most 8.00 MB can be written" in said.message
    assert wide.is_error
    assert (tmp_path / "a").read_text() == "old"
