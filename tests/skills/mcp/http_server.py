"""An HTTP server of ours on loopback, byte by byte as a test wants it, and MCP on top."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

    from anyio.abc import SocketStream

JSON = "application/json"
EVENTS = "text/event-stream"
SESSION = "session-1"
TROUBLE = (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream)


class HungUp(Exception):
    """The connection is to be closed at once."""


class Request(NamedTuple):
    """What a client sent."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def message(self) -> Any:
        return json.loads(self.body) if self.body else {}

    @property
    def kind(self) -> str:
        """The method of the message, or of the request where it has none."""
        return self.message.get("method") or ("answer" if self.body else self.method)


class Wire:
    """The answer to one request, as it goes out."""

    def __init__(self, stream: SocketStream) -> None:
        self._stream = stream
        self.is_open = False

    async def raw(self, data: bytes) -> None:
        await self._stream.send(data)

    async def answer(
        self, status: int = 200, body: bytes = b"", headers: Mapping[str, str] = {}
    ) -> None:
        await self._head(status, {"content-length": str(len(body)), **headers})
        await self.raw(body)

    async def json(self, value: object, status: int = 200, headers: Mapping[str, str] = {}) -> None:
        await self.answer(status, json.dumps(value).encode(), {"content-type": JSON, **headers})

    async def begin(self, status: int = 200, headers: Mapping[str, str] = {}) -> None:
        """Begin a stream of events."""
        chunked = {"content-type": EVENTS, "transfer-encoding": "chunked", **headers}
        await self._head(status, chunked)
        self.is_open = True

    async def chunk(self, data: bytes) -> None:
        await self.raw(b"%x\r\n%s\r\n" % (len(data), data))

    async def event(self, data: object, **fields: object) -> None:
        lines = [f"{name}: {value}\n" for name, value in fields.items()]
        text = data if isinstance(data, str) else json.dumps(data)
        await self.chunk(("".join(lines) + f"data: {text}\n\n").encode())

    async def end(self) -> None:
        self.is_open = False
        await self.raw(b"0\r\n\r\n")

    async def closed(self) -> None:
        """Return once the client has hung up."""
        with contextlib.suppress(*TROUBLE):
            while True:
                await self._stream.receive()

    async def _head(self, status: int, headers: Mapping[str, str]) -> None:
        lines = [f"HTTP/1.1 {status} Whatever", *(f"{k}: {v}" for k, v in headers.items())]
        await self.raw(("\r\n".join(lines) + "\r\n\r\n").encode())


Handler = "Callable[[Request, Wire], Awaitable[None]]"


@contextlib.asynccontextmanager
async def served(handle: Callable[[Request, Wire], Awaitable[None]]) -> AsyncGenerator[str]:
    """The URL of a server whose requests `handle` answers."""

    async def connection(stream: SocketStream) -> None:
        with contextlib.suppress(*TROUBLE, HungUp):
            async with stream:
                while True:
                    await handle(await _read(stream), Wire(stream))

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, connection)
        yield f"http://127.0.0.1:{port}/mcp"
        tasks.cancel_scope.cancel()


async def _read(stream: SocketStream) -> Request:
    data = b""
    while b"\r\n\r\n" not in data:
        data += await stream.receive()
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += await stream.receive()
    return Request(method, path, headers, body)


def answer(request: Request, result: object = None, **more: object) -> dict[str, Any]:
    """The right answer to a request."""
    return {"jsonrpc": "2.0", "id": request.message["id"], "result": result, **more}


def error(request: Request | None, code: int, message: str) -> dict[str, Any]:
    number = None if request is None else request.message["id"]
    return {"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": message}}


def text(value: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": value}]}


def note(data: object) -> dict[str, Any]:
    params = {"level": "info", "data": data}
    return {"jsonrpc": "2.0", "method": "notifications/message", "params": params}


WELCOME = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "serverInfo": {"name": "remote", "version": "1"},
}
TOOL = {"name": "echo", "description": "Echoes.", "inputSchema": {"type": "object"}}


class Remote:
    """A server over Streamable HTTP that behaves, but for the kinds of request in `odd`.

    A kind is the method of a message, "answer", or GET or DELETE. `requests` are what came.
    """

    def __init__(self, **odd: Callable[[Request, Wire], Awaitable[None]]) -> None:
        self.requests: list[Request] = []
        self.session = SESSION
        self.tools: list[Any] = [TOOL]
        self._odd = odd

    @property
    def kinds(self) -> list[str]:
        return [request.kind for request in self.requests]

    def last(self, kind: str) -> Request:
        return [request for request in self.requests if request.kind == kind][-1]

    async def handle(self, request: Request, wire: Wire) -> None:
        self.requests.append(request)
        kind = request.kind
        odd = self._odd.get(kind.rpartition("/")[2])
        if odd is not None:
            await odd(request, wire)
        elif kind == "initialize":
            headers = {"mcp-session-id": self.session} if self.session else {}
            await wire.json(answer(request, WELCOME), headers=headers)
        elif kind == "server/discover":
            await wire.json(error(request, -32000, "Bad Request: Server not initialized"), 400)
        elif kind == "tools/list":
            await wire.json(answer(request, {"tools": self.tools}))
        elif kind == "tools/call":
            await wire.json(answer(request, text("echoed")))
        elif request.method == "POST":
            await wire.answer(202)
        elif request.method == "DELETE":
            await wire.answer(200)
        else:
            await wire.answer(405)
