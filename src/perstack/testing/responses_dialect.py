"""How a scripted model server speaks OpenAI Responses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from perstack.schema.message import Json
from perstack.testing.scenario import CallSpec, Conversation, ReplySpec

PATH = r"(?:/openai)?(?:/v1)?/responses"
"""A pattern: OpenAI's path, and Azure's."""

CUT = {"max_tokens": "max_output_tokens", "length": "max_output_tokens"}
"""Other vendors' words for the vendor's own, so that one scenario serves every wire."""
ENDINGS = frozenset({"max_output_tokens", "max_messages", "content_filter"})
"""The stop reasons that leave a reply incomplete."""

_encode = msgspec.json.Encoder().encode


class _Kind(msgspec.Struct):
    type: str = "message"
    role: str = ""


class _Kinds(msgspec.Struct):
    input: list[_Kind] | str


class _Piece(msgspec.Struct):
    text: str = ""


class _Item(msgspec.Struct):
    type: str = "message"
    role: str = ""
    content: list[_Piece] | str | None = None


class _Words(msgspec.Struct):
    input: list[_Item] | str
    instructions: str | None = None


_decode_kinds = msgspec.json.Decoder(_Kinds).decode
_decode_words = msgspec.json.Decoder(_Words).decode


def conversation(body: bytes, *, reads_text: bool) -> Conversation:
    """What a scenario looks at. Without `reads_text` only the turns are counted."""
    if not reads_text:
        kinds = _decode_kinds(body).input
        turns = 0 if isinstance(kinds, str) else _replies(kinds)
        return Conversation(system="", user="", turns=turns)
    words = _decode_words(body)
    if isinstance(words.input, str):
        return Conversation(system=words.instructions or "", user=words.input, turns=0)
    system = [words.instructions or ""]
    system += [_text(item) for item in words.input if item.role in ("system", "developer")]
    said = [""]  # by the user, between one reply and the next
    for item in words.input:
        if _is_reply(item):
            said.append("")
        elif item.role == "user":
            said[-1] += _text(item)
    return Conversation(
        system="".join(system),
        user=next((text for text in reversed(said) if text), ""),
        turns=_replies(words.input),
    )


def events(spec: ReplySpec) -> list[bytes]:
    """The whole stream of one reply, an event each, with `{n}` still in it."""
    output: list[Json] = []
    inner: list[Json] = []
    for index, (begun, between, done) in enumerate(_items(spec)):
        place = {"output_index": index}
        inner.append({"type": "response.output_item.added", **place, "item": begun})
        inner += [{**event, **place, "item_id": done["id"]} for event in between]
        inner.append({"type": "response.output_item.done", **place, "item": done})
        output.append(done)
    begun, status = _response("in_progress"), "completed"
    if reason := _cut_for(spec):
        status = "incomplete"
    ended = _response(status) | {"output": output, "usage": _usage(spec)}
    if reason:
        ended["incomplete_details"] = {"reason": reason}
    stream: list[Json] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
        *inner,
        {"type": f"response.{status}", "response": ended},
    ]
    return [_event(event, number) for number, event in enumerate(stream)]


def error_event(spec: ReplySpec) -> bytes:
    """An error inside a stream."""
    code, message = spec.error
    error: Json = {"type": "error", "code": code, "message": message, "param": None}
    return _event(error, 0)


def error_body(spec: ReplySpec) -> bytes:
    """The body of an answer that is no reply."""
    code, message = spec.error
    error = {"message": message, "type": code, "param": None, "code": code}
    return _encode({"error": error})


def _items(spec: ReplySpec) -> Iterator[tuple[Json, list[Json], Json]]:
    """Each output item: as it begins, the events between, and as it ends."""
    if spec.redacted:
        yield _reasoning("rs_{n}_r", "", spec.redacted)
    if spec.thinking:
        yield _reasoning("rs_{n}_t", spec.thinking, spec.signature)
    if spec.text:
        yield _message(spec)
    for place, call in enumerate(spec.calls):
        yield _call(call, place)


def _reasoning(item_id: str, summary: str, encrypted: str) -> tuple[Json, list[Json], Json]:
    item: Json = {"id": item_id, "type": "reasoning", "encrypted_content": encrypted}
    if not summary:
        item["summary"] = []
        return item, [], item
    place = {"summary_index": 0}
    empty, whole = {"type": "summary_text", "text": ""}, {"type": "summary_text", "text": summary}
    name = "response.reasoning_summary"
    between: list[Json] = [
        {"type": f"{name}_part.added", **place, "part": empty},
        {"type": f"{name}_text.delta", **place, "delta": summary},
        {"type": f"{name}_text.done", **place, "text": summary},
        {"type": f"{name}_part.done", **place, "part": whole},
    ]
    return {**item, "summary": []}, between, {**item, "summary": [whole]}


def _message(spec: ReplySpec) -> tuple[Json, list[Json], Json]:
    item: Json = {"id": "msg_{n}", "type": "message", "role": "assistant"}
    place = {"content_index": 0}
    kind = "refusal" if spec.stop_reason == "refusal" else "output_text"
    field = "refusal" if kind == "refusal" else "text"
    beside: Json = {} if kind == "refusal" else {"logprobs": []}
    part: Json = {"type": kind} | beside
    if kind == "output_text":
        part["annotations"] = []
    size = -(-len(spec.text) // max(1, spec.text_pieces))
    pieces = [spec.text[at : at + size] for at in range(0, len(spec.text), size)]
    whole = part | {field: spec.text}
    between: list[Json] = [
        {"type": "response.content_part.added", **place, "part": part | {field: ""}},
        *({"type": f"response.{kind}.delta", **place, "delta": piece} | beside for piece in pieces),
        {"type": f"response.{kind}.done", **place, field: spec.text} | beside,
        {"type": "response.content_part.done", **place, "part": whole},
    ]
    begun: Json = {**item, "status": "in_progress", "content": []}
    status = "incomplete" if _cut_for(spec) else "completed"
    return begun, between, item | {"status": status, "content": [whole]}


def _call(call: CallSpec, place: int) -> tuple[Json, list[Json], Json]:
    raw = _encode(call.args).decode() if call.raw is None else call.raw
    half = len(raw) // 2
    name = "response.function_call_arguments"
    item: Json = {"id": f"fc_{{n}}_{place}", "type": "function_call", "name": call.name}
    item["call_id"] = call.id or f"call_{{n}}_{place}"
    between: list[Json] = [
        {"type": f"{name}.delta", "delta": piece} for piece in (raw[:half], raw[half:])
    ]
    between.append({"type": f"{name}.done", "arguments": raw})
    begun = item | {"status": "in_progress", "arguments": ""}
    return begun, between, item | {"status": "completed", "arguments": raw}


def _cut_for(spec: ReplySpec) -> str:
    reason = CUT.get(spec.stop_reason or "", spec.stop_reason or "")
    return reason if reason in ENDINGS else ""


def _response(status: str) -> Json:
    return {
        "id": "resp_scripted_{n}",
        "object": "response",
        "created_at": 0,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": "scripted",
        "output": [],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None,
    }


def _usage(spec: ReplySpec) -> Json:
    """The vendor counts cached tokens among the input, and reasoning among the output."""
    read = spec.input_tokens + spec.cache_creation_tokens + spec.cached_tokens
    cached = {"cached_tokens": spec.cached_tokens, "cache_write_tokens": spec.cache_creation_tokens}
    thought = spec.output_tokens // 2 if spec.thinking or spec.redacted else 0
    return {
        "input_tokens": read,
        "input_tokens_details": cached,
        "output_tokens": spec.output_tokens,
        "output_tokens_details": {"reasoning_tokens": thought},
        "total_tokens": read + spec.output_tokens,
    }


def _event(data: Json, number: int) -> bytes:
    name = str(data["type"]).encode()
    return b"event: " + name + b"\ndata: " + _encode(data | {"sequence_number": number}) + b"\n\n"


def _is_reply(item: _Kind | _Item) -> bool:
    """Whether the model said it: a message, a call of a tool, or reasoning."""
    return item.role == "assistant" or item.type in ("function_call", "reasoning")


def _replies(items: Iterable[_Kind | _Item]) -> int:
    """How many replies: one is all that the model said between two words of others."""
    turns = 0
    was_reply = False
    for item in items:
        is_reply = _is_reply(item)
        turns += is_reply and not was_reply
        was_reply = is_reply
    return turns


def _text(item: _Item) -> str:
    content = item.content or ""
    return content if isinstance(content, str) else "".join(piece.text for piece in content)
