"""The body of a Chat Completions request.

https://developers.openai.com/api/reference/resources/chat/subresources/completions/methods/create
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

import msgspec

from perstack.providers import GenerateRequest
from perstack.providers.models import ModelInfo
from perstack.providers.openai_chat_quirks import FILLED_FIELD, Form, Quirks
from perstack.providers.openai_effort import effort_of
from perstack.providers.openai_schema import accepted
from perstack.providers.wire import (
    FAILED,
    NO_OUTPUT,
    PDF,
    PDF_NAME,
    SILENCE,
    encode_json,
    media_of,
    unsealed,
    wire_name,
)
from perstack.schema.history import History
from perstack.schema.message import (
    ExpertMessage,
    Json,
    MediaPart,
    Message,
    ResultPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolMessage,
    ToolResultPart,
    UserMessage,
)
from perstack.schema.tool import ToolDefinition

REASONING_FIELDS = ("reasoning_content", "reasoning")
"""In which servers send a model's reasoning, and take it back."""
DETAILS_FIELD = "reasoning_details"
MAX_CALL_ID = 40
"""Characters of a call's id that OpenAI takes."""

Piece: TypeAlias = str | bytes
"""Of a user message's content: a text, or an encoded part."""


class Answer(NamedTuple):
    """A tool's answer to the call `call_id`: its message, and what cannot stand in it."""

    call_id: str
    message: bytes
    beside: tuple[Piece, ...]


class Turn(NamedTuple):
    """One message, encoded; at most one of `said`, `answers` and `content` is not empty.

    `said` is a reply, with a comma behind it, and `calls` the ids of its calls.
    """

    said: bytes = b""
    calls: tuple[str, ...] = ()
    answers: tuple[Answer, ...] = ()
    content: tuple[Piece, ...] = ()


def request_body(request: GenerateRequest, info: ModelInfo | None, quirks: Quirks) -> bytes:
    """The JSON that asks for one streamed reply.

    `info` is what is known of the model. Each message is encoded once in its history's
    life. What a run's requests have in common stands first and in one order, and the
    messages only grow: so a vendor's cache of prefixes holds.
    """
    pieces: list[bytes | bytearray] = [b'{"model":', encode_json(request.model)]
    pieces.append(b',"stream":true,"stream_options":{"include_usage":true}')
    pieces.append(_reasoning(request, info, quirks))
    if quirks.takes_cache_key and request.cache_key:
        pieces += [b',"prompt_cache_key":', encode_json(wire_name(request.cache_key))]
    if request.tools:
        shown = b",".join(_tool(tool, is_vendor=quirks.is_vendor) for tool in request.tools)
        pieces += [b',"tool_choice":"', request.tool_choice.encode(), b'","tools":[', shown, b"]"]
    pieces.append(b',"messages":[')
    if request.instruction.strip():
        pieces += [encode_json({"role": "system", "content": request.instruction}), b","]
    pieces += _messages(request.messages, Form.of(quirks, info))
    pieces.append(b"]}")
    return b"".join(pieces)


def encode_message(message: Message, form: Form) -> Turn:
    """One message for the wire. Depends on these two alone."""
    match message:
        case UserMessage():
            return Turn(content=_content(message.contents, form) or (SILENCE,))
        case ExpertMessage():
            return _said(message, form)
        case ToolMessage():
            return Turn(answers=tuple(_answer(part, form) for part in message.contents))
        case _:  # the instruction is a message of the request's own
            return Turn()


class Settled:
    """The encoded form of the first `count` messages, which no later request changes.

    What follows the newest reply may still become more; all before it is the same bytes
    in every later request, so it is joined once.
    """

    def __init__(self) -> None:
        self.count = 0
        self.body = bytearray()


def _messages(history: History, form: Form) -> list[bytes | bytearray]:
    """The messages, of which the last one is never the model's."""
    turns = history.encoded(form.name, lambda message: encode_message(message, form))
    settled = history.kept(form.name, Settled)
    boundary = next((at for at in range(len(turns) - 1, -1, -1) if turns[at].said), 0)
    if settled.count > boundary:
        settled = Settled()
    for group in _groups(turns[settled.count : boundary]):
        settled.body += _joined(group)
    settled.count = boundary
    newest = turns[boundary:]
    if not any(turn.answers or turn.content for turn in newest):
        newest.append(Turn(content=(SILENCE,)))
    return [settled.body, _joined(newest)[:-1]]  # no comma behind it


def _groups(turns: Sequence[Turn]) -> Iterator[Sequence[Turn]]:
    """Each reply with what followed it; before the first one, what came before it."""
    start = 0
    for index, turn in enumerate(turns):
        if turn.said and index > start:
            yield turns[start:index]
            start = index
    if start < len(turns):
        yield turns[start:]


