"""The events of a Responses stream as data. What nobody here needs is not decoded.

https://developers.openai.com/api/reference/resources/responses/streaming-events
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias, TypeVar

import msgspec

from perstack.providers.wire import evened_json, tokens
from perstack.schema.usage import NO_USAGE, Usage

Kind: TypeAlias = Literal["text", "refusal", "summary", "thought", "arguments"]
T = TypeVar("T")

DELTAS: dict[str, Kind] = {
    "response.output_text.delta": "text",
    "response.refusal.delta": "refusal",
    "response.reasoning_summary_text.delta": "summary",
    "response.reasoning_text.delta": "thought",
    "response.function_call_arguments.delta": "arguments",
}
"""The events that carry a piece of an item, and of what in it."""
ITEMS = frozenset({"response.output_item.added", "response.output_item.done"})
ENDS = frozenset({"response.completed", "response.incomplete", "response.failed"})
ERROR = "error"
KNOWN_EVENTS = frozenset({*DELTAS, *ITEMS, *ENDS, ERROR})
KNOWN_ITEMS = frozenset({"message", "reasoning", "function_call"})

_DONE = b"[DONE]"
"""What some servers end a stream with, as the vendor does in its older dialect."""


class Piece(msgspec.Struct):
    """Of a message, a summary or a reasoning text."""

    type: str = ""
    text: str = ""
    refusal: str = ""


class Item(msgspec.Struct):
    """An output item. One of a type we have no use for has its type alone."""

    type: str = "message"
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    encrypted_content: str | None = None
    phase: str | None = None
    content: list[Piece] | None = None
    summary: list[Piece] | None = None


class Problem(msgspec.Struct):
    """What the server says went wrong. `code` is finer than `type`."""

    type: str | None = None
    code: str | int | None = None
    message: str | None = None


class Event(msgspec.Struct):
    """An event. `code` and `message` stand in an error event, or inside its `error`."""

    type: str = ""
    output_index: int = 0
    summary_index: int = 0
    content_index: int = 0
    delta: str = ""
    item: msgspec.Raw = msgspec.Raw()
    response: msgspec.Raw = msgspec.Raw()
    error: Problem | str | None = None
    code: str | int | None = None
    message: str | None = None

    @property
    def problem(self) -> Problem:
        """What an error event tells, wherever it tells it."""
        if isinstance(self.error, str):
            return Problem(message=self.error)
        inner = self.error or Problem()
        return Problem(inner.type, inner.code or self.code, inner.message or self.message)


class _Cached(msgspec.Struct):
    cached_tokens: int | None = None


class _Reasoned(msgspec.Struct):
    reasoning_tokens: int | None = None


class _Counts(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    input_tokens_details: _Cached | None = None
    output_tokens_details: _Reasoned | None = None


class _Details(msgspec.Struct):
    reason: str | None = None


class Response(msgspec.Struct):
    """What the last event says of the whole."""

    output: list[msgspec.Raw] | None = None
    error: Problem | None = None
    incomplete_details: _Details | None = None
    counts: _Counts | None = msgspec.field(default=None, name="usage")

    @property
    def reason(self) -> str:
        """Why it was cut short; empty where it was not, or nobody says."""
        return (self.incomplete_details and self.incomplete_details.reason) or ""

    @property
    def usage(self) -> Usage:
        """The vendor's count of input has the cached tokens in it, that of output reasoning."""
        counts = self.counts
        if counts is None:
            return NO_USAGE
        read, written = tokens(counts.input_tokens), tokens(counts.output_tokens)
        cached, reasoned = counts.input_tokens_details, counts.output_tokens_details
        return Usage(
            input_tokens=read,
            output_tokens=written,
            reasoning_tokens=tokens(reasoned and reasoned.reasoning_tokens),
            total_tokens=tokens(counts.total_tokens or read + written),
            cached_input_tokens=tokens(cached and cached.cached_tokens),
        )


class Unreadable(Exception):
    """An event that is none."""


class _Named(msgspec.Struct):
    type: str = ""


_decode_event = msgspec.json.Decoder(Event).decode
_decode_name = msgspec.json.Decoder(_Named).decode
_decode_item = msgspec.json.Decoder(Item).decode
_decode_response = msgspec.json.Decoder(Response).decode
_TROUBLE = (msgspec.MsgspecError, ValueError, RecursionError)


def read_event(data: bytes) -> Event | None:
    """The event in `data`; None for one we have no use for.

    Raises:
        Unreadable: it is no event, or one we need that is not what it should be.
    """
    if data == _DONE:
        return None
    try:
        return _decode_event(data)
    except _TROUBLE:
        pass
    try:
        whole = evened_json(data)
        return _decode_event(whole) if _decode_name(whole).type in KNOWN_EVENTS else None
    except _TROUBLE as error:
        raise Unreadable from error


def read_item(data: msgspec.Raw) -> Item:
    """An output item. Raises Unreadable, as below."""
    kind = _decoded(_decode_name, data).type
    return _decoded(_decode_item, data) if kind in KNOWN_ITEMS else Item(type=kind)


def read_response(data: msgspec.Raw) -> Response:
    """The response in a last event.

    Raises:
        Unreadable: it is none.
    """
    return _decoded(_decode_response, data)


def _decoded(decode: Callable[[bytes | msgspec.Raw], T], data: msgspec.Raw) -> T:
    try:
        return decode(data)
    except _TROUBLE as error:
        raise Unreadable from error
