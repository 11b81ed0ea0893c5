"""A server that somebody else runs: messages over HTTP, in the way that it speaks."""

from __future__ import annotations

from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

import anyio

from perstack.net import Unasked, Unreachable
from perstack.net.resolve import Resolve, system_resolver
from perstack.net.site import Site
from perstack.skills.mcp import CallUntaken, Patience, ServerGone
from perstack.skills.mcp.http_delivery import FORGOTTEN, Delivery
from perstack.skills.mcp.http_inbox import Inbox
from perstack.skills.mcp.http_legacy import Legacy, NoStream
from perstack.skills.mcp.http_sent import (
    CALL,
    CANCELLED,
    DISCOVER,
    INITIALIZE,
    INITIALIZED,
    read_sent,
)
from perstack.skills.mcp.http_streamable import NotStreamable, Streamable
from perstack.skills.mcp.protocol import LOST, TURNED_AWAY, UNTAKEN, Problem

if TYPE_CHECKING:
    from anyio.abc import TaskStatus

    from perstack.skills.mcp.address import Address
    from perstack.skills.mcp.http_delivery import Refusal
    from perstack.skills.mcp.http_sent import Sent
    from perstack.skills.mcp.protocol import ServerTool


FORGET_SECONDS = 2.0
"""How long requests that are under way may take to find that their session is over."""


class HttpTransport:
    """A `Transport` to a server at an address: Streamable HTTP, else HTTP with SSE.

    Nothing is sent on entering. A request that the server does not answer is answered in
    its place: a connection that breaks costs the calls over it, and not the session. On
    leaving, all streams are closed, and the server has `stop` seconds to end the session.

    No header's value is in any message, error or repr, nor in what is received.
    """

    bears_questions = True

    def __init__(
        self,
        address: Address,
        *,
        stop: float = Patience().stop,
        resolve: Resolve = system_resolver,
    ) -> None:
        self._stop = stop
        self._site = Site(
            address.url,
            headers=address.headers,
            secrets=tuple(address.secrets.values()),
            allow_loopback=address.allow_loopback,
            allowed_domains=address.allowed_domains,
            environ=address.environ,
            resolve=resolve,
        )
        self._allow_loopback = address.allow_loopback
        self._inbox = Inbox()
        self._delivery = Delivery(self._inbox, address)
        self._streamable = Streamable(self._site, self._delivery)
        self._legacy: Legacy | None = None
        self._asked: dict[int, anyio.CancelScope] = {}
        self._untaken: list[int] = []

    async def __aenter__(self) -> Self:
        await self._site.__aenter__()
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._tasks.cancel_scope.cancel()
            await self._tasks.__aexit__(None, None, None)
        finally:
            with anyio.move_on_after(self._stop, shield=True), suppress(Unreachable):
                await self._streamable.leave()
            await self._site.__aexit__(None, None, None)

    def agree(self, protocol: str) -> None:
        """Speak this revision from the next message on."""
        self._streamable.headers.agree(protocol)

    def admit(self, tool: ServerTool) -> str | None:
        """Why a tool may not be called over this transport; None where it may."""
        return self._streamable.headers.admit(tool)

    async def send(self, message: bytes) -> None:
        """Send one message. A request is on its way then, and anything else was taken.

        Raises:
            ServerGone: the server is gone, or does not take it.
        """
        if self._inbox.reason is not None:
            raise ServerGone(self._inbox.reason)
        sent = read_sent(message)
        if isinstance(sent.id, int) and sent.method is not None and self._untaken:
            self._untaken.append(sent.id)
        elif isinstance(sent.id, int) and sent.method is not None:
            if sent.method == INITIALIZE:
                self._hang_up()
            self._asked[sent.id] = anyio.CancelScope()
            self._tasks.start_soon(self._ask, sent.id, sent, message)
        elif sent.method == CANCELLED and sent.params.request_id is not None:
            await self._call_off(sent.params.request_id, message)
        else:
            await self._tell(message)
            if sent.method == INITIALIZED and self._streamable.headers.session:
                self._tasks.start_soon(self._streamable.listen)

    async def receive(self) -> bytes:
        """The next message.

        Raises:
            ServerGone: there will be none.
        """
        return await self._inbox.take()

    @property
    def _way(self) -> Streamable | Legacy:
        return self._legacy or self._streamable

    async def _ask(self, number: int, sent: Sent, message: bytes) -> None:
        """One request, up to its answer or the reason why there will be none."""
        try:
            with self._asked[number]:
                await self._post(number, sent, message)
        except CallUntaken:
            self._untaken.append(number)
            self._tasks.start_soon(self._forget_soon)
        except ServerGone as gone:
            self._end(gone)
        except Unreachable as broken:
            if sent.method == CALL or (sent.method == DISCOVER and not isinstance(broken, Unasked)):
                code = TURNED_AWAY if isinstance(broken, Unasked) else LOST
                await self._delivery.refuse(number, Problem(code, str(broken)))
            else:
                self._end(broken)
        finally:
            del self._asked[number]
        if self._untaken and not self._asked:
            await self._forget()

    async def _forget_soon(self) -> None:
        """Let the other requests hear as well that the session is over: each is told apart then."""
        await anyio.sleep(FORGET_SECONDS)
        await self._forget()

    async def _forget(self) -> None:
        """Answer what a session that is over did not take, and end."""
        while self._untaken:
            await self._delivery.refuse(self._untaken.pop(), Problem(UNTAKEN, FORGOTTEN))
        self._inbox.end(FORGOTTEN)

    async def _post(self, number: int, sent: Sent, message: bytes) -> None:
        try:
            await self._way.ask(number, sent, message)
        except NotStreamable as other:
            if await self._fall_back(number, other.refusal):
                await self._way.ask(number, sent, message)

    async def _fall_back(self, number: int, refusal: Refusal) -> bool:
        """Open the stream of the older transport; else answer with why the newer one is none."""
        legacy = Legacy(self._site, self._delivery, allow_loopback=self._allow_loopback)
        try:
            await self._tasks.start(self._run, legacy)
        except NoStream:
            await self._delivery.refuse(number, refusal.problem)
            return False
        self._legacy = legacy
        return True

    async def _run(
        self, legacy: Legacy, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """Read its stream, whose end is the server's; one that never began is another matter."""
        try:
            await legacy.run(task_status=task_status)
        except (ServerGone, Unreachable) as gone:
            if not legacy.is_open:
                raise
            self._end(gone)

    def _end(self, reason: Exception) -> None:
        """Count the server as gone. What it named, a host for one, may have a secret in it."""
        self._inbox.end(self._delivery.hidden(str(reason)))

    async def _tell(self, message: bytes) -> None:
        try:
            await self._way.tell(message)
        except ServerGone as gone:
            self._end(gone)
            raise
        except Unreachable as problem:
            raise ServerGone(str(problem)) from None

    def _hang_up(self) -> None:
        """Read for no request any more: what came of an attempt that was over is no news."""
        for scope in self._asked.values():
            scope.cancel()

    async def _call_off(self, number: int, message: bytes) -> None:
        """Say that nobody waits for a request any more, and stop reading for it.

        Where the server keeps nothing of us, to hang up is to say so.
        """
        try:
            await self._tell(message)
        finally:
            if (scope := self._asked.get(number)) is not None:
                scope.cancel()
