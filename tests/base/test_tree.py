"""A tree of processes is found whole, also where descriptors or processes' numbers run out."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import anyio
import pytest

from base.kit import is_alive
from perstack.base import tree as module
from perstack.base.launch import Launch, Streams
from perstack.base.lifeline import LIFELINE
from perstack.base.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Generator

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.timeout(30),
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc"),
]

PATH = {"PATH": os.environ["PATH"]}
LEAVES = "setsid sh -c 'echo $$; exec sleep 1000' & sleep 1000"
"""A process in a session of its own, which says its number."""


async def left_behind() -> tuple[Tree, int]:
    """A tree whose root was killed, and the process that it leaves in another session."""
    read, write = os.pipe()
    launch = Launch("/bin/sh", ("sh", "-c", LEAVES), "/", PATH, "MARK")
    streams = Streams(subprocess.DEVNULL, write, subprocess.DEVNULL)
    tree = Tree(launch, os.fstat(read).st_ino, streams)
    os.close(write)
    await anyio.wait_readable(read)
    pid = int(os.read(read, 100))
    os.close(read)
    tree.signal(signal.SIGKILL)
    await tree.exited()
    return tree, pid


@contextlib.contextmanager
def no_descriptor() -> Generator[None]:
    """There is none left but what is closed meanwhile."""
    taken: list[int] = []
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))
    try:
        for _ in range(256):
            with contextlib.suppress(OSError):
                taken.append(os.dup(0))
        with pytest.raises(OSError, match="Too many open files"):
            os.dup(0)
        yield
    finally:
        for fd in taken:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


async def test_what_is_left_is_found_with_no_descriptor_but_that_of_the_process():
    LIFELINE.hold()
    tree, pid = await left_behind()
    assert is_alive(pid)
    with no_descriptor():
        await tree.end_stragglers()
    tree.close()
    await LIFELINE.let_go()
    assert not is_alive(pid)


@pytest.mark.parametrize("started", [0, 10**9])
async def test_what_is_left_is_found_where_its_number_is_lower_than_its_parents(
    monkeypatch: pytest.MonkeyPatch, started: int
):
    LIFELINE.hold()
    tree, pid = await left_behind()
    forks = module._forks()
    assert forks > 0
    monkeypatch.setattr(module, "_forks", lambda: forks + started)
    monkeypatch.setattr(tree._process, "pid", pid + 1)  # as if they had come round
    found = tree._younger()
    monkeypatch.undo()
    assert (pid in found) == (started > 0)
    await tree.end_stragglers()
    tree.close()
    await LIFELINE.let_go()
    assert not is_alive(pid)
