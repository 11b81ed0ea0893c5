"""HTTP with SSE: one stream for all that the server says, and POSTs to a place it names.

https://modelcontextprotocol.io/specification/2024-11-05/basic/transports
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

import anyio

from perstack.net import Unreachable
from perstack.net.urls import joined, parse_url
from perstack.skills.mcp import MAX_MESSAGE_BYTES, CallUntaken, ServerGone
from perstack.skills.mcp.http_delivery import FORGOTTEN
from perstack.skills.mcp.http_sent import OPENING
from perstack.skills.mcp.http_stream import (
    EVENTS,
    JSON,
    EventTooLong,
    Stream,
    drain,
    form_of,
    is_success,
)

if TYPE_CHECKING:
    from anyio.abc import TaskStatus

    from perstack.net.site import Answer, Site
    from perstack.skills.mcp.http_delivery import Delivery
    from perstack.skills.mcp.http_sent import Sent

OPEN_SECONDS = 15.0
"""How long a server may take to open its stream, and to name its endpoint there."""
POST_SECONDS = 60.0
"""How long it may take to accept a message; the answer has a time of its own."""

_BODY = {"content-type": JSON, "accept": JSON}


class NoStream(Exception):
    """There is no stream of this kind."""


class Legacy:
    """One server over HTTP with SSE. Everything it says goes to `delivery`.

    Contract: `run` reads its stream; once that has started, messages can be sent.
    """

    def __init__(self, site: Site, delivery: Delivery, *, allow_loopback: bool) -> None:
        self._site = site
        self._delivery = delivery
        self._allow_loopback = allow_loopback
        self._endpoint = ""

    @property
    def is_open(self) -> bool:
        """Whether its stream has begun, and messages can be sent."""
        return bool(self._endpoint)

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Read the stream to its end, which is the end of the server.

        Raises:
            NoStream: there is none, or it names no endpoint.
            ServerGone: it has ended, or is not to be trusted.
            Unreachable: it broke.
        """
        try:
            await self._read(task_status)
        except Unreachable as problem:
            raise (problem if self.is_open else NoStream) from None

    async def _read(self, task_status: TaskStatus[None]) -> None:
        async with self._site.exchange(
            "GET", headers={"accept": EVENTS}, patience=OPEN_SECONDS
        ) as answer:
            if answer.status != 200 or form_of(answer) != EVENTS:
                raise NoStream
            with Stream(answer, self._delivery.turn) as stream:
                try:
                    self._endpoint = await self._named(answer, stream)
                    task_status.started()
                    while (event := await stream.next()) is not None:
                        if event.event == "message":
                            await self._delivery.give(event.data)
                except EventTooLong:
                    size = MAX_MESSAGE_BYTES >> 20
                    raise ServerGone(
                        f"The server was given up: it sent a message of more than {size} MiB."
                    ) from None
        raise ServerGone("The server has ended its stream.")

    async def ask(self, number: int, sent: Sent, message: bytes) -> None:
        """Post a request, whose answer comes with the stream.

        Raises:
            CallUntaken: the server does not know the session.
            ServerGone, Unreachable: it does not reach the server.
        """
        async with self._post(message) as answer:
            if is_success(answer):
                await drain(answer)
                return
            refusal = await self._delivery.refusal(answer)
            if refusal.is_about_the_session:
                raise CallUntaken(FORGOTTEN)
            if refusal.is_denial and sent.method in OPENING:
                raise ServerGone(refusal.problem.message)
            await self._delivery.refuse(number, refusal.problem)

    async def tell(self, message: bytes) -> None:
        """Post what gets no answer.

        Raises:
            Unreachable: it does not reach the server.
        """
        async with self._post(message) as answer:
            await drain(answer)

    def _post(self, message: bytes) -> AbstractAsyncContextManager[Answer]:
        return self._site.exchange(
            "POST", url=self._endpoint, body=message, headers=_BODY, patience=POST_SECONDS
        )

    async def _named(self, answer: Answer, stream: Stream) -> str:
        """Where messages are posted to, as the stream's first event says."""
        with anyio.move_on_after(OPEN_SECONDS):
            event = await stream.next()
            if event is not None and event.event == "endpoint":
                return self._checked(answer.url, event.data.decode("utf-8", "replace"))
        raise NoStream

    def _checked(self, base: str, reference: str) -> str:
        """The endpoint, which must be of the same origin: the credentials go there as well."""
        try:
            here = parse_url(base, allow_loopback=self._allow_loopback)
            there = parse_url(joined(here, reference), allow_loopback=self._allow_loopback)
        except Unreachable as problem:
            raise ServerGone(f"The server names an endpoint that is none. {problem}") from None
        if there.origin != here.origin:
            raise ServerGone(
                f"The server names an endpoint at another origin, {there.origin[:200]}, "
                "which is not used."
            )
        return str(there)
