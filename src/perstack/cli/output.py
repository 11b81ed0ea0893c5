"""Event lines on stdout, whole and in order, however slowly they are read."""

from __future__ import annotations

import os
import select
import stat
from collections.abc import Callable

import anyio

from perstack.runtime.environment import Listener, Published, Stop
from perstack.schema.event import Shown
from perstack.views.wire import Form, Seen, shown_line, wire_line

PIECE = 4096
"""PIPE_BUF on Linux: where a pipe takes anything at once, it takes this much."""


class Output(Listener):
    """Writes one line an event to a descriptor, and never blocks the event loop.

    A reader that is slow holds the job up; one that is gone stops it, since nobody
    hears it any more. While the job is being stopped nothing is waited for.
    """

    def __init__(self, descriptor: int, form: Form, stop: Stop) -> None:
        self._descriptor = descriptor
        self._form: Form = form
        self._stop = stop
        self._is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        self.problem: OSError | None = None

    async def recorded(self, published: Published) -> None:
        """Write the line of a fact, where the form has one."""
        seen = Seen(published.fact, published.line, published.before, published.after)
        line = wire_line(self._form, seen)
        if line is not None:
            await self._write(line + b"\n")

    async def shown(self, event: Shown) -> None:
        """Write the line of something that is not stored."""
        await self._write(shown_line(event) + b"\n")

    async def _write(self, line: bytes) -> None:
        if self.problem is not None:
            return
        try:
            view = memoryview(line)
            while view:
                if not self._is_file and not await self._is_writable():
                    return
                view = view[os.write(self._descriptor, view if self._is_file else view[:PIECE]) :]
        except OSError as problem:
            self.problem = problem
            self._stop.set("output")

    async def _is_writable(self) -> bool:
        """Wait until the reader takes more; False when the job is stopped before that."""
        while not self._poll.poll(0):
            if self._stop.is_set:
                self.problem = TimeoutError("nobody read stdout while the run was being stopped")
                return False
            with anyio.move_on_after(0.1):
                await anyio.wait_writable(self._descriptor)
        return True


class Lines(Listener):
    """Calls `write` with a line for a person, for each thing that happened."""

    def __init__(self, write: Callable[[str], None]) -> None:
        from perstack.views.activity import ActivityFold

        self._fold = ActivityFold()
        self._write = write

    async def recorded(self, published: Published) -> None:
        """Tell of the activities that the fact completed."""
        from perstack.views.activity import line_of

        for activity in self._fold.feed(published.fact, published.after):
            self._write(line_of(activity))
