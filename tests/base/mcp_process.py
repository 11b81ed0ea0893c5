"""`perstack base` in a process of its own, and a client that writes and reads its lines."""

from __future__ import annotations

import json
import os
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from anyio.abc import Process

ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
COMMAND = (sys.executable, "-m", "perstack", "base")
SECONDS = 20

MODERN = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "raw", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


READY = {"jsonrpc": "2.0", "method": "notifications/initialized"}


def lines(*messages: object) -> bytes:
    """Messages as they are sent; bytes as they are."""
    encoded = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in messages]
    return b"".join(line + b"\n" for line in encoded)


class Requests:
    """What one client asks, each with an id of its own."""

    def __init__(self) -> None:
        self._last = 0

    def request(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        self._last += 1
        return {"jsonrpc": "2.0", "id": self._last, "method": method, "params": params or {}}

    def hello(self, version: str = "2025-11-25") -> dict[str, Any]:
        about = {"capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}}
        return self.request("initialize", {"protocolVersion": version, **about})

    def call(self, tool: str, **args: object) -> dict[str, Any]:
        return self.request("tools/call", {"name": tool, "arguments": args})

    def exec(self, *words: str) -> dict[str, Any]:
        plain = {"env": {}, "cwd": ".", "stdout": True, "stderr": True}
        return self.call("exec", command=words[0], args=list(words[1:]), **plain)


class Raw(Requests):
    """One client, at the level of lines."""

    def __init__(self, process: Process) -> None:
        super().__init__()
        self.process = process
        self._buffer = b""

    async def send(self, *messages: object) -> None:
        """Write messages in one go; bytes as they are."""
        await self.write(lines(*messages))

    async def write(self, data: bytes) -> None:
        """Write what need be no line."""
        assert self.process.stdin is not None
        with anyio.fail_after(SECONDS):
            await self.process.stdin.send(data)

    async def answer(self) -> dict[str, Any]:
        """The next line from the server."""
        assert self.process.stdout is not None
        with anyio.fail_after(SECONDS):
            while b"\n" not in self._buffer:
                self._buffer += await self.process.stdout.receive(1 << 20)
        line, _, self._buffer = self._buffer.partition(b"\n")
        return json.loads(line)

    async def answers(self, count: int) -> dict[object, dict[str, Any]]:
        """The next answers, by the id of what was asked."""
        found = [await self.answer() for _ in range(count)]
        return {each["id"]: each for each in found}

    async def shake_hands(self, version: str = "2025-11-25") -> dict[str, Any]:
        await self.send(self.hello(version))
        answer = await self.answer()
        await self.send(READY)
        return answer

    async def ended(self) -> int:
        """Its exit code, once it has ended by itself."""
        with anyio.fail_after(SECONDS):
            return await self.process.wait()


@asynccontextmanager
async def raw_client(
    workspace: Path,
    *options: str,
    command: Sequence[str] = COMMAND,
    env: dict[str, str] | None = None,
) -> AsyncIterator[Raw]:
    """A server in `workspace`, killed at the end if it still runs."""
    process = await anyio.open_process(
        [*command, *options], cwd=workspace, env=ENVIRONMENT | (env or {})
    )
    async with process:
        try:
            yield Raw(process)
        finally:
            if process.returncode is None:
                process.kill()
