"""Room: how much of one kind a client may have in memory."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


class Room:
    """`size` bytes, for those who wait until theirs are free.

    What is there already can be put in without waiting, and then there may be
    more in it than fits, until as much is taken out.
    """

    def __init__(self, size: int) -> None:
        self._free = size
        self._eased = anyio.Event()

    def put(self, count: int) -> None:
        """Put `count` bytes in."""
        self._free -= count

    def take(self, count: int) -> None:
        """Take them out again."""
        self._free += count
        self._eased.set()
        self._eased = anyio.Event()

    async def wait(self, count: int) -> None:
        """Until `count` bytes are free. They stay free until this task waits for something else."""
        while self._free < count:
            await self._eased.wait()

    @asynccontextmanager
    async def held(self, count: int) -> AsyncGenerator[None, None]:
        """With `count` bytes put in, once they are free."""
        await self.wait(count)
        self.put(count)
        try:
            yield
        finally:
            self.take(count)
