"""The chunks of a Chat Completions stream as data. What nobody here needs is not decoded.

https://developers.openai.com/api/reference/resources/chat/subresources/completions/streaming-events
Every field may be missing: servers that speak the vendor's dialect leave out what they like.
"""

from __future__ import annotations

import msgspec

from perstack.providers.wire import evened_json, tokens
from perstack.schema.message import Json
from perstack.schema.usage import Usage


class Function(msgspec.Struct):
    """Of a call. Some servers give the arguments as an object, whole."""

    name: str | None = None
    arguments: msgspec.Raw = msgspec.Raw()

    @property
    def text(self) -> str:
        """The JSON of the arguments, or a piece of it.

        Raises:
            ValueError: it cannot be read.
        """
        raw = bytes(self.arguments)
        if not raw.startswith(b'"'):
            return "" if raw == b"null" else raw.decode(errors="replace")
        try:
            return _decode_text(raw)
        except (msgspec.MsgspecError, ValueError):
            return _decode_text(evened_json(raw))


class Call(msgspec.Struct):
    """A piece of a tool call, or all of it."""

    index: int | None = None
    id: str | None = None
    function: Function | None = None


class Delta(msgspec.Struct):
    """What a chunk adds. Reasoning stands in one of three fields, or in two at once."""

    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[Json] | None = None
    tool_calls: list[Call] | None = None


class Choice(msgspec.Struct):
    """The reply; more than one was not asked for."""

    index: int = 0
    delta: Delta | None = None
    finish_reason: str | None = None


class Problem(msgspec.Struct):
    """What the server says went wrong. A number for a `code` is an HTTP status."""

    type: str | None = None
    code: str | int | None = None
    message: str | None = None


class _InputDetails(msgspec.Struct):
    cached_tokens: int | None = None


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class Counts(msgspec.Struct):
    """Tokens. DeepSeek counts what it had cached beside the details too."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    prompt_cache_hit_tokens: int | None = None

    @property
    def usage(self) -> Usage:
        """The count of input has the cached tokens in it, that of output the reasoning."""
        read, written = tokens(self.prompt_tokens), tokens(self.completion_tokens)
        cached, reasoned = self.prompt_tokens_details, self.completion_tokens_details
        return Usage(
            input_tokens=read,
            output_tokens=written,
            reasoning_tokens=tokens(reasoned and reasoned.reasoning_tokens),
            total_tokens=tokens(self.total_tokens or read + written),
            cached_input_tokens=tokens(
                (cached and cached.cached_tokens) or self.prompt_cache_hit_tokens
            ),
        )


class Chunk(msgspec.Struct):
    """One event. An error stands in `error`, or, with `object` "error", in the chunk itself."""

    object: str | None = None
    choices: list[Choice] | None = None
    usage: Counts | None = None
    error: Problem | str | None = None
    type: str | None = None
    code: str | int | None = None
    message: str | None = None

    @property
    def problem(self) -> Problem | None:
        """What went wrong, if this chunk says that something did."""
        if isinstance(self.error, str):
            return Problem(message=self.error)
        if self.error is None and self.object == "error":
            return Problem(self.type, self.code, self.message)
        return self.error


_decode_text = msgspec.json.Decoder(str).decode
_decode = msgspec.json.Decoder(Chunk).decode


def read_chunk(data: bytes) -> Chunk | None:
    """The chunk in `data`; None where there is none to be read."""
    try:
        return _decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass
    try:
        return _decode(evened_json(data))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
