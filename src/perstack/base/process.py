"""One child process: its output kept within bounds, and its end made certain."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from typing import NamedTuple

import anyio

from perstack.base.launch import Launch, Streams
from perstack.base.tree import Tree

GRACE = 2.0
"""Seconds between the request to end and the kill."""

PATIENCE = 5.0
"""Seconds to wait for a killed process to be gone."""

_BLOCK = 64 * 1024
_PIPE_MAX = 1024 * 1024


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
    """A started command: the tree it grows, and what it prints."""

    def __init__(self, launch: Launch, cap: int) -> None:
        with contextlib.ExitStack() as kept, contextlib.ExitStack() as handed:
            (out, out_end), (err, err_end) = (_pipe(kept, handed) for _ in range(2))
            streams = Streams(subprocess.DEVNULL, out_end, err_end)
            self._tree = Tree(launch, os.fstat(out).st_ino, streams)
            kept.pop_all()
        self.streams = tuple(Stream(fd, Captured(cap)) for fd in (out, err))

    @property
    def code(self) -> int | None:
        """The exit status, negative for a signal, once it has ended."""
        return self._tree.code

    async def attend(self, seconds: float) -> bool:
        """Drain both streams until the process has ended; False when the time is over first."""
        with anyio.move_on_after(seconds):
            async with anyio.create_task_group() as tasks:
                for stream in self.streams:
                    tasks.start_soon(stream.drain)
                await self._tree.exited()
                tasks.cancel_scope.cancel()
            return True
        return False

    async def end(self) -> None:
        """Make sure that nothing is left, read what was still written, and close.

        The leader is reaped last: until then its id, and its group's, is no one else's.
        """
        try:
            if not self._tree.has_exited():
                self._tree.signal(signal.SIGTERM)
                await self.attend(GRACE)
            self._tree.signal(signal.SIGKILL)
            await self.attend(PATIENCE)
            await self._tree.end_stragglers()
            for stream in self.streams:
                self._read_rest(stream)
        finally:
            for stream in self.streams:
                os.close(stream.fd)
            self._tree.close()

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


def _pipe(reading: contextlib.ExitStack, writing: contextlib.ExitStack) -> tuple[int, int]:
    """A pipe that is read without waiting, each end closed with its stack."""
    read, write = os.pipe()
    reading.callback(os.close, read)
    writing.callback(os.close, write)
    os.set_blocking(read, False)
    return read, write
