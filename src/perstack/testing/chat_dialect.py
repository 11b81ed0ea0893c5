"""How a scripted model server speaks OpenAI Chat Completions.

Thinking is sent as DeepSeek sends it; with a signature of its own, and `redacted`, as
OpenRouter does.
"""

from __future__ import annotations

import msgspec

from perstack.schema.message import Json
from perstack.testing.scenario import CallSpec, Conversation, ReplySpec

PATH = r"(?:/openai)?(?:/v1|/api/v1|/deployments/[^/]+)/chat/completions"
"""A pattern: the vendor's path, and those of Azure and OpenRouter."""

CUT = {"max_tokens": "length", "max_output_tokens": "length"}
"""Other vendors' words for the vendor's own, so that one scenario serves every wire."""

_UNSIGNED = ReplySpec().signature
_encode = msgspec.json.Encoder().encode


class _Role(msgspec.Struct):
    role: str


class _Roles(msgspec.Struct):
    messages: list[_Role]


class _Part(msgspec.Struct):
    type: str = "text"
    text: str = ""


class _Message(msgspec.Struct):
    role: str
    content: list[_Part] | str | None = None


class _Words(msgspec.Struct):
    messages: list[_Message]


_decode_roles = msgspec.json.Decoder(_Roles).decode
_decode_words = msgspec.json.Decoder(_Words).decode


def conversation(body: bytes, *, reads_text: bool) -> Conversation:
    """What a scenario looks at. Without `reads_text` only the turns are counted."""
    if not reads_text:
        turns = sum(message.role == "assistant" for message in _decode_roles(body).messages)
        return Conversation(system="", user="", turns=turns)
    messages = _decode_words(body).messages
    users = [_text(message) for message in messages if message.role == "user"]
    system = [_text(message) for message in messages if message.role in ("system", "developer")]
    return Conversation(
        system="".join(system),
        user=next((text for text in reversed(users) if text), ""),
        turns=sum(message.role == "assistant" for message in messages),
    )


def events(spec: ReplySpec) -> list[bytes]:
    """The whole stream of one reply, with `{n}` still in it.

    Its end is one piece: the finish reason, the usage and the mark that nothing follows.
    """
    stream: list[bytes] = [b": a comment, which keeps a connection awake\n\n"]
    stream.append(_chunk({"role": "assistant", "content": ""}))
    stream += _reasoning(spec)
    if spec.text:
        field = "refusal" if spec.stop_reason == "refusal" else "content"
        size = -(-len(spec.text) // max(1, spec.text_pieces))
        pieces = [spec.text[at : at + size] for at in range(0, len(spec.text), size)]
        stream += [_chunk({field: piece}) for piece in pieces]
    for index, call in enumerate(spec.calls):
        stream += _call(call, index)
    return [*stream, _end(spec)]


def error_event(spec: ReplySpec) -> bytes:
    """An error inside a stream."""
    return b"data: " + error_body(spec) + b"\n\n"


def error_body(spec: ReplySpec) -> bytes:
    """The body of an answer that is no reply."""
    kind, message = spec.error
    return _encode({"error": {"message": message, "type": kind, "param": None, "code": None}})


def _reasoning(spec: ReplySpec) -> list[bytes]:
    deltas: list[Json] = []
    if spec.redacted:
        hidden = {"type": "reasoning.encrypted", "data": spec.redacted, "index": 0}
        deltas.append({"reasoning_details": [hidden]})
    if spec.thinking and spec.signature == _UNSIGNED:
        deltas.append({"reasoning_content": spec.thinking})
    elif spec.thinking:
        said: Json = {"type": "reasoning.text", "format": "anthropic-claude-v1", "index": 1}
        text = {"reasoning_details": [said | {"text": spec.thinking}]}
        deltas.append({"reasoning": spec.thinking, **text})
        deltas.append({"reasoning_details": [said | {"signature": spec.signature}]})
    return [_chunk(delta) for delta in deltas]


def _call(call: CallSpec, index: int) -> list[bytes]:
    raw = _encode(call.args).decode() if call.raw is None else call.raw
    half = len(raw) // 2
    begun: Json = {
        "index": index,
        "id": call.id or f"call_{{n}}_{index}",
        "type": "function",
        "function": {"name": call.name, "arguments": ""},
    }
    further: list[Json] = [
        {"index": index, "function": {"arguments": piece}} for piece in (raw[:half], raw[half:])
    ]
    return [_chunk({"tool_calls": [piece]}) for piece in (begun, *further)]


def _end(spec: ReplySpec) -> bytes:
    reason = CUT.get(spec.stop_reason or "", spec.stop_reason or "")
    if not reason or reason == "refusal":
        reason = "tool_calls" if spec.calls else "stop"
    finished = _chunk({}, reason)
    return finished + _event({"choices": [], "usage": _usage(spec)}) + b"data: [DONE]\n\n"


def _usage(spec: ReplySpec) -> Json:
    """The vendor counts cached tokens among the input, and reasoning among the output."""
    read = spec.input_tokens + spec.cache_creation_tokens + spec.cached_tokens
    cached = {"cached_tokens": spec.cached_tokens, "cache_write_tokens": spec.cache_creation_tokens}
    thought = spec.output_tokens // 2 if spec.thinking or spec.redacted else 0
    return {
        "prompt_tokens": read,
        "completion_tokens": spec.output_tokens,
        "total_tokens": read + spec.output_tokens,
        "prompt_tokens_details": cached,
        "completion_tokens_details": {"reasoning_tokens": thought},
    }


def _chunk(delta: Json, reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
    return _event({"choices": [choice], "usage": None})


def _event(data: Json) -> bytes:
    head: Json = {
        "id": "chatcmpl-scripted-{n}",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": "scripted",
    }
    return b"data: " + _encode(head | data) + b"\n\n"


def _text(message: _Message) -> str:
    content = message.content or ""
    return content if isinstance(content, str) else "".join(part.text for part in content)
