"""The base tools as an MCP server on two descriptors. Needs the extra `mcp`."""

from __future__ import annotations

import select
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import msgspec
from mcp import types  # noqa: TID253 - this file wraps it
from mcp.server.context import ServerRequestContext  # noqa: TC002, TID253 - this file wraps it
from mcp.server.lowlevel import Server  # noqa: TID253 - this file wraps it
from mcp.shared.message import ServerMessageMetadata, SessionMessage  # noqa: TID253 - as above
from mcp.types import jsonrpc  # noqa: TID253 - this file wraps it

from perstack._version import __version__
from perstack.base.answer import printable
from perstack.base.stdio import read_lines, write_line
from perstack.base.tools import BaseTools
from perstack.errors import UsageError
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

    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

LONGEST_LINE = 32 * 1024 * 1024
"""Bytes in one message. The largest that makes sense holds a text at its cap, escaped."""

MOST_AT_ONCE = 256
"""Requests without an answer; the next one is not read before one of them is answered."""

PAUSE = 0.5
"""Seconds between two looks whether a client that waits for a place is still there."""

LAST_WORDS = 1.0
"""Seconds that requests may still take, and that answers may wait to be read, at the end."""

AFTER_CHANGES = frozenset({"exec", COMPLETION_TOOL})
"""Tools whose calls wait for the changes that were asked for before them."""

ADDITIVE = frozenset({"appendTextFile", "createDirectory"}) | TODO_TOOLS
"""Tools that change something and destroy nothing."""


class Calls:
    """The calls of one client: their order, and its todo list.

    Those that change files or the list run one after another in the order they
    came, and a command after the changes before it; the rest at the same time.
    """

    def __init__(
        self,
        workspace: Path,
        environ: Mapping[str, str],
        pick: Collection[str] = (),
        omit: Collection[str] = (),
    ) -> None:
        self.root = workspace.resolve()
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
                output = await self.tools.call(name, args)
                if name in TODO_TOOLS and not output.is_error:
                    self._todos = _todos_of(output)
            return output
        if name in AFTER_CHANGES:
            async with self._changes:
                pass
        return await self.tools.call(name, args)


class Line:
    """The messages of one client, a line each, between two descriptors and the protocol."""

    def __init__(self, stdin: int, stdout: int) -> None:
        self._stdin = stdin
        self._stdout = stdout
        self._writing = anyio.Lock()
        self._places = anyio.Semaphore(MOST_AT_ONCE)
        self._hangup = select.poll()
        self._hangup.register(stdin, 0)

    async def read(self, into: MemoryObjectSendStream[SessionMessage | Exception]) -> None:
        """Hand on what the client says until it ends; then what it asked may still be answered."""
        metadata = ServerMessageMetadata(on_request_unanswered=self._settle)
        async with into, aclosing(read_lines(self._stdin, LONGEST_LINE)) as lines:
            async for line in lines:
                if line is not None and not line.strip():
                    continue
                try:
                    message = _parsed(line)
                except _NoMessage as problem:
                    await self._write(problem.answer)
                    continue
                if isinstance(message, jsonrpc.JSONRPCRequest) and not await self._has_place():
                    return
                await into.send(SessionMessage(message, metadata))
            with anyio.move_on_after(LAST_WORDS):
                for _ in range(MOST_AT_ONCE):
                    await self._places.acquire()

    async def write(self, outgoing: MemoryObjectReceiveStream[SessionMessage]) -> None:
        """Write what the protocol says, until it has no more to say."""
        async with outgoing:
            async for said in outgoing:
                await self._write(said.message)
                if isinstance(said.message, (jsonrpc.JSONRPCResponse, jsonrpc.JSONRPCError)):
                    await self._settle()

    async def _has_place(self) -> bool:
        """Wait until one more request may be unanswered; False when the client leaves first."""
        while True:
            with anyio.move_on_after(PAUSE):
                await self._places.acquire()
                return True
            if self._hangup.poll(0):
                return False

    async def _settle(self) -> None:
        """A request has its answer, or needs none any more."""
        self._places.release()

    async def _write(self, message: jsonrpc.JSONRPCMessage) -> None:
        line = message.model_dump_json(by_alias=True, exclude_unset=True).encode()
        async with self._writing:
            try:
                await write_line(self._stdout, line)
            except ConnectionError:
                raise
            except OSError as error:
                raise UsageError(f"Standard output cannot be written: {error.strerror}") from error


async def serve(calls: Calls, stdin: int, stdout: int) -> None:
    """Serve one client until it closes either of the two. Cancelled, it leaves no command behind.

    Raises:
        ConfigurationError: the workspace cannot be opened.
        UsageError: an answer cannot be written, and not because the client is gone.
    """
    line = Line(stdin, stdout)
    server = _server(calls)
    to_protocol, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    outgoing, from_protocol = anyio.create_memory_object_stream[SessionMessage](MOST_AT_ONCE)
    async with calls.tools:
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(line.read, to_protocol)
                tasks.start_soon(line.write, from_protocol)
                await server.run(incoming, outgoing, server.create_initialization_options())
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


class _Asked(msgspec.Struct):
    """As much of a request as it takes to answer it."""

    method: object
    id: str | int


class _NoMessage(Exception):
    """What came in is no message. `answer` says so to who sent it."""

    def __init__(self, code: int, message: str, to: str | int | None = None) -> None:
        super().__init__(message)
        self.answer = jsonrpc.JSONRPCError(
            jsonrpc="2.0", id=to, error=jsonrpc.ErrorData(code=code, message=message)
        )


def _parsed(line: bytes | None) -> jsonrpc.JSONRPCMessage:
    """The message in a line. Raises `_NoMessage` where there is none."""
    if line is None:
        most = f"A message has at most {LONGEST_LINE} bytes."
        raise _NoMessage(jsonrpc.INVALID_REQUEST, most)
    try:
        return jsonrpc.jsonrpc_message_adapter.validate_json(line, by_name=False)
    except ValueError:
        pass
    asked: str | int | None = None
    try:
        asked = msgspec.json.decode(line, type=_Asked).id
    except msgspec.ValidationError:  # JSON, and nothing that can be answered by its id
        pass
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _NoMessage(jsonrpc.PARSE_ERROR, "This is no JSON.") from None
    raise _NoMessage(jsonrpc.INVALID_REQUEST, "This is no message of JSON-RPC 2.0.", asked)
