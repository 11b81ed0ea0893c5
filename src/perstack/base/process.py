"""One child process: its output kept within bounds, and its end made certain."""

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

GRACE = 2.0
"""Seconds between the request to end and the kill."""

PATIENCE = 5.0
"""Seconds to wait for a killed process to be gone."""

_BLOCK = 64 * 1024
_PIPE_MAX = 1024 * 1024
_ROUNDS = 20
_PAUSE = 0.01


class Launch(NamedTuple):
    """A program and everything it starts with. `mark` names the variable that marks it."""

    program: str
    argv: Sequence[str]
    directory: str
    env: Mapping[str, str]
    mark: str


class Finished(NamedTuple):
    """How a command ended. `code` is None when it was killed at its time limit."""

    code: int | None
    stdout: str
    stderr: str


class Captured:
    """The beginning and the end of a stream, in memory of `cap` bytes at most twice over."""

    def __init__(self, cap: int) -> None:
        self._half = max(cap // 2, 1)
        self._head = bytearray()
        self._tail = bytearray()
        self._left_out = 0

    def add(self, data: bytes) -> None:
        """Take the next bytes."""
        room = self._half - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        self._tail += data
        over = len(self._tail) - self._half
        if over >= _BLOCK:
            self._drop(over)

    @property
    def text(self) -> str:
        """What was kept, with a line where something was left out."""
        over = len(self._tail) - self._half
        if over > 0:
            self._drop(over)
        gap = f"\n[{self._left_out} bytes left out]\n".encode() if self._left_out else b""
        return b"".join((self._head, gap, self._tail)).decode("utf-8", "replace")

    def _drop(self, count: int) -> None:
        del self._tail[:count]
        self._left_out += count


class Stream(NamedTuple):
    """The end of a pipe that is read, and what came out of it."""

    fd: int
    captured: Captured

    def read(self) -> bool:
        """Take what is there; False at the end of the stream."""
        try:
            data = os.read(self.fd, _BLOCK)
        except BlockingIOError:
            return True
        self.captured.add(data)
        return bool(data)

    async def drain(self) -> None:
        """Take everything, until the last writer is gone."""
        while True:
            await anyio.wait_readable(self.fd)
            if not self.read():
                return


async def run(launch: Launch, seconds: float, cap: int) -> Finished:
    """Run a command to its end, or for `seconds`.

    When this returns or is cancelled, the command is gone, and so is everything
    it started: its process group, and whatever still carries its mark.

    Raises:
        OSError: the program cannot be started.
    """
    child = Child(launch, cap)
    ended = False
    try:
        ended = await child.attend(seconds)
    finally:
        with anyio.CancelScope(shield=True):
            await child.end()
    out, err = child.streams
    return Finished(child.code if ended else None, out.captured.text, err.captured.text)


class Child:
    """A started process, the leader of its own session and group, tied to the life of this one."""

    def __init__(self, launch: Launch, cap: int) -> None:
        with contextlib.ExitStack() as kept, contextlib.ExitStack() as handed:
            (out, out_end), (err, err_end) = (_pipe(kept, handed) for _ in range(2))
            value = f"{os.getpid()}.{os.fstat(out).st_ino}"
            self._mark = f"{launch.mark}={value}"
            LIFELINE.tie(f"{launch.mark}={os.getpid()}.")
            self._process = subprocess.Popen(
                launch.argv,
                executable=launch.program,
                stdin=subprocess.DEVNULL,
                stdout=out_end,
                stderr=err_end,
                cwd=launch.directory,
                env={**launch.env, launch.mark: value},
                start_new_session=True,
            )
            kept.pop_all()
        self.streams = tuple(Stream(fd, Captured(cap)) for fd in (out, err))
        self._pidfd = _open_pidfd(self._process.pid)

    @property
    def code(self) -> int | None:
        """The exit status, negative for a signal, once it has ended."""
        return self._process.returncode

    async def attend(self, seconds: float) -> bool:
        """Drain both streams until the process has ended; False when the time is over first."""
        with anyio.move_on_after(seconds):
            async with anyio.create_task_group() as tasks:
                for stream in self.streams:
                    tasks.start_soon(stream.drain)
                await self._exited()
                tasks.cancel_scope.cancel()
            return True
        return False

    async def end(self) -> None:
        """Make sure that nothing is left, read what was still written, and close.

        The leader is reaped last: until then its id, and its group's, is no one else's.
        """
        try:
            if not self._has_exited():
                self._signal(signal.SIGTERM)
                await self.attend(GRACE)
            self._signal(signal.SIGKILL)
            await self.attend(PATIENCE)
            await self._end_stragglers()
            for stream in self.streams:
                self._read_rest(stream)
        finally:
            self._process.poll()
            for stream in self.streams:
                os.close(stream.fd)
            if self._pidfd is not None:
                os.close(self._pidfd)

    def _read_rest(self, stream: Stream) -> None:
        """What a pipe can still hold, and no more: a writer that got away may never stop."""
        for _ in range(_PIPE_MAX // _BLOCK + 1):
            try:
                data = os.read(stream.fd, _BLOCK)
            except BlockingIOError:
                return
            if not data:
                return
            stream.captured.add(data)

    def _signal(self, number: signal.Signals) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)

    def _has_exited(self) -> bool:
        """Whether it has ended. Where the system allows, this does not reap it."""
        if self._pidfd is None:
            return self._process.poll() is not None
        flags = os.WEXITED | os.WNOWAIT | os.WNOHANG
        try:
            return os.waitid(os.P_PID, self._process.pid, flags) is not None
        except ChildProcessError:
            return True

    async def _exited(self) -> None:
        if self._pidfd is not None:
            await anyio.wait_readable(self._pidfd)
            return
        while not self._has_exited():  # noqa: ASYNC110 - no descriptor tells of its end here
            await anyio.sleep(_PAUSE)

    async def _end_stragglers(self) -> None:
        """Kill what left the group but carries the mark."""
        for _ in range(_ROUNDS):
            found = [pid for pid in _younger(self._process.pid) if self._is_marked(pid)]
            if not found:
                return
            for pid in found:
                self._kill_marked(pid)
            await anyio.sleep(_PAUSE)

    def _is_marked(self, pid: int) -> bool:
        try:
            environ = Path("/proc", str(pid), "environ").read_bytes()
        except OSError:
            return False
        return self._mark.encode() in environ.split(b"\0")

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


def _pipe(reading: contextlib.ExitStack, writing: contextlib.ExitStack) -> tuple[int, int]:
    """A pipe that is read without waiting, each end closed with its stack."""
    read, write = os.pipe()
    reading.callback(os.close, read)
    writing.callback(os.close, write)
    os.set_blocking(read, False)
    return read, write


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
