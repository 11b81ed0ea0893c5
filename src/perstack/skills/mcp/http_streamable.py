"""Streamable HTTP: every message is a POST of its own, and its answer is JSON or a stream.

https://modelcontextprotocol.io/specification/2025-11-25/basic/transports
https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http
"""

from __future__ import annotations

import math
from contextlib import AbstractAsyncContextManager, suppress
from typing import TYPE_CHECKING

import anyio

from perstack.net import Unreachable
from perstack.skills.mcp import MAX_MESSAGE_BYTES, CallUntaken, ServerGone
from perstack.skills.mcp.http_delivery import FORGOTTEN
from perstack.skills.mcp.http_headers import VISIBLE, MessageHeaders
from perstack.skills.mcp.http_sent import INITIALIZE, OPENING
from perstack.skills.mcp.http_stream import (
    EVENTS,
    JSON,
    EventTooLong,
    Stream,
    drain,
    form_of,
    is_success,
    whole_body,
)
from perstack.skills.mcp.protocol import UNREADABLE, Problem, dropped

if TYPE_CHECKING:
    from perstack.net.site import Answer, Site
    from perstack.skills.mcp.http_delivery import Delivery, Refusal
    from perstack.skills.mcp.http_sent import Sent

NOTE_SECONDS = 30.0
"""How long a server may take to accept what it need not answer."""
MAX_FAILURES = 3
"""Attempts in a row to come back to a stream that may fail before it is given up."""

_RETRY_MS = 1000
_SHORTEST_RETRY_MS = 100
_LONGEST_RETRY_MS = 60_000
_LINGER = 0.5
"""Seconds in which a stream may end after its answer, so that its connection can be kept."""
_BODY = {"accept": f"{JSON}, {EVENTS}", "content-type": JSON}
_OLD_STATUSES = frozenset({400, 404, 405})
_UNFINISHED = "The server hung up before its answer was complete."


class NotStreamable(Exception):
    """The server refuses `initialize` as one of the older transport would."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.problem.message)
        self.refusal = refusal


class _Open:
    """A request that waits. `last_id` is where its stream was left, and can be gone on with."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.is_answered = False
        self.last_id = ""
        self.retry: int | None = None


