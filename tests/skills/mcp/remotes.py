"""Sessions with a server over HTTP that a test writes."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import anyio

from perstack.skills.mcp.address import Address
from perstack.skills.mcp.http import HttpTransport
from perstack.skills.mcp.session import Session
from skills.mcp.http_server import JSON, Remote, Request, Wire, answer, error, served
from skills.mcp.sessions import CALM, Said

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

    from perstack.skills.mcp import Patience

TOKEN = "Token-That-Nobody-Else-May-See"
MODERN = "2026-07-28"


@contextlib.asynccontextmanager
async def reached(
    handle: Callable[[Request, Wire], Awaitable[None]],
    *,
    patience: Patience = CALM,
    said: Said | None = None,
    headers: Mapping[str, str] = {},
    variables: Mapping[str, str] = {},
) -> AsyncGenerator[Session]:
    """A session that was not greeted yet, with whoever answers as `handle` does."""
    said = said or Said()

    def hear(level: str, text: str) -> None:
        said.messages.append((level, text))

    with anyio.fail_after(60):
        async with served(handle) as url:
            address = Address(url, headers, allow_loopback=True, variables=variables)
            transport = HttpTransport(address, stop=patience.stop)
            async with Session(transport, patience=patience, on_message=hear) as one:
                yield one


@contextlib.asynccontextmanager
async def met(remote: Remote, **how: Any) -> AsyncGenerator[Session]:
    """The same, greeted, and its tools listed."""
    async with reached(remote.handle, **how) as one:
        await one.start()
        await one.tools()
        yield one


def text_of(result: Any) -> str:
    return "".join(block.get("text", "") for block in result.content)


class Stateless(Remote):
    """A server of the stateless revision alone."""

    async def handle(self, request: Request, wire: Wire) -> None:
        kind = request.kind
        if kind == "initialize":
            self.requests.append(request)
            await wire.json(error(request, -32022, "Unsupported protocol version"), 400)
        elif kind == "server/discover":
            self.requests.append(request)
            found = {"supportedVersions": [MODERN], "capabilities": {}, "resultType": "complete"}
            await wire.json(answer(request, found))
        else:
            await super().handle(request, wire)


class Older:
    """A server over HTTP with SSE. `endpoint` is where it wants its messages."""

    def __init__(self, endpoint: str = "/messages?sessionId=1") -> None:
        self.endpoint = endpoint
        self.requests: list[Request] = []
        self.stream: Wire | None = None
        self.left = anyio.Event()
        self._inner = Remote()

    async def handle(self, request: Request, wire: Wire) -> None:
        self.requests.append(request)
        if request.method == "GET":
            await wire.begin()
            self.stream = wire
            await wire.event(self.endpoint, event="endpoint")
            await wire.closed()
            self.left.set()
        elif request.path == "/mcp":
            await wire.answer(405)
        else:
            await wire.answer(202, b"Accepted", {"content-type": JSON})
            if "id" in request.message:
                assert self.stream is not None
                await self._inner.handle(request, _Echo(self.stream))


class _Echo(Wire):
    """Sends what would be a body as an event of another wire."""

    def __init__(self, stream: Wire) -> None:
        self._wire = stream

    async def json(self, value: object, status: int = 200, headers: Mapping[str, str] = {}) -> None:
        await self._wire.event(value)
