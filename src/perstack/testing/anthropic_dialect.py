"""How a scripted model server speaks Anthropic Messages."""

from __future__ import annotations

import msgspec

from perstack.schema.message import Json
from perstack.testing.scenario import Conversation, ReplySpec

PATH = "/v1/messages"
_encode = msgspec.json.Encoder().encode


class _Role(msgspec.Struct):
    role: str


class _Roles(msgspec.Struct):
    messages: list[_Role]


class _Block(msgspec.Struct):
    type: str
    text: str = ""


class _Message(msgspec.Struct):
    role: str
    content: list[_Block] | str


class _Words(msgspec.Struct):
    messages: list[_Message]
    system: list[_Block] | str = ""


_decode_roles = msgspec.json.Decoder(_Roles).decode
_decode_words = msgspec.json.Decoder(_Words).decode


def conversation(body: bytes, *, reads_text: bool) -> Conversation:
    """What a scenario looks at. Without `reads_text` only the turns are counted."""
    if not reads_text:
        turns = sum(message.role == "assistant" for message in _decode_roles(body).messages)
        return Conversation(system="", user="", turns=turns)
    words = _decode_words(body)
    texts = [_text(message.content) for message in words.messages if message.role == "user"]
    return Conversation(
        system=_text(words.system),
        user=next((text for text in reversed(texts) if text), ""),
        turns=sum(message.role == "assistant" for message in words.messages),
    )


def events(spec: ReplySpec) -> list[bytes]:
    """The whole stream of one reply, an event each, with `{n}` still in it."""
    blocks: list[tuple[Json, list[Json]]] = []
    if spec.redacted:
        blocks.append(({"type": "redacted_thinking", "data": spec.redacted}, []))
    if spec.thinking:
        thought: list[Json] = [
            {"type": "thinking_delta", "thinking": spec.thinking},
            {"type": "signature_delta", "signature": spec.signature},
        ]
        blocks.append(({"type": "thinking", "thinking": "", "signature": ""}, thought))
    if spec.text:
        size = -(-len(spec.text) // max(1, spec.text_pieces))
        pieces = [spec.text[at : at + size] for at in range(0, len(spec.text), size)]
        said: list[Json] = [{"type": "text_delta", "text": piece} for piece in pieces]
        blocks.append(({"type": "text", "text": ""}, said))
    for place, call in enumerate(spec.calls):
        name = {"id": call.id or f"toolu_{{n}}_{place}", "name": call.name}
        raw = _encode(call.args).decode() if call.raw is None else call.raw
        half = len(raw) // 2
        called: list[Json] = [
            {"type": "input_json_delta", "partial_json": piece}
            for piece in ("", raw[:half], raw[half:])
        ]
        blocks.append(({"type": "tool_use", **name, "input": {}}, called))
    stream = [_started(spec), _event({"type": "ping"})]
    for index, (block, deltas) in enumerate(blocks):
        stream.append(
            _event({"type": "content_block_start", "index": index, "content_block": block})
        )
        stream += [
            _event({"type": "content_block_delta", "index": index, "delta": delta})
            for delta in deltas
        ]
        stream.append(_event({"type": "content_block_stop", "index": index}))
    return [*stream, _finished(spec), _event({"type": "message_stop"})]


def error_event(spec: ReplySpec) -> bytes:
    """An error inside a stream."""
    return b"event: error\ndata: " + error_body(spec) + b"\n\n"


def error_body(spec: ReplySpec) -> bytes:
    """The body of an answer that is no reply."""
    kind, message = spec.error
    return _encode({"type": "error", "error": {"type": kind, "message": message}})


def _started(spec: ReplySpec) -> bytes:
    usage = {
        "input_tokens": spec.input_tokens,
        "cache_creation_input_tokens": spec.cache_creation_tokens,
        "cache_read_input_tokens": spec.cached_tokens,
        "output_tokens": 1,
    }
    message: Json = {
        "id": "msg_scripted",
        "type": "message",
        "role": "assistant",
        "model": "scripted",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    return _event({"type": "message_start", "message": message})


def _finished(spec: ReplySpec) -> bytes:
    reason = spec.stop_reason or ("tool_use" if spec.calls else "end_turn")
    delta = {"stop_reason": reason, "stop_sequence": None}
    usage = {"output_tokens": spec.output_tokens}
    return _event({"type": "message_delta", "delta": delta, "usage": usage})


def _event(data: Json) -> bytes:
    return b"event: " + str(data["type"]).encode() + b"\ndata: " + _encode(data) + b"\n\n"


def _text(content: list[_Block] | str) -> str:
    if isinstance(content, str):
        return content
    return "".join(block.text for block in content if block.type == "text")