class Streamable:
    """One server over Streamable HTTP, of either generation.

    Contract: `ask` returns once its request was answered, by the server or in its place.
    Everything the server says goes to `delivery`.
    """

    def __init__(self, site: Site, delivery: Delivery) -> None:
        self._site = site
        self._delivery = delivery
        self.headers = MessageHeaders()
        self._is_over = False

    async def ask(self, number: int, sent: Sent, message: bytes) -> None:
        """Post a request and give on what it brings, until it is answered.

        Raises:
            NotStreamable: it is `initialize`, and the older transport may be meant.
            CallUntaken: the server does not know our session, and did not look at it.
            Unasked: it did not leave this machine.
            ServerGone, Unreachable: nobody knows what became of it.
        """
        request = _Open(number)
        headers = self.headers.of(sent) | _BODY
        try:
            try:
                async with self._site.exchange(
                    "POST", body=message, headers=headers, patience=math.inf
                ) as answer:
                    await self._take(answer, request, sent.method or "")
            except Unreachable:
                if not request.last_id:
                    raise
            while not request.is_answered:
                await self._go_on(request)
        except EventTooLong:
            await self._delivery.refuse(number, dropped(MAX_MESSAGE_BYTES))

    async def tell(self, message: bytes) -> None:
        """Post what gets no answer. The stateless revision has nothing of the kind.

        Raises:
            ServerGone, Unreachable: the server does not take it, and will take nothing else.
        """
        if self.headers.is_stateless:
            return
        headers = self.headers.plain() | _BODY
        async with self._site.exchange(
            "POST", body=message, headers=headers, patience=NOTE_SECONDS
        ) as answer:
            if is_success(answer):
                await drain(answer)
                return
            refusal = await self._delivery.refusal(answer)
            self._check_session(refusal)
            if refusal.is_denial:
                raise ServerGone(refusal.problem.message)

    async def listen(self) -> None:
        """Hear what the server says unasked, where it offers that. Its end is no trouble."""
        request = _Open(0)
        failures = 0
        while failures < MAX_FAILURES:
            failures += 1
            with suppress(Unreachable, EventTooLong, ServerGone):
                async with self._stream_again(request) as answer:
                    if answer.status != 200 or form_of(answer) != EVENTS:
                        return
                    if await self._events(answer, request):
                        failures = 0
            await anyio.sleep(_pause(request.retry))

    async def leave(self) -> None:
        """End the session, where there is one.

        Raises:
            Unreachable: nobody takes it.
        """
        if self.headers.session and not self._is_over:
            headers = self.headers.plain()
            async with self._site.exchange("DELETE", headers=headers, patience=math.inf):
                pass

    async def _take(self, answer: Answer, request: _Open, method: str) -> None:
        """The answer to a POST, whatever it is."""
        if answer.status == 202 or not is_success(answer):
            await self._refuse(answer, request, method)
            return
        if method == INITIALIZE:
            self.headers.begin(answer)
        form = form_of(answer)
        if form == EVENTS:
            await self._events(answer, request)
        elif form == JSON:
            body = await whole_body(answer, self._delivery.turn)
            request.is_answered = await self._delivery.give(body, request.number)
            if not request.is_answered:
                await self._settle(request, f"What it answered to {method} is no answer.")
        else:
            await self._settle(request, "The server answered with neither JSON nor events.")

    async def _refuse(self, answer: Answer, request: _Open, method: str) -> None:
        """Answer the request with what its status means."""
        if answer.status == 202:
            await self._settle(request, f"The server accepted {method}, and does not answer it.")
            return
        refusal = await self._delivery.refusal(answer)
        self._check_session(refusal)
        if method == INITIALIZE and answer.status in _OLD_STATUSES and not refusal.is_protocol:
            raise NotStreamable(refusal)
        if method in OPENING and refusal.is_denial:
            raise ServerGone(refusal.problem.message)
        request.is_answered = True
        await self._delivery.refuse(request.number, refusal.problem)

    async def _settle(self, request: _Open, reason: str) -> None:
        request.is_answered = True
        await self._delivery.refuse(request.number, Problem(UNREADABLE, reason))

    async def _events(self, answer: Answer, request: _Open) -> bool:
        """Read a stream, up to the answer if one is awaited. Whether anything came."""
        has_come = False
        with Stream(answer, self._delivery.turn) as stream:
            try:
                while not request.is_answered and (event := await stream.next()) is not None:
                    if event.event == "message":
                        has_come = True
                        number = request.number or None
                        request.is_answered = await self._delivery.give(event.data, number)
            finally:
                if VISIBLE.fullmatch(stream.last_id):
                    request.last_id = stream.last_id
                request.retry = stream.retry
            if request.is_answered:
                await self._see_off(stream)
        return has_come

    async def _see_off(self, stream: Stream) -> None:
        """Read past the answer, so that the connection can serve the next request."""
        with suppress(Unreachable, EventTooLong, ServerGone), anyio.move_on_after(_LINGER):
            while (event := await stream.next()) is not None:
                if event.event == "message":
                    await self._delivery.give(event.data)

    async def _go_on(self, request: _Open) -> None:
        """Come back to the stream of a request that has ended before its answer."""
        failures = 0
        while request.last_id and not self.headers.is_stateless and failures < MAX_FAILURES:
            await anyio.sleep(_pause(request.retry))
            with suppress(Unreachable):
                async with self._stream_again(request) as answer:
                    if answer.status != 200 or form_of(answer) != EVENTS:
                        break
                    await self._events(answer, request)
                    return
            failures += 1
        raise Unreachable(_UNFINISHED)

    def _stream_again(self, request: _Open) -> AbstractAsyncContextManager[Answer]:
        headers = self.headers.plain() | {"accept": EVENTS}
        if request.last_id:
            headers["last-event-id"] = request.last_id
        return self._site.exchange("GET", headers=headers, patience=math.inf)

    def _check_session(self, refusal: Refusal) -> None:
        """Raise CallUntaken where the server does not know our session any more."""
        if self.headers.session and refusal.is_about_the_session:
            self._is_over = True
            raise CallUntaken(FORGOTTEN)


def _pause(retry: int | None) -> float:
    """Seconds to wait before coming back, as the server asks (in ms), within reason."""
    asked = _RETRY_MS if retry is None else retry
    return min(max(_SHORTEST_RETRY_MS, asked), _LONGEST_RETRY_MS) / 1000
