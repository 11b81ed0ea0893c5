"""The hostile server, which speaks over pipes, reached over HTTP."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any, Self

import anyio

from perstack.skills.mcp.address import Address
from perstack.skills.mcp.http import HttpTransport
from skills.mcp.http_server import Request, Wire, served
from skills.mcp.sessions import hostile

if TYPE_CHECKING:
    from types import TracebackType

    from anyio.abc import Process

    from perstack.skills.mcp import Patience
    from perstack.skills.mcp.protocol import ServerTool
    from skills.mcp.sessions import Said


class Bridged:
    """A transport over HTTP to a hostile server that is started for it.

    Each line goes out on the stream of the request that it answers, else on the newest one.
    """

    bears_questions = False  # what is behind it does not

    def __init__(self, modes: tuple[str, ...], patience: Patience, said: Said) -> None:
        self._modes = modes
        self._stop = patience.stop
        self._stack = contextlib.AsyncExitStack()
        self._streams: dict[int, Wire] = {}
        self._newest: Wire | None = None
        self._open = anyio.Event()
        self._writing = anyio.Lock()

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            command = hostile(*self._modes)
            process = await anyio.open_process(command.argv, env=command.env, cwd="/", stderr=None)
            stack.push_async_callback(_end, process)
            self._process = process
            tasks = await stack.enter_async_context(anyio.create_task_group())
            stack.callback(tasks.cancel_scope.cancel)
            tasks.start_soon(self._route)
            url = await stack.enter_async_context(served(self._handle))
            address = Address(url, allow_loopback=True)
            transport = HttpTransport(address, stop=self._stop)
            self._transport = await stack.enter_async_context(transport)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def send(self, message: bytes) -> None:
        await self._transport.send(message)

    async def receive(self) -> bytes:
        return await self._transport.receive()

    def agree(self, protocol: str) -> None:
        self._transport.agree(protocol)

    def admit(self, tool: ServerTool) -> str | None:
        return self._transport.admit(tool)

    async def _handle(self, request: Request, wire: Wire) -> None:
        if request.method != "POST":
            await wire.answer(405)
            return
        number = request.message.get("id")
        if "method" in request.message and number is not None:
            await wire.begin()
            self._streams[number] = self._newest = wire
            self._open.set()
            await self._write(request.body)
            await wire.closed()
        else:
            await self._write(request.body)
            await wire.answer(202)

    async def _write(self, line: bytes) -> None:
        assert self._process.stdin is not None
        async with self._writing:
            await self._process.stdin.send(line + b"\n")

    async def _route(self) -> None:
        assert self._process.stdout is not None
        begun = b""
        async for data in self._process.stdout:
            *lines, begun = (begun + data).split(b"\n")
            if len(begun) > 20_000_000:
                lines, begun = [begun], b""
            for line in lines:
                await self._send(line)

    async def _send(self, line: bytes) -> None:
        await self._open.wait()
        wire = self._streams.get(_answered(line), self._newest)
        assert wire is not None
        with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            await wire.chunk(b"data: " + line.rstrip(b"\r") + b"\n\n")


def _answered(line: bytes) -> Any:
    if len(line) > 1_000_000:
        return None
    try:
        return json.loads(line).get("id")
    except (ValueError, AttributeError, RecursionError):
        return None


async def _end(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    with anyio.CancelScope(shield=True):
        await process.aclose()
