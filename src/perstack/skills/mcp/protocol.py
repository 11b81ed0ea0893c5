"""JSON-RPC and what of MCP we speak, as data. What nobody here needs is not decoded.

https://modelcontextprotocol.io/specification
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple, TypeVar

import msgspec
from msgspec import Raw

from perstack._version import __version__
from perstack.schema.message import Json
from perstack.skills.mcp.crowd import MAX_VALUES, is_crowded

T = TypeVar("T")

HANDSHAKE = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
"""Revisions that begin with `initialize`, newest first."""
STATELESS = "2026-07-28"
"""The revision in which every request says for itself which one it is of."""

METHOD_NOT_FOUND = -32601
HEADER_MISMATCH = -32020
"""Headers of a request say something else than its body, in the stateless revision."""
UNSUPPORTED = -32022
"""A server that has the stateless revisions does not speak the one that it was asked in."""
UNREADABLE = 0
"""The code of ServerRefused where an answer came that is none to the question."""
TURNED_AWAY = 1
"""The same where a transport answers in the server's place; the message is ours."""
LOST = 2
"""The same where nobody knows what came of the request, and the server may be there still."""
UNTAKEN = 3
"""The same where the server does not know our session any more, and did nothing."""
TOO_LONG = -32000
MAX_NOTE_BYTES = 64 * 1024
"""Of what a server logs, tells of its progress, or refuses with. What is longer is not read."""
MAX_INFO = 200
"""Characters of each of these that are kept of what a server calls itself."""
MAX_ID = 256
"""Characters by which a server may number what it asks."""

_CLIENT: Json = {"name": "perstack", "version": __version__}
_META = "io.modelcontextprotocol/"
_TROUBLE = (msgspec.MsgspecError, ValueError, RecursionError)
_ID_FIRST = re.compile(rb'\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*(\d{1,15})\s*[,}]')
_ID_LAST = re.compile(rb',\s*"id"\s*:\s*(\d{1,15})\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*$')


class ServerInfo(NamedTuple):
    """What a server says of itself, each at most `MAX_INFO` characters."""

    name: str
    version: str
    protocol: str


class ServerTool(NamedTuple):
    """A tool as its server describes it. Nothing in it is to be trusted."""

    name: str
    description: str
    input_schema: Json
    annotations: Json


class CallResult(NamedTuple):
    """What a tool answered: content blocks of the protocol, and data beside them."""

    content: tuple[Json, ...]
    structured: object | None
    is_error: bool


class Problem(msgspec.Struct):
    """Why a request is refused. `code` is JSON-RPC's or the server's own."""

    code: int = UNREADABLE
    message: str = ""


class Message(msgspec.Struct):
    """Anything a server may send: a request, a notification or an answer."""

    jsonrpc: str
    id: int | str | None = None
    method: str | None = None
    params: Raw = Raw()
    result: Raw = Raw()
    error: Raw = Raw()

    @property
    def is_answer(self) -> bool:
        """Whether it answers something, as far as one can see."""
        return self.method is None and bool(self.result or self.error)

    @property
    def problem(self) -> Problem | None:
        """The error, if it is one."""
        if not self.error or bytes(self.error) == b"null":
            return None
        if size_of(self.error) > MAX_NOTE_BYTES:
            return Problem(message="The server refuses, and its reason is too long to be read.")
        try:
            return decode(_problem, self.error)
        except Unreadable:
            return Problem(message="The server refuses, and its reason makes no sense.")


class Named(msgspec.Struct):
    """How a server calls itself."""

    name: str = ""
    version: str = ""


class Welcome(msgspec.Struct, rename="camel"):
    """The answer to `initialize`."""

    protocol_version: str
    server_info: Named = msgspec.field(default_factory=Named)


class Discovery(msgspec.Struct, rename="camel"):
    """The answer to `server/discover`."""

    supported_versions: list[str]
    meta: Json = msgspec.field(default_factory=dict[str, object], name="_meta")

    @property
    def named(self) -> Named:
        """Who it is, where it says so in the way it should."""
        try:
            return msgspec.convert(self.meta.get(_META + "serverInfo", {}), Named)
        except msgspec.ValidationError:
            return Named()


class Page(msgspec.Struct, rename="camel"):
    """Some of the tools of a server."""

    tools: list[Raw]
    next_cursor: str | None = None


class ToolEntry(msgspec.Struct, rename="camel"):
    """One of these tools."""

    name: str
    description: str | None = None
    input_schema: Json | None = None
    annotations: Json | None = None


