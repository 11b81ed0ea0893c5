"""The base tools as an MCP server on two descriptors. Needs the extra `mcp`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import msgspec
from mcp import types  # noqa: TID253 - this file wraps it
from mcp.server.context import ServerRequestContext  # noqa: TC002, TID253 - this file wraps it
from mcp.server.lowlevel import Server  # noqa: TID253 - this file wraps it
from mcp.shared.message import SessionMessage  # noqa: TID253 - this file wraps it

from perstack._version import __version__
from perstack.base.answer import printable
from perstack.base.caps import MIB
from perstack.base.line import LAST_WORDS, Line
from perstack.base.room import Room
from perstack.base.tools import BaseTools
from perstack.schema.message import FileInlinePart, ImageInlinePart, Json, ResultPart, TextPart
from perstack.schema.tool import (
    BASE_SKILL,
    COMPLETION_TOOL,
    ORDERED_TOOLS,
    TODO_TOOLS,
    Todo,
    ToolDefinition,
    ToolOutput,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

MOST_WAITING = 64 * MIB
"""Bytes of the answers that wait to be written; with more than that, no call is begun."""

CALL = MIB
"""Bytes of them that a call holds for its own answer while it is made."""

AFTER_CHANGES = frozenset({"exec", COMPLETION_TOOL})
"""Tools whose calls wait for the changes that were asked for before them."""

ADDITIVE = frozenset({"appendTextFile", "createDirectory"}) | TODO_TOOLS
"""Tools that change something and destroy nothing."""


class Calls:
    """The calls of one client: their order, and its todo list.

    Those that change files or the list run one after another in the order they
    came, and a command after the changes before it; the rest at the same time.
    While too much waits in `room` to be written, none is begun.
    """

    def __init__(
        self,
        workspace: Path,
        environ: Mapping[str, str],
        pick: Collection[str] = (),
        omit: Collection[str] = (),
    ) -> None:
        self.root = workspace.resolve()
        self.room = Room(MOST_WAITING)
        self.tools = BaseTools(
            workspace=workspace,
            todos=lambda: self._todos,
            environ=environ,
            pick=pick,
            omit=omit,
        )
        self._todos: tuple[Todo, ...] = ()
        self._changes = anyio.Lock()

    async def make(self, name: str, args: Json) -> ToolOutput:
        """What the tool answers."""
        if name in ORDERED_TOOLS:
            async with self._changes:
                output = await self._call(name, args)
                if name in TODO_TOOLS and not output.is_error:
                    self._todos = _todos_of(output)
            return output
        if name in AFTER_CHANGES:
            async with self._changes:
                pass
        return await self._call(name, args)

    async def _call(self, name: str, args: Json) -> ToolOutput:
        async with self.room.held(CALL):
            return await self.tools.call(name, args)


async def serve(calls: Calls, stdin: int, stdout: int) -> None:
    """Serve one client until it closes either of the two. Cancelled, it leaves no command behind.

    Raises:
        ConfigurationError: the workspace cannot be opened.
        UsageError: an answer cannot be written, and not because the client is gone.
    """
    line = Line(stdin, stdout, calls.room)
    server = _server(calls)
    to_protocol, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    async with calls.tools:
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(line.read, to_protocol)
                tasks.start_soon(line.write)
                await server.run(incoming, line.answers, server.create_initialization_options())
                tasks.cancel_scope.deadline = anyio.current_time() + LAST_WORDS
        except* ConnectionError:  # the client is gone
            pass


def _server(calls: Calls) -> Server[Any]:
    """What answers the protocol's requests."""

    async def list_tools(
        _context: ServerRequestContext[Any], _params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[_tool(tool) for tool in calls.tools.tools()])

    async def call_tool(
        _context: ServerRequestContext[Any], params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        args = params.arguments or {}
        output = await calls.make(params.name, args)
        content = [_content(part, calls.root, args) for part in output.contents]
        return types.CallToolResult(content=content, is_error=output.is_error)

    root = printable(str(calls.root))
    return Server(
        BASE_SKILL,
        version=__version__,
        instructions=f"Paths are relative to the workspace {root}, or absolute inside it.",
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


def _tool(definition: ToolDefinition) -> types.Tool:
    """A tool as the protocol shows it. A list that a call changes makes it no read-only tool."""
    is_read_only = definition.effect == "none" and definition.name not in TODO_TOOLS
    is_repeatable = definition.effect != "unknown" and definition.name != "todo"
    return types.Tool(
        name=definition.name,
        description=definition.description,
        input_schema=definition.input_schema,
        annotations=types.ToolAnnotations(
            read_only_hint=is_read_only,
            destructive_hint=not is_read_only and definition.name not in ADDITIVE,
            idempotent_hint=is_repeatable,
            open_world_hint=definition.name == "exec",
        ),
    )


def _content(part: ResultPart, root: Path, args: Json) -> types.ContentBlock:
    """A part of an answer as the protocol has it. The file of a PDF is the one that was asked."""
    match part:
        case TextPart():
            return types.TextContent(text=part.text)
        case ImageInlinePart():
            return types.ImageContent(data=part.encoded_data, mime_type=part.mime_type)
        case FileInlinePart():
            uri = (root / str(args["path"])).resolve().as_uri()
            return types.EmbeddedResource(
                resource=types.BlobResourceContents(
                    uri=uri, mime_type=part.mime_type, blob=part.encoded_data
                )
            )
        case _:
            raise TypeError(f"no base tool answers with a {type(part).__name__}")


class _TodoList(msgspec.Struct):
    todos: tuple[Todo, ...]


def _todos_of(output: ToolOutput) -> tuple[Todo, ...]:
    """The list as it is after a call that answered with it."""
    text = "".join(part.text for part in output.contents if isinstance(part, TextPart))
    return msgspec.json.decode(text, type=_TodoList).todos
