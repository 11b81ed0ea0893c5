"""What a process leaves behind is found by a keeper, whatever its session and environment."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import anyio

from perstack.base.environment import MARK
from perstack.base.launch import Launch, Streams
from perstack.base.lifeline import LIFELINE, PATIENCE, can_watch, loader_environment

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

_KEEPER = Path(__file__).with_name("keeper.py")
_FORKS = re.compile(rb"^processes (\d+)$", re.MULTILINE)


class _Keeper(NamedTuple):
    """A keeper, our end of its line, and how many processes there had been before it."""

    process: subprocess.Popen[bytes]
    line: socket.socket
    forks: int


_LINES: set[socket.socket] = set()
"""Our ends of the lines of all keepers."""
_IDLE: list[_Keeper] = []
"""Keepers that have nothing to keep yet."""


class Custody:
    """One keeper: a process that starts a launch, and kills all that descends from it in the end.

    Contract: that end is `close`, the end of what was started, or that of this process,
    however it comes about. A fork of this process holds none of it up. `forks` is how many
    processes there had been before the keeper, once it is started.

    Raises:
        OSError: there is no such program or folder, or no descriptor left.
        ValueError: a word of the launch has a null byte in it.
    """

    def __init__(self, launch: Launch) -> None:
        for path in (launch.directory, launch.program):
            Path(path).stat()
        self._plan = _packed(launch)
        self._line: socket.socket | None = None
        self.forks = 0

    def start(self, streams: Streams) -> subprocess.Popen[bytes]:
        """Start it, in a session of its own, with nothing of ours but what it needs."""
        plan = os.memfd_create("plan")
        try:
            os.write(plan, self._plan)
            keeper = _engaged([plan, *streams])
        finally:
            os.close(plan)
        self._line = keeper.line
        self.forks = keeper.forks
        return keeper.process

    def signal(self, number: signal.Signals) -> None:
        """Hand SIGTERM on to the group of what was started, or end all of it."""
        if number == signal.SIGKILL:
            self.close()
        elif self._line is not None:
            with contextlib.suppress(BrokenPipeError):
                self._line.send(b"T")

    def close(self) -> None:
        """Let it end everything."""
        line, self._line = self._line, None
        if line is not None:
            _hang_up(line)


@contextlib.asynccontextmanager
async def keepers_ahead(count: int) -> AsyncGenerator[None]:
    """So many keepers are started now, and the watcher, for what will soon be started.

    An interpreter takes its time to come up, and meanwhile this one can do something else.
    What is not needed is gone in the end. Where they cannot be started, whoever needs one
    is told.
    """
    if not count or not can_keep():
        yield
        return
    LIFELINE.hold()
    ahead: list[_Keeper] = []
    try:
        with contextlib.suppress(OSError):
            LIFELINE.tie(f"{MARK}={os.getpid()}.")
            for _ in range(count):
                ahead.append(_start())
                _IDLE.append(ahead[-1])
        yield
    finally:
        for keeper in ahead:
            if keeper in _IDLE:
                _IDLE.remove(keeper)
                await _dismiss(keeper)
        await LIFELINE.let_go()


def can_keep() -> bool:
    """Whether this system has what a keeper takes, all of it Linux's.

    An older kernel, or a sandbox, may refuse a descriptor for a process.
    """
    if not (can_watch() and hasattr(os, "memfd_create") and hasattr(os, "pidfd_open")):
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError as error:
        return error.errno not in {errno.ENOSYS, errno.EPERM}
    return True


def forks_so_far() -> int:
    """How many processes and threads were ever started here; 0 where that is not told."""
    try:
        found = _FORKS.search(Path("/proc/stat").read_bytes())
    except OSError:
        return 0
    return int(found[1]) if found else 0


def _engaged(descriptors: list[int]) -> _Keeper:
    """A keeper that has taken these: one that is idle, if there is one alive, or a new one."""
    while True:
        try:
            keeper = _IDLE.pop(0)
        except IndexError:
            break
        try:
            socket.send_fds(keeper.line, [b"S"], descriptors)
        except OSError:  # somebody killed it
            _hang_up(keeper.line)
            keeper.process.kill()
            keeper.process.wait()
        else:
            return keeper
    keeper = _start()
    socket.send_fds(keeper.line, [b"S"], descriptors)
    return keeper


def _start() -> _Keeper:
    """A new keeper, with nothing of ours but its end of the line."""
    forks = forks_so_far()
    ours, theirs = socket.socketpair()
    with contextlib.ExitStack() as kept, theirs:
        kept.callback(ours.close)
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_KEEPER), str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=loader_environment(),
            pass_fds=(theirs.fileno(),),
            start_new_session=True,
        )
        kept.pop_all()
    _LINES.add(ours)
    return _Keeper(process, ours, forks)


async def _dismiss(keeper: _Keeper) -> None:
    """End a keeper that has nothing to keep, and reap it, even when cancelled."""
    _hang_up(keeper.line)
    keeper.process.kill()
    with anyio.move_on_after(PATIENCE, shield=True):
        while keeper.process.poll() is None:  # noqa: ASYNC110 - gone in a moment, killed as it is
            await anyio.sleep(0.001)


def _hang_up(line: socket.socket) -> None:
    _LINES.discard(line)
    line.close()


def _packed(launch: Launch) -> bytes:
    """Folder, program, number of arguments, arguments, variables, with a null byte between them."""
    variables = [f"{name}={value}" for name, value in launch.env.items()]
    words = [launch.directory, launch.program, str(len(launch.argv)), *launch.argv, *variables]
    if any("\0" in word for word in words):
        raise ValueError("embedded null byte")
    return b"\0".join(map(os.fsencode, words))


def _forget() -> None:
    """In a fork of the process: hold nobody else's line open, and count on no keeper of its."""
    while _LINES:
        _LINES.pop().close()
    while _IDLE:
        _IDLE.pop().process.returncode = 0  # no child of this process, so nothing to wait for


os.register_at_fork(after_in_child=_forget)
