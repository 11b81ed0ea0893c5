"""A process and everything it starts: begun with a mark, found by it, and made to end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import anyio

from perstack.base.lifeline import LIFELINE

_ROUNDS = 20
_PAUSE = 0.01


class Launch(NamedTuple):
    """A program and everything it starts with. `mark` names the variable that marks it."""

    program: str
    argv: Sequence[str]
    directory: str
    env: Mapping[str, str]
    mark: str


class Streams(NamedTuple):
    """The ends of the standard streams that a process is given."""

    stdin: int
    stdout: int
    stderr: int


class Tree:
    """A started process, the leader of its own session and group, tied to the life of this one.

    Contract: until `close`, its id, and its group's, is no one else's, where the
    system has descriptors for processes. `number` makes the mark its own among
    all that this process starts: that of a pipe which is open as long as it is.

    Raises:
        OSError: the program, or its watcher, cannot be started.
    """

    def __init__(self, launch: Launch, number: int, streams: Streams) -> None:
        value = f"{os.getpid()}.{number}"
        self._mark = f"{launch.mark}={value}".encode()
        LIFELINE.tie(f"{launch.mark}={os.getpid()}.")
        self._process = subprocess.Popen(
            launch.argv,
            executable=launch.program,
            stdin=streams.stdin,
            stdout=streams.stdout,
            stderr=streams.stderr,
            cwd=launch.directory,
            env={**launch.env, launch.mark: value},
            start_new_session=True,
        )
        self._pidfd = _open_pidfd(self._process.pid)

    @property
    def code(self) -> int | None:
        """The exit status, negative for a signal, once it has been reaped."""
        return self._process.returncode

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the whole group."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)

    def has_exited(self) -> bool:
        """Whether it has ended."""
        return self.status() is not None

    def status(self) -> int | None:
        """Its exit status as in `code`. Where the system allows, this does not reap it."""
        if self._pidfd is None:
            return self._process.poll()
        flags = os.WEXITED | os.WNOWAIT | os.WNOHANG
        try:
            found = os.waitid(os.P_PID, self._process.pid, flags)
        except ChildProcessError:
            return self._process.poll() or 0
        if found is None:
            return None
        return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status

    async def exited(self) -> None:
        """Return once it has ended."""
        if self._pidfd is not None:
            await anyio.wait_readable(self._pidfd)
            return
        while not self.has_exited():  # noqa: ASYNC110 - no descriptor tells of its end here
            await anyio.sleep(_PAUSE)

    async def end_stragglers(self) -> None:
        """Kill what left the group but carries the mark."""
        for _ in range(_ROUNDS):
            found = [pid for pid in _younger(self._process.pid) if self._is_marked(pid)]
            if not found:
                return
            for pid in found:
                self._kill_marked(pid)
            await anyio.sleep(_PAUSE)

    def close(self) -> None:
        """Reap it, if it has ended, and let go of it."""
        self._process.poll()
        if self._pidfd is not None:
            os.close(self._pidfd)

    def _is_marked(self, pid: int) -> bool:
        try:
            environ = Path("/proc", str(pid), "environ").read_bytes()
        except OSError:
            return False
        return self._mark in environ.split(b"\0")

    def _kill_marked(self, pid: int) -> None:
        pidfd = _open_pidfd(pid)
        if pidfd is None:
            return
        try:
            if self._is_marked(pid):  # the id may have passed to another process
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        finally:
            os.close(pidfd)


def _open_pidfd(pid: int) -> int | None:
    """A descriptor that stands for the process, where the system has such."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None


def _younger(pid: int) -> list[int]:
    """Processes that may have been started after `pid`; all, when the ids have come round."""
    try:
        newest = int(Path("/proc/loadavg").read_text().split()[-1])
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208
    except (OSError, ValueError):
        return []
    floor = pid if newest >= pid else 0
    return [one for one in pids if one > floor]
