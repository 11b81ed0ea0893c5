"""One server, spoken to: its handshake, its tools, and calls of them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import Protocol, Self, TypeVar

import msgspec
from msgspec import Raw

from perstack.schema.message import Json
from perstack.skills.mcp import MAX_PAGES, CallUntaken, Patience, ServerRefused, Transport
from perstack.skills.mcp.conversation import Conversation
from perstack.skills.mcp.crowd import MAX_VALUES
from perstack.skills.mcp.listing import Listing
from perstack.skills.mcp.protocol import (
    HANDSHAKE,
    HEADER_MISMATCH,
    MAX_INFO,
    STATELESS,
    UNREADABLE,
    UNSUPPORTED,
    UNTAKEN,
    CallResult,
    Discovery,
    Named,
    Page,
    Result,
    ServerInfo,
    ServerTool,
    Unreadable,
    Welcome,
    decode,
    hello,
    notification,
    stateless_meta,
)
from perstack.skills.mcp.redaction import NOTHING, Redaction

__all__ = ["CallResult", "OpenTransport", "ServerInfo", "ServerTool", "Session"]

T = TypeVar("T")

_MAX_NAME = 100
PROBE_SECONDS = 10.0
"""How long a server may take to say that it speaks the stateless revision."""

_PATIENCE = Patience()
_INITIALIZE = "initialize"
_DISCOVER = "server/discover"
_LIST = "tools/list"
_CALL = "tools/call"

_welcome = msgspec.json.Decoder(Welcome)
_discovery = msgspec.json.Decoder(Discovery)
_page = msgspec.json.Decoder(Page)
_result = msgspec.json.Decoder(Result)
_blocks = msgspec.json.Decoder(list[dict[str, object]] | None)
_anything = msgspec.json.Decoder()


class OpenTransport(Transport, Protocol):
    """A transport and its life: the server is there between entering and leaving."""

    async def __aenter__(self) -> object: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None: ...


class Session:
    """A server that is spoken to between entering and leaving.

    Contract: leaving ends the server, also when cancelled. Calls may run
    concurrently; one that is cancelled, or takes too long, is called off. Every
    method raises ServerGone where the server is gone, ServerRefused where it answers
    with an error or with nothing that makes sense, and TimeoutError where its time
    is over. `on_message` gets (level, text) of what the server logs and how far its
    calls have come ("progress"), at a bearable rate, and of what is left out. No secret
    of `redaction` stands in these, in what the server says of itself and its tools, or in
    an error; only the results of calls are as they came.
    """

    def __init__(
        self,
        transport: OpenTransport,
        *,
        patience: Patience = _PATIENCE,
        on_message: Callable[[str, str], None] | None = None,
        redaction: Redaction = NOTHING,
    ) -> None:
        self._transport = transport
        self._patience = patience
        self._say = on_message or _ignore
        self._redaction = redaction
        self._talk = Conversation(transport, self._say, redaction)
        self._stack = AsyncExitStack()
        self._meta: Json = {}

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._transport)
            await stack.enter_async_context(self._talk)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    @property
    def gone(self) -> str | None:
        """Why the server is gone, once that is known. Nothing asked from then on reaches it."""
        return self._talk.gone

    @property
    def have_tools_changed(self) -> bool:
        """Whether the server has said so since they were last listed."""
        return self._talk.have_tools_changed

    async def start(self) -> ServerInfo:
        """Shake hands.

        `initialize` comes first: every server of the handshake needs it, and one of the
        stateless revision alone answers with an error and is asked the other way. The
        other order would end some servers: those that take anything else before
        `initialize` for a reason to stop. Where none can, over HTTP, it is the other
        order, as the stateless revision asks, whose servers need not know `initialize`.
        """
        with self._talk.limit(self._patience.start, "did not start"):
            if self._transport.bears_questions:
                with (
                    suppress(ServerRefused, TimeoutError),
                    self._talk.limit(PROBE_SECONDS, "did not say what it speaks"),
                ):
                    return await self._discover()
                self._meta = {}
                self._transport.agree("")
            try:
                answer = await self._talk.ask(_INITIALIZE, hello(), is_cancellable=False)
            except ServerRefused as refused:
                if self._transport.bears_questions:
                    raise
                with suppress(ServerRefused):
                    return await self._discover()
                raise refused from None
            welcome = _read(_welcome, answer, _INITIALIZE)
            if welcome.protocol_version not in HANDSHAKE:
                raise self._strange([welcome.protocol_version])
            self._transport.agree(welcome.protocol_version)
            await self._transport.send(notification("notifications/initialized"))
        return self._info(welcome.server_info, welcome.protocol_version)

    async def tools(self) -> tuple[ServerTool, ...]:
        """All its tools, as it orders them, within the caps; what is left out is told.

        Where they cannot be had, that they have changed is still to be found out.
        """
        had_changed, self._talk.have_tools_changed = self._talk.have_tools_changed, False
        try:
            listed = await self._listed()
        except BaseException:
            self._talk.have_tools_changed |= had_changed
            raise
        return tuple(tool for tool in listed if self._is_admitted(tool))

    async def call(self, name: str, args: Json) -> CallResult:
        """What the tool answers.

        Raises:
            CallUntaken: the server has forgotten the session, and did nothing.
        """
        params: Json = {"name": name, "arguments": args}
        with self._talk.limit(self._patience.call, "did not answer the call"):
            try:
                answer = await self._talk.ask(_CALL, params, self._meta, has_progress=True)
            except ServerRefused as refused:
                if refused.code == UNTAKEN:
                    raise CallUntaken(str(refused)) from None
                if refused.code != HEADER_MISMATCH or not self._meta:
                    raise
                await self.tools()  # what has to stand in the headers may be listed anew
                self._talk.have_tools_changed = True  # nobody has compared them yet
                answer = await self._talk.ask(_CALL, params, self._meta, has_progress=True)
        result = _read(_result, answer, _CALL, most=None)
        if result.result_type not in {None, "complete"}:
            raise ServerRefused(UNREADABLE, "The tool wants input that nobody here can give.")
        content = tuple(_optional(_blocks, result.content) or ())
        return CallResult(content, self._data(result, content), is_error=bool(result.is_error))

    async def _listed(self) -> tuple[ServerTool, ...]:
        listing = Listing(self._say, self._redaction)
        with self._talk.limit(self._patience.listing, "did not list its tools"):
            cursor: str | None = None
            for _ in range(MAX_PAGES):
                params: Json = {} if cursor is None else {"cursor": cursor}
                answer = await self._talk.ask(_LIST, params, self._meta)
                page = _read(_page, answer, _LIST)
                cursor = page.next_cursor
                if not listing.add(page.tools) or cursor is None:
                    break
            else:
                self._say("warning", f"Only the first {MAX_PAGES} pages of tools were read.")
        return listing.tools

    def _data(self, result: Result, content: tuple[Json, ...]) -> object:
        """The data beside an answer's content, which say the same again where both are there."""
        try:
            return _optional(_anything, result.structured_content)
        except ServerRefused as error:
            if not content:
                raise
            self._say("warning", f"The data beside an answer were left out. {error}")
            return None

    def _is_admitted(self, tool: ServerTool) -> bool:
        problem = self._transport.admit(tool)
        if problem is not None:
            name = self._redaction.start(tool.name, _MAX_NAME)
            self._say("warning", f"The tool {name!r} was left out: {problem}.")
        return problem is None

    async def _discover(self) -> ServerInfo:
        """Speak to a server as if it knew no `initialize`."""
        self._meta = stateless_meta()
        self._transport.agree(STATELESS)
        try:
            answer = await self._talk.ask(_DISCOVER, {}, self._meta, is_cancellable=False)
        except ServerRefused as refused:
            if refused.code != UNSUPPORTED or not self._transport.bears_questions:
                raise
            # Such a server has no handshake to fall back to: the revision asks for one more try.
            answer = await self._talk.ask(_DISCOVER, {}, self._meta, is_cancellable=False)
        found = _read(_discovery, answer, _DISCOVER)
        if STATELESS not in found.supported_versions:
            raise self._strange(found.supported_versions)
        return self._info(found.named, STATELESS)

    def _info(self, named: Named, protocol: str) -> ServerInfo:
        start = self._redaction.start
        return ServerInfo(start(named.name, MAX_INFO), start(named.version, MAX_INFO), protocol)

    def _strange(self, versions: list[str]) -> ServerRefused:
        theirs = self._redaction.start(", ".join(versions), MAX_INFO) or "none"
        ours = ", ".join((STATELESS, *HANDSHAKE))
        words = f"The server speaks protocol {theirs}; known are {ours}."
        return ServerRefused(UNREADABLE, words)


def _read(
    decoder: msgspec.json.Decoder[T], answer: Raw, method: str, most: int | None = MAX_VALUES
) -> T:
    try:
        return decode(decoder, answer, most)
    except Unreadable as error:
        words = f"What it answered to {method} is no answer: it {error}."
        raise ServerRefused(UNREADABLE, words) from error


def _optional(decoder: msgspec.json.Decoder[T], part: Raw) -> T | None:
    """A part of what was answered to a call, where it is there."""
    return _read(decoder, part, _CALL) if part else None


def _ignore(level: str, text: str) -> None:
    """Nobody listens."""
