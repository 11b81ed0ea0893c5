"""How a scripted model server speaks Gemini: Google's own API, and Vertex AI.

https://ai.google.dev/api/generate-content
"""

from __future__ import annotations

import base64
import binascii
import re

import msgspec

from perstack.schema.message import Json
from perstack.testing.scenario import CallSpec, Conversation, ReplySpec

PATH = (
    r"/v1(?:beta1?|alpha)?/(?:projects/[^/]+/locations/[^/]+/)?(?:publishers/google/)?"
    r"models/[^/:]+:streamGenerateContent"
)
"""A pattern, without the query `alt=sse`."""

CUT = {"max_tokens": "MAX_TOKENS", "length": "MAX_TOKENS"}
"""Other vendors' words for the vendor's own, so that one scenario serves every wire."""

STATUSES = {400: "INVALID_ARGUMENT", 429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE"}

_encode = msgspec.json.Encoder().encode
_SIGNATURE = re.compile(rb'"signed:([^"]*)"')


class _Part(msgspec.Struct):
    text: str = ""


class _Content(msgspec.Struct):
    parts: list[_Part] = []
    role: str = "user"


class _Role(msgspec.Struct):
    role: str = "user"


class _Roles(msgspec.Struct):
    contents: list[_Role]


class _Words(msgspec.Struct, rename="camel"):
    contents: list[_Content]
    system_instruction: _Content | None = None


_decode_roles = msgspec.json.Decoder(_Roles).decode
_decode_words = msgspec.json.Decoder(_Words).decode


def conversation(body: bytes, *, reads_text: bool) -> Conversation:
    """What a scenario looks at. Without `reads_text` only the turns are counted."""
    if not reads_text:
        turns = sum(content.role == "model" for content in _decode_roles(body).contents)
        return Conversation(system="", user="", turns=turns)
    words = _decode_words(body)
    texts = [_text(content) for content in words.contents if content.role == "user"]
    return Conversation(
        system=_text(words.system_instruction),
        user=next((text for text in reversed(texts) if text), ""),
        turns=sum(content.role == "model" for content in words.contents),
    )


def events(spec: ReplySpec) -> list[bytes]:
    """The whole stream of one reply, an event each, with `{n}` still in it.

    A signature stands on the first call, or, where there is none, on a text without
    words at the end. Counts come with every event, as they have grown by then.
    """
    parts: list[Json] = []
    if spec.thinking:
        parts.append({"text": spec.thinking, "thought": True})
    if spec.text:
        size = -(-len(spec.text) // max(1, spec.text_pieces))
        pieces = [spec.text[at : at + size] for at in range(0, len(spec.text), size)]
        parts.extend({"text": piece} for piece in pieces)
    calls: list[Json] = [_call(place, call) for place, call in enumerate(spec.calls)]
    if spec.thinking:
        signed: Json = {"thoughtSignature": f"signed:{spec.signature}"}
        if calls:
            calls[0] |= signed
        else:
            calls.append(signed | {"text": ""})
    stream = [_event(spec, [part]) for part in parts]
    stream += [_event(spec, [part]) for part in calls]
    reason = spec.stop_reason or "STOP"
    return [*stream, _event(spec, [{"text": ""}], CUT.get(reason, reason))]


def error_event(spec: ReplySpec) -> bytes:
    """An error inside a stream."""
    body = msgspec.json.encode({"error": _error(spec, 503)})
    return b"data: " + body + b"\r\n\r\n"


def error_body(spec: ReplySpec) -> bytes:
    """The body of an answer that is no reply."""
    return _encode({"error": _error(spec, spec.status)})


def frame(event: bytes) -> bytes:
    """`event` with its signatures as the vendor writes them: base64."""
    return _SIGNATURE.sub(lambda found: b'"' + _base64(found[1]) + b'"', event)


def _error(spec: ReplySpec, code: int) -> Json:
    name, message = spec.error
    return {"code": code, "message": message, "status": name}


def _call(place: int, call: CallSpec) -> Json:
    """A call. The vendor sends arguments as an object, so `raw` stands in it as a text."""
    args = call.args if call.raw is None else {"raw": call.raw}
    call_id = call.id or f"call_{{n}}_{place}"
    return {"functionCall": {"id": call_id, "name": call.name, "args": args}}


def _event(spec: ReplySpec, parts: list[Json], reason: str = "") -> bytes:
    candidate: Json = {"content": {"parts": parts, "role": "model"}, "index": 0}
    if reason:
        candidate["finishReason"] = reason
    data: Json = {
        "candidates": [candidate],
        "usageMetadata": _usage(spec, is_last=bool(reason)),
        "modelVersion": "scripted",
        "responseId": "scripted-{n}",
    }
    return b"data: " + _encode(data) + b"\r\n\r\n"


def _usage(spec: ReplySpec, *, is_last: bool) -> Json:
    """Counts so far.

    What was cached is part of the prompt; thoughts, half of what is written where there
    are any, stand beside the rest of it.
    """
    read = spec.input_tokens + spec.cached_tokens + spec.cache_creation_tokens
    usage: Json = {"promptTokenCount": read}
    if spec.cached_tokens:
        usage["cachedContentTokenCount"] = spec.cached_tokens
    if is_last:
        thoughts = spec.output_tokens // 2 if spec.thinking else 0
        usage["candidatesTokenCount"] = spec.output_tokens - thoughts
        if thoughts:
            usage["thoughtsTokenCount"] = thoughts
        usage["totalTokenCount"] = read + spec.output_tokens
    return usage


def _base64(text: bytes) -> bytes:
    try:
        base64.b64decode(text, validate=True)
    except binascii.Error:
        return base64.b64encode(text)
    return text


def _text(content: _Content | None) -> str:
    return "".join(part.text for part in content.parts) if content is not None else ""