class Result(msgspec.Struct, rename="camel"):
    """The answer to `tools/call`."""

    content: Raw = Raw()
    structured_content: Raw = Raw()
    is_error: bool | None = None
    result_type: str | None = None


class Logged(msgspec.Struct):
    """What a server wants to have logged."""

    level: str = "info"
    data: object = None

    @property
    def text(self) -> str:
        """As a line."""
        return self.data if isinstance(self.data, str) else encode(self.data).decode()


class Progress(msgspec.Struct, rename="camel"):
    """How far a call has come."""

    progress_token: int | str | None = None
    progress: float = 0
    total: float | None = None
    message: str | None = None

    @property
    def text(self) -> str:
        """As a line."""
        part = f"{self.progress:g}" + (f"/{self.total:g}" if self.total is not None else "")
        return f"{part} {self.message}" if self.message else part


class Unreadable(Exception):
    """Bytes that are not what they should be. Its message ends a sentence about them."""


_problem = msgspec.json.Decoder(Problem)
_encode = msgspec.json.Encoder().encode


def encode(value: object) -> bytes:
    """JSON, with a question mark for what no UTF-8 can hold (half a surrogate pair)."""
    try:
        return _encode(value)
    except UnicodeEncodeError:
        return json.dumps(value, ensure_ascii=False).encode(errors="replace")


def decode(decoder: msgspec.json.Decoder[T], data: bytes | Raw, most: int | None = MAX_VALUES) -> T:
    """The value in `data`, which may hold `most` values; None where few of them are made (`Raw`).

    Raises:
        Unreadable: it is none of this type, or holds more than that.
    """
    if most is not None and is_crowded(data, most):
        raise Unreadable(f"holds more than {most} values")
    try:
        return decoder.decode(data)
    except _TROUBLE:
        pass
    text = bytes(data)
    try:
        if is_crowded(text):
            raise Unreadable(f"holds more than {MAX_VALUES} values, some of them odd")
        # Slower, and taken only for what is odd: half a surrogate pair, NaN, a byte order mark.
        value = json.loads(text, parse_constant=lambda _: None)
        return decoder.decode(json.dumps(value, ensure_ascii=False).encode(errors="replace"))
    except _TROUBLE as error:
        raise Unreadable("makes no sense") from error


def size_of(raw: Raw) -> int:
    """How many bytes it has."""
    return len(memoryview(raw))


def request(number: int, method: str, params: Json) -> bytes:
    """A question with its number."""
    return encode({"jsonrpc": "2.0", "id": number, "method": method, "params": params})


def notification(method: str, params: Json | None = None) -> bytes:
    """Something nobody answers."""
    given = {} if params is None else {"params": params}
    return encode({"jsonrpc": "2.0", "method": method, **given})


def reply(question: Message) -> bytes:
    """The answer to what a server asks: it may ask whether we live, and for nothing else."""
    head = {"jsonrpc": "2.0", "id": question.id}
    if question.method == "ping":
        return encode({**head, "result": {}})
    return encode({**head, "error": {"code": METHOD_NOT_FOUND, "message": "Method not found"}})


def too_long(head: bytes, tail: bytes, limit: int) -> bytes:
    """What stands for a message that was dropped: an answer to its question, if that can be told.

    `head` and `tail` are how it begins and ends; its number stands in one or the other.
    """
    return error_answer(number_in(head, tail), dropped(limit))


def number_in(head: bytes, tail: bytes) -> int | None:
    """The number of an answer that is not read, where it stands at its beginning or its end."""
    found = _ID_FIRST.match(head) or _ID_LAST.search(tail)
    return int(found[1]) if found else None


def dropped(limit: int) -> Problem:
    """That an answer was longer than `limit` bytes."""
    return Problem(TOO_LONG, f"The answer has more than {limit >> 20} MiB and was dropped.")


def error_answer(number: int | None, problem: Problem) -> bytes:
    """The answer to a question of ours, in the place of the server's."""
    error: Json = {"code": problem.code, "message": problem.message}
    return encode({"jsonrpc": "2.0", "id": number, "error": error})


def hello() -> Json:
    """The parameters of `initialize`. Nothing is declared, so a server may ask for nothing."""
    return {"protocolVersion": HANDSHAKE[0], "capabilities": {}, "clientInfo": _CLIENT}


def stateless_meta() -> Json:
    """What every request of the stateless revision carries."""
    return {
        _META + "protocolVersion": STATELESS,
        _META + "clientInfo": _CLIENT,
        _META + "clientCapabilities": {},
    }
