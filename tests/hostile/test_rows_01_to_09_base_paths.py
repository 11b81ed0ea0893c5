"""Ways out of the workspace, and into the runtime's own folder."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from base.kit import MODES, calls_in, path_calls, tree
from perstack.base.paths import is_reserved

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.anyio, pytest.mark.hostile, pytest.mark.parametrize("mode", MODES)]


class Ground:
    """A workspace with one file, beside a directory that must not change or be seen."""

    def __init__(self, top: Path) -> None:
        self.workspace = top / "ws"
        self.outside = top / "outside"
        self.sibling = top / "ws-evil"
        for folder in (self.workspace / "sub", self.outside / "d", self.sibling):
            folder.mkdir(parents=True)
        for file in ("outside/secret", "outside/d/secret", "ws-evil/secret"):
            (top / file).write_text("canary")
        (self.workspace / "mine.txt").write_text("mine")
        self.before = tree(self.outside) | tree(self.sibling)


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    made = Ground(tmp_path)
    yield made
    assert tree(made.outside) | tree(made.sibling) == made.before
    assert {path.name for path in tmp_path.iterdir()} == {"ws", "outside", "ws-evil"}


async def refusals(ground: Ground, mode: str, path: str, *, is_link: bool = False) -> list[str]:
    """Why each tool would not touch the path; fails where one did, or told what is there.

    Tools that act on a link itself are left out where the path is a link in the workspace.
    """
    messages: list[str] = []
    async with calls_in(ground.workspace, mode=mode) as call:
        for name, args in path_calls(path):
            if is_link and (name == "deleteFile" or args.get("source") == path):
                continue
            said = await call(name, **args)
            assert said.is_error, (name, said.data)
            assert "canary" not in said.message
            messages.append(said.message)
    return messages


UP = [
    *("../outside/secret", "sub/../../outside/secret", "./././../outside/secret"),
    *("sub/../sub/../../outside/d/", "sub//..//..//outside/d", "..", "../", "sub/../.."),
    "../ws-evil/secret",
    "../ws-evil/new/file",
    "missing/../../outside/secret",
]


@pytest.mark.parametrize("path", UP)
async def test_row_01_no_path_goes_up_and_out(ground: Ground, mode: str, path: str):
    messages = await refusals(ground, mode, path)
    if not path.startswith("missing"):
        assert all(message.endswith("is outside the workspace.") for message in messages)


@pytest.mark.parametrize(
    "path", ["../" * 5000 + "etc/passwd", "sub/../" * 2500 + "../x", "x" * 300]
)
async def test_row_01_a_path_of_thousands_of_components_is_refused(
    ground: Ground, mode: str, path: str
):
    await refusals(ground, mode, path)


@pytest.mark.parametrize("kind", ["outside", "sibling"])
async def test_rows_02_and_03_absolute_paths_outside_are_refused(
    ground: Ground, mode: str, kind: str
):
    path = f"{getattr(ground, kind)}/secret"
    for form in (path, f"/{path}", f"{ground.workspace}/../{kind}/secret"):
        messages = await refusals(ground, mode, form)
        assert all("outside the workspace" in message for message in messages)


async def test_row_02_absolute_paths_inside_are_allowed(ground: Ground, mode: str):
    async with calls_in(ground.workspace, mode=mode) as call:
        for path in (f"{ground.workspace}/mine.txt", f"/{ground.workspace}/./sub/..//mine.txt"):
            assert (await call("readTextFile", path=path)).data["content"] == "mine"


@pytest.mark.parametrize("path", ["~/x", "~root/x", "~", "$HOME/x", "file:///x", "%2e%2e/x"])
async def test_row_04_a_tilde_a_variable_and_a_url_are_names(
    ground: Ground, mode: str, path: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HOME", str(ground.outside))
    async with calls_in(ground.workspace, mode=mode) as call:
        said = await call("writeTextFile", path=path, text="mine")
        assert (await call("readTextFile", path=path)).data["content"] == "mine"
    assert said.data["path"] == f"{ground.workspace}/{Path(path)}"


@pytest.mark.parametrize(
    "path", ["file", "chain", "abs", "dir/secret", "sub/up/outside/secret", "dangling", "dir/new/x"]
)
async def test_row_05_no_link_leads_out(ground: Ground, mode: str, path: str):
    inside = ground.workspace
    (inside / "file").symlink_to("../outside/secret")
    (inside / "abs").symlink_to(ground.outside / "secret")
    (inside / "chain").symlink_to("chain2")
    (inside / "chain2").symlink_to("sub/chain3")
    (inside / "sub/chain3").symlink_to("../file")
    (inside / "dir").symlink_to(ground.outside)
    (inside / "sub/up").symlink_to("../..")
    (inside / "dangling").symlink_to("../outside/new")
    await refusals(ground, mode, path, is_link="/" not in path)


async def test_row_05_links_themselves_can_be_moved_and_deleted(ground: Ground, mode: str):
    (ground.workspace / "abs").symlink_to(ground.outside / "secret")
    async with calls_in(ground.workspace, mode=mode) as call:
        assert not (await call("moveFile", source="abs", destination="abs2")).is_error
        assert (await call("readTextFile", path="abs2")).is_error
        assert not (await call("deleteFile", path="abs2")).is_error


async def test_row_05_links_that_stay_inside_are_followed(ground: Ground, mode: str):
    (ground.workspace / "rel").symlink_to("sub/../mine.txt")
    (ground.workspace / "abs").symlink_to(ground.workspace / "mine.txt")
    (ground.workspace / "sub/abs-dir").symlink_to(ground.workspace)
    (ground.workspace / "new").symlink_to("sub/new")
    async with calls_in(ground.workspace, mode=mode) as call:
        for path in ("rel", "abs", "sub/abs-dir/rel", "sub/abs-dir/sub/../abs"):
            assert (await call("readTextFile", path=path)).data["content"] == "mine"
        said = await call("writeTextFile", path="new", text="made")
    assert said.data["path"] == f"{ground.workspace}/sub/new"
    assert (ground.workspace / "sub/new").read_text() == "made"


@pytest.mark.parametrize("path", ["loop/x", "self/x", "self"])
async def test_row_05_a_loop_of_links_ends_in_an_error(ground: Ground, mode: str, path: str):
    (ground.workspace / "loop").symlink_to("loop2")
    (ground.workspace / "loop2").symlink_to("loop")
    (ground.workspace / "self").symlink_to("self/self/self")
    await refusals(ground, mode, path, is_link="/" not in path)


SWAP = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
a, b = os.fsencode(sys.argv[1]), os.fsencode(sys.argv[2])
print("ready", flush=True)
while True:
    libc.renameat2(-100, a, -100, b, 2)
"""


