"""Messages of many streams, on their way to the one task that reads them."""

from __future__ import annotations

from collections import deque

import anyio

from perstack.skills.mcp import ServerGone

_ROOM = 1024 * 1024


class Inbox:
    """A queue with room for `room` bytes, or for one message however long it is.

    Contract: `put` waits while there is no room, so that what is sent faster than it is
    read stays in its connection. `take` gives what was put, in order; after `end` it
    raises ServerGone with that reason once nothing is left, and what comes later is
    dropped. The first reason stands.
    """

    def __init__(self, room: int = _ROOM) -> None:
        self._room = room
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._some = anyio.Event()
        self._taken = anyio.Event()
        self.reason: str | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    async def put(self, message: bytes) -> None:
        """Add a message once there is room."""
        while self._waiting and self._size + len(message) > self._room:
            await self._taken.wait()
        if self.reason is not None:
            return
        self._waiting.append(message)
        self._size += len(message)
        self._some.set()

    async def take(self) -> bytes:
        """The next message.

        Raises:
            ServerGone: there will be none.
        """
        while not self._waiting:
            if self.reason is not None:
                raise ServerGone(self.reason)
            self._some = anyio.Event()
            await self._some.wait()
        message = self._waiting.popleft()
        self._size -= len(message)
        self._taken.set()
        self._taken = anyio.Event()
        return message

    def end(self, reason: str) -> None:
        """Say why nothing will come any more."""
        if self.reason is None:
            self.reason = reason
        self._some.set()