def _joined(group: Sequence[Turn]) -> bytes:
    """A reply, the answers in the order of its calls, and one message of the user's.

    The vendor wants nothing between a call and its answer, and some servers' templates
    want the roles to take turns.
    """
    pieces: list[bytes] = []
    answers: list[Answer] = []
    content: list[Piece] = []
    order: dict[str, int] = {}
    for turn in group:
        if turn.said:
            pieces.append(turn.said)
            order = {call_id: place for place, call_id in enumerate(turn.calls)}
        answers += turn.answers
        content += turn.content
    if len(answers) > 1:
        answers.sort(key=lambda answer: order.get(answer.call_id, len(order)))
    pieces += [answer.message for answer in answers]
    content = [piece for answer in answers for piece in answer.beside] + content
    if content:
        pieces += [b'{"role":"user","content":', _user_content(content), b"},"]
    return b"".join(pieces)


def _user_content(content: list[Piece]) -> bytes:
    """A string where there is nothing but text, for servers that take nothing else."""
    texts = [piece for piece in content if isinstance(piece, str)]
    if len(texts) == len(content):
        return encode_json("\n\n".join(texts))
    parts = [
        encode_json({"type": "text", "text": piece}) if isinstance(piece, str) else piece
        for piece in content
    ]
    return b"[" + b",".join(parts) + b"]"


def _reasoning(request: GenerateRequest, info: ModelInfo | None, quirks: Quirks) -> bytes:
    """How much to reason. Nothing for a model that does not, or nobody told us of."""
    if info is None or not info.is_reasoning:
        return b""
    budget = request.reasoning_budget
    if quirks.off and budget in ("none", 0):
        return b"," + quirks.off
    if request.tools and not quirks.reasons_with_tools and "none" in info.efforts:
        budget = "none"
    effort = effort_of(budget, info.efforts)
    return b',"reasoning_effort":' + encode_json(effort) if effort else b""


def _tool(tool: ToolDefinition, *, is_vendor: bool) -> bytes:
    shown: Json = {"name": wire_name(tool.name)}
    if tool.description.strip():
        shown["description"] = tool.description
    shown["parameters"] = accepted(tool.input_schema) if is_vendor else tool.input_schema
    return encode_json({"type": "function", "function": shown})


def _said(message: ExpertMessage, form: Form) -> Turn:
    """A reply. One of nothing but thoughts says nothing: the vendor refuses it."""
    text = message.text if message.text.strip() else None
    calls = message.calls
    if text is None and not calls:
        return Turn()
    shown: Json = {"role": "assistant", "content": text, **_thought(message, form)}
    if calls:
        shown["tool_calls"] = [_call(call, form) for call in calls]
        if form.fills_reasoning:
            shown.setdefault(FILLED_FIELD, "")
    return Turn(said=encode_json(shown) + b",", calls=tuple(call.tool_call_id for call in calls))


def _thought(message: ExpertMessage, form: Form) -> Json:
    """The reasoning that came over this wire, in the field that it came in."""
    shown: Json = {}
    for part in message.contents:
        if not isinstance(part, ThinkingPart):
            continue
        proof = unsealed(form.wire, part.signature) or ""
        if proof in REASONING_FIELDS:
            shown[proof] = f"{shown.get(proof, '')}{part.thinking}"
        elif proof:
            try:
                shown[DETAILS_FIELD] = msgspec.json.decode(proof)
            except (msgspec.DecodeError, UnicodeEncodeError):
                continue  # not the proof that we sealed
    return shown


def _call(call: ToolCallPart, form: Form) -> Json:
    function = {"name": wire_name(call.tool_name), "arguments": encode_json(call.args).decode()}
    return {"id": _call_id(call.tool_call_id, form), "type": "function", "function": function}


def _call_id(told: str, form: Form) -> str:
    """As it came, which some models rely on; a digest where OpenAI would refuse it."""
    if not form.is_vendor or len(told) <= MAX_CALL_ID:
        return told
    return "call_" + hashlib.blake2s(told.encode(errors="replace"), digest_size=16).hexdigest()


def _answer(part: ToolResultPart, form: Form) -> Answer:
    """A tool's answer. Its message holds text alone, so images and documents stand beside."""
    texts = [FAILED] if part.is_error else []
    beside: list[Piece] = []
    for piece in _content(part.contents, form):
        if isinstance(piece, str):
            texts.append(piece)
        else:
            beside.append(piece)
    call_id = _call_id(part.tool_call_id, form)
    if beside:
        texts.append("(what it returned besides follows after the answers, under the call's id)")
        beside.insert(0, f"Returned by the call {call_id} of the tool {part.tool_name}:")
    shown = {"role": "tool", "tool_call_id": call_id, "content": "\n".join(texts) or NO_OUTPUT}
    return Answer(part.tool_call_id, encode_json(shown) + b",", tuple(beside))


def _content(parts: tuple[ResultPart, ...], form: Form) -> tuple[Piece, ...]:
    return tuple(
        part.text if isinstance(part, TextPart) else _media(part, form)
        for part in parts
        if not isinstance(part, TextPart) or part.text.strip()
    )


def _media(part: MediaPart, form: Form) -> Piece:
    """An image or a document; words in its place where the model reads no such thing."""
    media = media_of(part)
    if media.is_image and form.reads_images:
        return encode_json({"type": "image_url", "image_url": {"url": media.data_url}})
    if media.mime_type == PDF and form.reads_pdf and media.data:
        file = {"filename": PDF_NAME, "file_data": media.data_url}
        return encode_json({"type": "file", "file": file})
    return media.words
