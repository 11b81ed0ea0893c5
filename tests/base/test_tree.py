"""A tree of processes is found whole, also where descriptors or processes' numbers run out."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from base.kit import is_alive
from perstack.base import tree as module
from perstack.base.custody import forks_so_far
from perstack.base.launch import Launch, Streams
from perstack.base.lifeline import LIFELINE
from perstack.base.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc"),
]

PATH = {"PATH": os.environ["PATH"]}
LEAVES = "setsid sh -c 'echo $$; exec sleep 1000' & sleep 1000"
"""A process in a session of its own, which says its number."""


@pytest.fixture(autouse=True)
def _lifeline() -> Iterator[None]:
    LIFELINE.hold()
    yield
    anyio.run(LIFELINE.let_go)


async def left_behind(script: str = LEAVES) -> tuple[Tree, int]:
    """A tree whose root was killed, and the process that it leaves in another session."""
    read, write = os.pipe()
    launch = Launch("/bin/sh", ("sh", "-c", script), "/", PATH, "MARK")
    streams = Streams(subprocess.DEVNULL, write, subprocess.DEVNULL)
    tree = Tree(launch, os.fstat(read).st_ino, streams)
    os.close(write)
    await anyio.wait_readable(read)
    pid = int(os.read(read, 100))
    os.close(read)
    tree.signal(signal.SIGKILL)
    await tree.exited()
    return tree, pid


def comm(pid: int) -> str:
    """The name of a process, if there is one."""
    try:
        return Path("/proc", str(pid), "comm").read_text().strip()
    except OSError:
        return ""


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
    tree, pid = await left_behind()
    assert is_alive(pid)
    with no_descriptor():
        await tree.end_stragglers()
    tree.close()
    assert not is_alive(pid)


@pytest.mark.parametrize("started", [0, 10**9])
async def test_what_is_left_is_found_where_its_number_is_lower_than_its_parents(
    monkeypatch: pytest.MonkeyPatch, started: int
):
    tree, pid = await left_behind()
    forks = forks_so_far()
    assert forks > 0
    monkeypatch.setattr(module, "forks_so_far", lambda: forks + started)
    monkeypatch.setattr(tree._process, "pid", pid + 1)  # as if they had come round
    found = tree._younger()
    monkeypatch.undo()
    assert (pid in found) == (started > 0)
    await tree.end_stragglers()
    tree.close()
    assert not is_alive(pid)


async def test_what_is_left_is_found_while_it_executes_a_program(tmp_path: Path):
    program = tmp_path / "again"
    program.write_text(f"exec sh {program}\n")
    script = f"setsid sh -c 'echo $$; exec sh {program}' & sleep 1000"
    unseen = rounds = 0
    while rounds < 20 or not unseen:  # on a busy machine it takes more to see that moment
        rounds += 1
        tree, pid = await left_behind(script)
        unseen += sum(module._environment(pid) is None for _ in range(200))
        await tree.end_stragglers()
        tree.close()
        assert not is_alive(pid)


def test_a_process_without_an_environment_is_not_taken_for_one_that_executes():
    script, pipe = ["/bin/sh", "-c", "echo; read line"], subprocess.PIPE
    with subprocess.Popen(script, env={}, stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n"
        assert module._environment(process.pid) == b""
    assert module._environment(process.pid) == b""
    assert module._environment(os.getpid()) == Path("/proc/self/environ").read_bytes()


@pytest.mark.skipif(comm(2) != "kthreadd", reason="a container shows no thread of the kernel")
def test_a_thread_of_the_kernel_has_no_environment():
    assert module._environment(2) == b""
