"""Events on their way to somebody who may be slow, may fail, and may never ask."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias

import anyio
from msgspec.structs import replace

from perstack.embedding.event import Event
from perstack.runtime.environment import Listener, Published
from perstack.schema.event import ReasoningStreamed, RunResultStreamed

if TYPE_CHECKING:
    from perstack.schema.event import Shown

Hear: TypeAlias = Callable[[Event], Awaitable[object] | object]
"""What a program does with an event; awaited where it is async."""


class Mailbox(Listener):
    """Takes every event at once and keeps it until it is fetched, in order.

    Facts are never lost. Deltas of a run that pile up are joined, which loses nothing
    either, so that what is kept grows with what the model says and not with how it is cut.
    """

    def __init__(self) -> None:
        self._kept: deque[Event] = deque()
        self._joined: list[str] = []  # pieces that belong to the newest delta
        self._changed = anyio.Event()
        self._is_closed = False

    async def recorded(self, published: Published) -> None:
        """Keep a fact."""
        if not self._is_closed:
            self._put(Event(published.fact, published))

    async def shown(self, event: Shown) -> None:
        """Keep something that is not stored, or join it to the delta before it."""
        if isinstance(event, ReasoningStreamed | RunResultStreamed) and self._kept:
            newest = self._kept[-1].detail
            if type(newest) is type(event) and newest.run_id == event.run_id:
                self._joined.append(event.delta)
                return
        if not self._is_closed:
            self._put(Event(event))

    def close(self) -> None:
        """Nothing more will come."""
        self._is_closed = True
        self._changed.set()

    def discard(self) -> None:
        """Nobody fetches any more: what is here and what will come is let go."""
        self._is_closed = True
        self._kept.clear()
        self._joined.clear()

    async def next(self) -> Event | None:
        """The oldest event that was not fetched; None once it is closed and empty."""
        while not self._kept:
            if self._is_closed:
                return None
            if self._changed.is_set():  # else somebody waits for it already
                self._changed = anyio.Event()
            await self._changed.wait()
        event = self._kept.popleft()
        if not self._kept:
            event = self._whole(event)
        return event

    def _put(self, event: Event) -> None:
        if self._joined:
            self._kept.append(self._whole(self._kept.pop()))
        self._kept.append(event)
        self._changed.set()

    def _whole(self, event: Event) -> Event:
        """`event` with the pieces that came after it."""
        detail = event.detail
        if not self._joined or not isinstance(detail, ReasoningStreamed | RunResultStreamed):
            return event
        delta = "".join((detail.delta, *self._joined))
        self._joined.clear()
        return Event(replace(detail, delta=delta))