SWAPPED_CALLS: list[tuple[str, dict[str, object]]] = [
    ("writeTextFile", {"path": "d/secret", "text": "mine"}),
    ("readTextFile", {"path": "d/secret"}),
    ("editTextFile", {"path": "d/secret", "oldText": "a", "newText": "b"}),
    ("appendTextFile", {"path": "d/secret", "text": "mine"}),
    ("getFileInfo", {"path": "d/secret"}),
    ("listDirectory", {"path": "d"}),
    ("createDirectory", {"path": "d/made/more"}),
    ("moveFile", {"source": "d/secret", "destination": "d/made/more/f"}),
    ("deleteFile", {"path": "d/made/more/f"}),
    ("deleteDirectory", {"path": "d/made", "recursive": True}),
    ("deleteFile", {"path": "d/secret"}),
]


@pytest.fixture
def _swapped(ground: Ground) -> Iterator[None]:
    """All the while, `d` is a directory of the workspace and a link to outside by turns."""
    if sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "renameat2"):
        pytest.skip("swapping two names at once needs renameat2")
    names = [str(ground.workspace / "d"), str(ground.workspace / "link")]
    Path(names[0]).mkdir()
    Path(names[1]).symlink_to(ground.outside)
    argv = [sys.executable, "-c", SWAP, *names]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as swapper:
        try:
            assert swapper.stdout is not None
            swapper.stdout.readline()
            yield
        finally:
            swapper.kill()


@pytest.mark.usefixtures("_swapped")
async def test_row_06_a_directory_swapped_for_a_link_leaks_and_takes_nothing(
    ground: Ground, mode: str
):
    answered = refused = 0
    async with calls_in(ground.workspace, mode=mode) as call:
        until = anyio.current_time() + 2
        while anyio.current_time() < until:
            for name, args in SWAPPED_CALLS:
                said = await call(name, **args)
                answered += not said.is_error
                refused += said.is_error
                assert "canary" not in str(said.data)
                items = {item["name"] for item in said.data.get("items", ())}
                assert items <= {"secret", "made"}
    assert answered > 50  # both outcomes happen, so there was a race to win
    assert refused > 50


