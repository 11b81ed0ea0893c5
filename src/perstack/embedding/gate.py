"""How many jobs work at once. The others wait for their turn."""

from __future__ import annotations

import asyncio
import resource
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import anyio

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

DESCRIPTORS_PER_JOB = 6
"""Its lock, its folder, its log and its connection, and two that are open for a moment."""

MOST_JOBS = 4096
"""At once, however many descriptors there are: each job at work takes some 0.1 MB."""


@dataclass(eq=False, slots=True)
class _Place:
    is_taken: bool = True


_inside: ContextVar[_Place | None] = ContextVar("perstack_place", default=None)


class Gate:
    """`places` for jobs, given out in the order of asking."""

    def __init__(self, places: int) -> None:
        self.places = places
        self._free = anyio.Semaphore(places, fast_acquire=True)

    @asynccontextmanager
    async def place(self) -> AsyncGenerator[None]:
        """A place for one job, for the length of the block. Nothing of it is begun before.

        What a job's tool, listener or hook begins has no need of one while that job is
        at work: it would wait for a job that waits for it.
        """
        around = _inside.get()
        if around is not None and around.is_taken:
            yield
            return
        async with self._free:
            place = _Place()
            token = _inside.set(place)
            try:
                yield
            finally:
                place.is_taken = False
                _inside.reset(token)


def most_jobs() -> int:
    """As many as three quarters of the descriptors suffice for that this process may have."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY:
        return MOST_JOBS
    return min(max(1, limit * 3 // 4 // DESCRIPTORS_PER_JOB), MOST_JOBS)


_gates: WeakKeyDictionary[asyncio.AbstractEventLoop, Gate] = WeakKeyDictionary()


def common_gate() -> Gate:
    """The one that all runtimes of an event loop share, unless they have their own."""
    loop = asyncio.get_running_loop()
    gate = _gates.get(loop)
    if gate is None:
        gate = _gates[loop] = Gate(most_jobs())
    return gate
