"""Run as a program: a server made with the protocol's own library, over HTTP on descriptor 3.

Arguments: a mode, as MODES names them.
"""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import anyio
import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

MODES = {
    "streams": "sessions, answers as streams of events",
    "json": "sessions, answers as JSON",
    "no-sessions": "the handshake, and no sessions",
    "stateless": "the stateless revision alone",
    "sse": "HTTP with SSE",
}

server = MCPServer("library")
cancelled = anyio.Event()


@server.tool()
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool()
async def count(to: int, context: Context) -> str:
    """Tell how far one has come."""
    for number in range(to):
        await context.report_progress(number + 1, to)
    return "counted"


@server.tool()
async def wait() -> None:
    """Wait to be called off."""
    try:
        await anyio.sleep_forever()
    except BaseException:
        cancelled.set()
        raise


@server.tool()
async def was_called_off() -> str:
    """Return once `wait` was."""
    await cancelled.wait()
    return "yes"


@server.tool()
def where(region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})]) -> str:
    """Say where."""
    return region


@server.tool()
def fail() -> str:
    """Fail."""
    raise ToolError("it failed")


class Without:
    """The library's application, with one method refused as a server refuses what it lacks."""

    def __init__(self, method: str, code: int, inner: Any) -> None:
        self._method = method
        self._code = code
        self._inner = inner

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        asked = json.loads(body) if body else {}
        if asked.get("method") == self._method:
            await self._refuse(asked["id"], send)
            return
        given = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Any:
            return given.pop() if given else await receive()

        await self._inner(scope, again, send)

    async def _refuse(self, number: int, send: Any) -> None:
        problem = {"code": self._code, "message": f"There is no {self._method}"}
        text = json.dumps({"jsonrpc": "2.0", "id": number, "error": problem}).encode()
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 400, "headers": headers})
        await send({"type": "http.response.body", "body": text})


def application(mode: str) -> Any:
    if mode == "sse":
        return server.sse_app()
    if mode == "stateless":
        return Without("initialize", -32022, server.streamable_http_app())
    inner = server.streamable_http_app(
        json_response=mode == "json", stateless_http=mode == "no-sessions"
    )
    return Without("server/discover", -32601, inner)


if __name__ == "__main__":
    uvicorn.run(application(sys.argv[1]), fd=3, log_level="warning", ws="none")