@pytest.mark.parametrize(
    ("tool", "more"),
    [
        ("writeTextFile", {"text": "new"}),
        ("appendTextFile", {"text": "new"}),
        ("editTextFile", {"oldText": "can", "newText": "new"}),
        ("deleteFile", {}),
    ],
)
async def test_row_07_a_hard_link_to_an_outside_file_does_not_write_it(
    ground: Ground, mode: str, tool: str, more: dict[str, str]
):
    os.link(ground.outside / "secret", ground.workspace / "hard")
    async with calls_in(ground.workspace, mode=mode) as call:
        assert not (await call(tool, path="hard", **more)).is_error
    assert (ground.outside / "secret").stat().st_nlink == 1
    if tool != "deleteFile":
        assert "new" in (ground.workspace / "hard").read_text()


STORE_NAMES = [
    *("perstack", "Perstack", "PERSTACK/", "./perstack//jobs/j", "perstack/.", "perstack/jobs/j"),
    *(
        "sub/../perstack/jobs/j",
        "perstack/jobs/..",
        "\uff50\uff45\uff52stack/jobs/j",
        "PER\u017fTACK/jobs",
    ),
    "per\u200cstack/jobs/j",
]


def keep_store(ground: Ground) -> dict[str, object]:
    store = ground.workspace / "perstack"
    (store / "jobs").mkdir(parents=True)
    (store / "jobs/j").write_text("canary")
    return tree(store)


@pytest.mark.parametrize("path", STORE_NAMES)
@pytest.mark.parametrize("exists", [True, False])
async def test_row_08_the_store_is_out_of_reach_by_any_spelling(
    ground: Ground, mode: str, path: str, exists: bool
):
    before = keep_store(ground) if exists else None
    messages = await refusals(ground, mode, path)
    if before is not None:
        assert all("out of reach" in message for message in messages)
        assert tree(ground.workspace / "perstack") == before
    assert set(tree(ground.workspace)) <= {
        "sub",
        "mine.txt",
        "perstack",
        *(f"perstack/{name}" for name in before or ()),
    }


def test_row_08_other_names_are_not_reserved(mode: str):
    for name in ("perstack2", "my-perstack", "perstack.toml", "perstac", "përstack", "p"):
        assert not is_reserved(name)


@pytest.mark.parametrize(
    "path", ["p/jobs/j", "p/jobs", "p", "q/j", "q/new/x", "sub/r/p/jobs/j", "f"]
)
async def test_row_09_no_alias_leads_to_the_store(ground: Ground, mode: str, path: str):
    before = keep_store(ground)
    inside = ground.workspace
    (inside / "p").symlink_to("perstack")
    (inside / "q").symlink_to(inside / "perstack/jobs")
    (inside / "sub/r").symlink_to("..")
    (inside / "f").symlink_to("perstack/jobs/j")
    await refusals(ground, mode, path, is_link=path in {"p", "f"})
    assert tree(inside / "perstack") == before


async def test_row_09_a_store_that_is_a_link_hides_what_it_points_to(
    ground: Ground,
    mode: str,
):
    (ground.workspace / "real/jobs").mkdir(parents=True)
    (ground.workspace / "real/jobs/j").write_text("canary")
    (ground.workspace / "perstack").symlink_to("real")
    before = tree(ground.workspace / "real")
    for path in ("real/jobs/j", "real", "sub/../real/jobs"):
        messages = await refusals(ground, mode, path)
        assert all("out of reach" in message for message in messages)
    assert tree(ground.workspace / "real") == before


@pytest.fixture
def _mounted_twice(ground: Ground) -> Iterator[None]:
    keep_store(ground)
    alias = ground.workspace / "alias"
    alias.mkdir()
    mount = ["mount", "--bind", ground.workspace / "perstack", alias]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no bind mounts here")
    yield
    subprocess.run(["umount", alias], check=True)


@pytest.mark.usefixtures("_mounted_twice")
async def test_row_09_a_second_mount_of_the_store_is_known_by_what_it_is(ground: Ground, mode: str):
    before = tree(ground.workspace / "perstack")
    for path in ("alias", "alias/jobs/j", "alias/new/x"):
        await refusals(ground, mode, path)
    assert tree(ground.workspace / "perstack") == before
