"""How a scripted model server speaks Amazon Bedrock's ConverseStream.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html
"""

from __future__ import annotations

import base64
import struct
from binascii import crc32

import msgspec

from perstack.schema.message import Json
from perstack.testing.scenario import Conversation, ReplySpec

PATH = r"/model/[^/]+/converse-stream"
"""A pattern: the model's id stands in the path."""

CONTENT_TYPE = "application/vnd.amazon.eventstream"

CUT = {"length": "max_tokens"}
"""Other vendors' words for the vendor's own, so that one scenario serves every wire."""

_BETWEEN = b"\0"
"""Parts two events that go out together: JSON has no such byte."""

_encode = msgspec.json.Encoder().encode


class _Block(msgspec.Struct):
    text: str = ""


class _Message(msgspec.Struct):
    role: str
    content: list[_Block]


class _Role(msgspec.Struct):
    role: str


class _Roles(msgspec.Struct):
    messages: list[_Role]


class _Words(msgspec.Struct):
    messages: list[_Message]
    system: list[_Block] = []


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
    """The whole stream of one reply, an event each, unframed and with `{n}` still in it.

    Text and thoughts begin without an event of their own, as the vendor's do.
    """
    stream = [_event("messageStart", {"role": "assistant"})]
    blocks: list[tuple[Json | None, list[Json]]] = []
    if spec.redacted:
        hidden = base64.b64encode(spec.redacted.encode()).decode()
        blocks.append((None, [{"reasoningContent": {"redactedContent": hidden}}]))
    if spec.thinking:
        thought = ({"text": spec.thinking}, {"signature": spec.signature})
        blocks.append((None, [{"reasoningContent": each} for each in thought]))
    if spec.text:
        size = -(-len(spec.text) // max(1, spec.text_pieces))
        pieces = [spec.text[at : at + size] for at in range(0, len(spec.text), size)]
        blocks.append((None, [{"text": piece} for piece in pieces]))
    for place, call in enumerate(spec.calls):
        started = {"toolUseId": call.id or f"tooluse_{{n}}_{place}", "name": call.name}
        raw = _encode(call.args).decode() if call.raw is None else call.raw
        half = len(raw) // 2
        said = [{"toolUse": {"input": piece}} for piece in (raw[:half], raw[half:])]
        blocks.append(({"toolUse": started}, [dict(each) for each in said]))
    for index, (start, deltas) in enumerate(blocks):
        at: Json = {"contentBlockIndex": index}
        if start is not None:
            stream.append(_event("contentBlockStart", {"start": start} | at))
        stream += [_event("contentBlockDelta", {"delta": delta} | at) for delta in deltas]
        stream.append(_event("contentBlockStop", at))
    reason = spec.stop_reason or ("tool_use" if spec.calls else "end_turn")
    stopped = _event("messageStop", {"stopReason": CUT.get(reason, reason)})
    counted = _event("metadata", {"usage": _usage(spec), "metrics": {"latencyMs": 1}})
    return [*stream, stopped + _BETWEEN + counted]  # without a stop there are no counts


def error_event(spec: ReplySpec) -> bytes:
    """An error inside a stream, unframed. The vendor has five; others become the first."""
    name, message = spec.error
    kind = f"{name[:1].lower()}{name[1:]}"
    kind = kind if kind.endswith("Exception") else "internalServerException"
    return b"!" + _event(kind, {"message": message})


def error_body(spec: ReplySpec) -> bytes:
    """The body of an answer that is no reply."""
    kind, message = spec.error
    return _encode({"__type": kind, "message": message})


def frame(event: bytes) -> bytes:
    """One or more events as the vendor sends them."""
    return b"".join(map(_framed, event.split(_BETWEEN)))


def _framed(event: bytes) -> bytes:
    """`event` in the framing of Amazon's event streams, with its lengths and checksums.

    https://docs.aws.amazon.com/AmazonS3/latest/API/RESTSelectObjectAppendix.html
    """
    kind, _, payload = event.partition(b"\n")
    is_error = kind.startswith(b"!")
    names = (b":exception-type", b"exception") if is_error else (b":event-type", b"event")
    headers = b"".join(
        _header(name, value)
        for name, value in (
            (names[0], kind.removeprefix(b"!")),
            (b":content-type", b"application/json"),
            (b":message-type", names[1]),
        )
    )
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    message = prelude + struct.pack(">I", crc32(prelude)) + headers + payload
    return message + struct.pack(">I", crc32(message))


def _header(name: bytes, value: bytes) -> bytes:
    """A header of type 7, a string."""
    return bytes([len(name)]) + name + b"\x07" + struct.pack(">H", len(value)) + value


def _event(kind: str, data: Json) -> bytes:
    return kind.encode() + b"\n" + _encode(data)


def _usage(spec: ReplySpec) -> Json:
    """Counts. The vendor counts what was cached beside the input."""
    read = spec.input_tokens + spec.cached_tokens + spec.cache_creation_tokens
    return {
        "inputTokens": spec.input_tokens,
        "outputTokens": spec.output_tokens,
        "totalTokens": read + spec.output_tokens,
        "cacheReadInputTokens": spec.cached_tokens,
        "cacheWriteInputTokens": spec.cache_creation_tokens,
    }


def _text(content: list[_Block]) -> str:
    return "".join(block.text for block in content)
