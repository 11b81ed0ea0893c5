"""The bodies of answers, read within bounds: events of a stream, or one JSON text."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Self

import anyio

from perstack.net import Unreachable
from perstack.net.sse import Event, EventReader, EventTooLong
from perstack.skills.mcp import MAX_MESSAGE_BYTES, ServerGone

if TYPE_CHECKING:
    from types import TracebackType

    from perstack.net.site import Answer

__all__ = [
    "EVENTS",
    "JSON",
    "EventTooLong",
    "Stream",
    "drain",
    "form_of",
    "is_success",
    "whole_body",
]

EVENTS = "text/event-stream"
JSON = "application/json"
MAX_IDLE_BYTES = 2 * MAX_MESSAGE_BYTES
"""Of a stream between two messages: signs of life, and no more."""
LONG = 256 * 1024
"""Bytes of a message beyond which it is long."""
DRAIN_SECONDS = 1.0

_FIELDS = 4096
"""What may stand around a message in its event."""


def form_of(answer: Answer) -> str:
    """The type of the answer's body, in lower case."""
    return answer.headers.get("content-type", "").partition(";")[0].strip().lower()


class _Turn:
    """Lets one long message at a time be put together.

    A server may answer many requests at once; their memory must not add up.
    """

    def __init__(self, turn: anyio.Lock) -> None:
        self._turn = turn
        self._size = 0
        self._has_it = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.restart()

    async def grow(self, size: int) -> None:
        """Wait for one's turn where the message gets long."""
        self._size += size
        if self._size > LONG and not self._has_it:
            await self._turn.acquire()
            self._has_it = True

    def restart(self) -> None:
        """Begin another message."""
        self._size = 0
        if self._has_it:
            self._has_it = False
            self._turn.release()


class Stream:
    """The events of one answer that hold something, in order. Entered, and left, by one task.

    `last_id` and `retry` (in ms) are the newest that the server gave, for coming back.
    """

    def __init__(self, answer: Answer, turn: anyio.Lock) -> None:
        self._chunks = answer.chunks()
        self._reader = EventReader(MAX_MESSAGE_BYTES + _FIELDS)
        self._turn = _Turn(turn)
        self._ready: deque[Event] = deque()
        self._idle = 0

    def __enter__(self) -> Self:
        self._turn.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._turn.__exit__(kind, error, trace)

    @property
    def last_id(self) -> str:
        """The id of the last event that came; empty where events have none."""
        return self._reader.last_id

    @property
    def retry(self) -> int | None:
        """The pause that the server asks for, in ms."""
        return self._reader.retry

    async def next(self) -> Event | None:
        """The next event, None at the end.

        Raises:
            EventTooLong: it holds more than a message may have.
            ServerGone: very much came, and no event.
            Unreachable: the connection broke.
        """
        if not self._ready:
            self._turn.restart()
        while not self._ready:
            chunk = await anext(self._chunks, None)
            if chunk is None:
                return None
            self._ready.extend(event for event in self._reader.feed(chunk) if event.data)
            self._idle += len(chunk)
            if self._ready:
                self._idle = 0
            elif self._idle > MAX_IDLE_BYTES:
                raise ServerGone("The server was given up: its stream has no messages and no end.")
            else:
                await self._turn.grow(len(chunk))
        return self._ready.popleft()


async def whole_body(answer: Answer, turn: anyio.Lock) -> bytes:
    """The body of an answer that is one message.

    Raises:
        EventTooLong: it is longer than a message may be.
        Unreachable: the connection broke.
    """
    body = bytearray()
    with _Turn(turn) as part:
        async for chunk in answer.chunks():
            body += chunk
            if len(body) > MAX_MESSAGE_BYTES:
                raise EventTooLong(f"The answer is longer than {MAX_MESSAGE_BYTES} bytes.")
            await part.grow(len(chunk))
        return bytes(body)


def is_success(answer: Answer) -> bool:
    """Whether the status says that the request was served."""
    return 200 <= answer.status < 300


async def drain(answer: Answer) -> None:
    """Read a short body that nobody wants, so that its connection can be kept."""
    size = 0
    with suppress(Unreachable), anyio.move_on_after(DRAIN_SECONDS):
        async for chunk in answer.chunks():
            size += len(chunk)
            if size > LONG:
                return
