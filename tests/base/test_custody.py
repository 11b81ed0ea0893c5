"""Keepers that are started ahead are taken, replaced, sent home, and no fork's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import anyio
import pytest

from base.kit import is_alive, open_descriptors
from conftest import gone_within
from perstack.base import custody
from perstack.base.custody import keepers_ahead
from perstack.base.launch import Launch, Streams
from perstack.base.lifeline import LIFELINE
from perstack.base.tree import Tree

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="a keeper needs what only Linux has"),
]


def keepers() -> list[int]:
    """The keepers that have nothing to keep yet."""
    return [keeper.process.pid for keeper in custody._IDLE]


async def answer_of(script: str) -> tuple[str, int]:
    """What a kept shell prints, and the number of its keeper."""
    read, write = os.pipe()
    nothing = os.open(os.devnull, os.O_RDWR)
    environ = {"PATH": os.environ["PATH"]}
    launch = Launch("/bin/sh", ("sh", "-c", script), "/", environ, "PERSTACK_EXEC", is_kept=True)
    LIFELINE.hold()
    tree = Tree(launch, os.fstat(read).st_ino, Streams(nothing, write, nothing))
    keeper = tree._process.pid
    for fd in (write, nothing):
        os.close(fd)
    try:
        with anyio.fail_after(20):
            await tree.exited()
        return os.read(read, 1000).decode(), keeper
    finally:
        os.close(read)
        await tree.end_stragglers()
        tree.close()
        await LIFELINE.let_go()


def counted_by_a_fork() -> int:
    """How many idle keepers, and lines, a fork of this process has."""
    pid = os.fork()
    if not pid:
        os._exit(len(custody._IDLE) + len(custody._LINES))
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


async def test_a_keeper_that_was_started_ahead_is_taken_and_the_rest_is_sent_home():
    before = open_descriptors()
    async with keepers_ahead(2):
        first, second = keepers()
        assert LIFELINE.pid is not None
        assert await answer_of("echo hello") == ("hello\n", first)
        assert keepers() == [second]
    assert keepers() == []
    assert LIFELINE.pid is None
    assert set() == custody._LINES
    assert open_descriptors() == before


async def test_more_are_started_where_those_ahead_do_not_suffice():
    async with keepers_ahead(1):
        (only,) = keepers()
        assert (await answer_of("exit 3"))[1] == only
        assert (await answer_of("exit 3"))[1] != only


async def test_one_that_was_killed_meanwhile_is_replaced():
    async with keepers_ahead(1):
        (killed,) = keepers()
        os.kill(killed, signal.SIGKILL)
        assert gone_within(20, killed)
        said, keeper = await answer_of("echo hello")
        assert (said, keeper == killed) == ("hello\n", False)
    assert keepers() == []


async def test_none_are_started_where_none_are_asked_for():
    async with keepers_ahead(0):
        assert keepers() == []
        assert LIFELINE.pid is None


async def test_they_are_sent_home_when_the_run_is_cancelled():
    ahead: list[int] = []
    with anyio.CancelScope() as scope:
        async with keepers_ahead(1):
            ahead = keepers()
            scope.cancel()
            await anyio.sleep_forever()
    assert [is_alive(pid) for pid in ahead] == [False]
    assert scope.cancelled_caught
    assert keepers() == []
    assert LIFELINE.pid is None


async def test_a_fork_of_the_process_counts_on_none_of_them():
    async with keepers_ahead(1):
        assert counted_by_a_fork() == 0
        (ahead,) = keepers()
        assert (await answer_of("echo hello")) == ("hello\n", ahead)


def test_one_ends_with_the_process_that_started_it():
    script = """
import os, anyio
from perstack.base.custody import keepers_ahead, _IDLE

async def main():
    async with keepers_ahead(1):
        print(_IDLE[0].process.pid, flush=True)
        os.kill(os.getpid(), 9)

anyio.run(main)
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert gone_within(20, int(ended.stdout))
