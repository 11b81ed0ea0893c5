"""Lines over two descriptors: read within a bound, written whole, never blocking the event loop."""

from __future__ import annotations

import os
import select
import stat
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

_BLOCK = 256 * 1024
_PIECE = 4096
"""PIPE_BUF on Linux: where a pipe takes anything at once, it takes this much."""


async def read_lines(descriptor: int, limit: int) -> AsyncGenerator[bytes | None, None]:
    """The lines that come in, without their ends; None for one of more than `limit` bytes.

    Of a line that is too long nothing is kept. What stands behind the last line end
    is a line as well. Ends with the stream, also when that breaks.
    """
    buffer = bytearray()
    searched = 0
    is_skipping = False
    while data := await _read(descriptor):
        buffer += data
        while (end := buffer.find(b"\n", searched)) >= 0:
            line = None if is_skipping or end > limit else bytes(buffer[:end])
            del buffer[: end + 1]
            searched, is_skipping = 0, False
            yield line
        if len(buffer) > limit:
            buffer.clear()
            is_skipping = True
        searched = len(buffer)
    if is_skipping:
        yield None
    elif buffer:
        yield bytes(buffer)


async def write_line(descriptor: int, line: bytes) -> None:
    """Write a line and its end, as slowly as they are read.

    Cancelled, it may leave a part of the line written.

    Raises:
        OSError: nobody reads any more.
    """
    waits = not stat.S_ISREG(os.fstat(descriptor).st_mode)
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    for part in (line, b"\n"):  # apart: together they would be a copy of a line that may be long
        view = memoryview(part)
        while view:
            if waits and not poll.poll(0):
                await anyio.wait_writable(descriptor)
            view = view[os.write(descriptor, view[:_PIECE] if waits else view) :]


async def _read(descriptor: int) -> bytes:
    """What has come in, b"" at the end."""
    try:
        await anyio.wait_readable(descriptor)
    except PermissionError:  # epoll takes no files and no /dev/null, which keep nobody waiting
        await anyio.lowlevel.checkpoint()
    try:
        return os.read(descriptor, _BLOCK)
    except OSError:  # a terminal or a connection that is gone
        return b""
