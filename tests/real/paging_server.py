"""A server on the official library whose seven tools come three to a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

if TYPE_CHECKING:
    from mcp.server.context import ServerRequestContext

NAMES = [f"tool-{number}" for number in range(7)]
PAGE = 3


async def list_tools(
    _context: ServerRequestContext[Any], params: types.PaginatedRequestParams | None
) -> types.ListToolsResult:
    start = int(params.cursor) if params is not None and params.cursor else 0
    end = start + PAGE
    tools = [types.Tool(name=name, input_schema={"type": "object"}) for name in NAMES[start:end]]
    return types.ListToolsResult(tools=tools, next_cursor=str(end) if end < len(NAMES) else None)


async def call_tool(
    _context: ServerRequestContext[Any], params: types.CallToolRequestParams
) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(text=f"This is {params.name}.")])


async def main() -> None:
    server: Server[Any] = Server("paging", on_list_tools=list_tools, on_call_tool=call_tool)
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


if __name__ == "__main__":
    anyio.run(main)
