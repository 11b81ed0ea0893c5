"""The body of a Responses request.

https://developers.openai.com/api/reference/resources/responses/methods/create
"""

from __future__ import annotations

from typing import NamedTuple

from perstack.providers import GenerateRequest
from perstack.providers.models import ModelInfo
from perstack.providers.openai_effort import effort_of
from perstack.providers.openai_responses_proof import proof_of, reasoning_item
from perstack.providers.openai_schema import accepted
from perstack.providers.wire import (
    FAILED,
    NO_OUTPUT,
    PDF,
    PDF_NAME,
    SILENCE,
    encode_json,
    media_of,
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
from perstack.schema.settings import ReasoningBudget
from perstack.schema.tool import ToolDefinition


class Form(NamedTuple):
    """In which form a conversation goes to one model of one server.

    `wire` is the seal of the proofs that go back. A model that does not reason refuses
    reasoning items, and one that cannot read images or PDF refuses those.
    """

    wire: str
    reasons: bool = True
    reads_images: bool = True
    reads_pdf: bool = True

    @classmethod
    def of(cls, wire: str, info: ModelInfo | None) -> Form:
        """For a model nobody told us of, everything is sent."""
        if info is None:
            return cls(wire)
        return cls(wire, info.is_reasoning, info.reads_images, info.reads_pdf)

    @property
    def name(self) -> str:
        """A name of its own for each form."""
        return f"{self.wire}-{self.reasons:d}{self.reads_images:d}{self.reads_pdf:d}"


def request_body(
    request: GenerateRequest, *, wire: str, info: ModelInfo | None, is_vendor: bool
) -> bytes:
    """The JSON that asks for one streamed reply, which nobody stores.

    Each message is encoded once in its history's life. What a run's requests have in
    common stands first and in one order, and the input only grows: so the vendor's
    cache of prefixes holds. Without `is_vendor` only what every server of the dialect
    takes is sent.
    """
    pieces: list[bytes | memoryview] = [b'{"model":', encode_json(request.model)]
    pieces.append(b',"stream":true,"store":false')
    pieces += _reasoning(request.reasoning_budget, info, is_vendor=is_vendor)
    if is_vendor and request.cache_key:
        pieces += [b',"prompt_cache_key":', encode_json(wire_name(request.cache_key))]
    pieces += _fixed_part(request.instruction, request.tools, request.tool_choice)
    pieces += [b',"input":[', _input(request.messages, Form.of(wire, info)), b"]}"]
    return b"".join(pieces)


def encode_message(message: Message, form: Form) -> bytes:
    """One message as input items, a comma behind each. Depends on these two alone."""
    items: list[Json] = []
    match message:
        case UserMessage():
            content = _content(message.contents, form) or [_text(SILENCE)]
            items = [{"type": "message", "role": "user", "content": content}]
        case ExpertMessage():
            items = _said(message, form)
        case ToolMessage():
            items = [_answered(part, form) for part in message.contents]
        case _:  # the instruction travels beside the input
            pass
    return b"".join([encode_json(item) + b"," for item in items])


class Encoded:
    """The input items of a history's messages: `ends` is where in `items` each one ends."""

    def __init__(self) -> None:
        self.items = bytearray()
        self.ends: list[int] = []


def _input(history: History, form: Form) -> bytes | memoryview:
    """The items of `history`. A view must be gone before the next message comes."""
    kept = history.kept(form.name, Encoded)
    for message in history[len(kept.ends) :]:
        kept.items += encode_message(message, form)
        kept.ends.append(len(kept.items))
    end = kept.ends[len(history) - 1] if len(history) else 0
    if not end:
        return encode_message(UserMessage(id="", contents=()), form)[:-1]
    return memoryview(kept.items)[: end - 1]  # no comma behind the last one


def _reasoning(
    budget: ReasoningBudget, info: ModelInfo | None, *, is_vendor: bool
) -> list[bytes | memoryview]:
    """How much to reason, and that the reasoning is given so that it can be sent back.

    A model that does not reason refuses both.
    """
    pieces: list[bytes | memoryview] = []
    if info is None:
        return pieces
    if effort := effort_of(budget, info.efforts):
        asked = {"effort": effort}
        if is_vendor and effort != "none":
            asked["summary"] = "auto"
        pieces += [b',"reasoning":', encode_json(asked)]
    if is_vendor and info.is_reasoning:
        pieces.append(b',"include":["reasoning.encrypted_content"]')
    return pieces


def _fixed_part(
    instruction: str, tools: tuple[ToolDefinition, ...], tool_choice: str
) -> list[bytes]:
    pieces: list[bytes] = []
    if tools:
        pieces += [b',"parallel_tool_calls":true,"tool_choice":"', tool_choice.encode()]
        pieces += [b'","tools":[', b",".join(map(_tool, tools)), b"]"]
    if instruction.strip():
        pieces += [b',"instructions":', encode_json(instruction)]
    return pieces


def _tool(tool: ToolDefinition) -> bytes:
    shown: Json = {"type": "function", "name": wire_name(tool.name)}
    if tool.description.strip():
        shown["description"] = tool.description
    return encode_json(shown | {"parameters": accepted(tool.input_schema), "strict": False})


def _said(message: ExpertMessage, form: Form) -> list[Json]:
    """A reply's items in their order. The vendor refuses reasoning that nothing follows."""
    items: list[Json] = []
    phase = ""
    for part in message.contents:
        match part:
            case TextPart():
                if part.text.strip():
                    told: Json = {"type": "message", "role": "assistant", "content": part.text}
                    items.append(told | {"phase": phase} if phase else told)
                phase = ""
            case ThinkingPart():
                proof = proof_of(form.wire, part)
                phase = proof.phase if proof else ""
                if proof and proof.encrypted_content and form.reasons:
                    items.append(reasoning_item(proof, part.thinking))
            case ToolCallPart():
                items.append(
                    {
                        "type": "function_call",
                        "call_id": wire_name(part.tool_call_id),
                        "name": wire_name(part.tool_name),
                        "arguments": encode_json(part.args).decode(),
                    }
                )
    while items and items[-1]["type"] == "reasoning":
        items.pop()
    return items


def _answered(part: ToolResultPart, form: Form) -> Json:
    """A tool's answer: a text where it is one, for servers that take nothing else."""
    content = _content(part.contents, form) or [_text(NO_OUTPUT)]
    if part.is_error:
        content = [_text(FAILED), *content]
    output: object = content
    if all(block["type"] == "input_text" for block in content):
        output = "\n".join(str(block["text"]) for block in content)
    call_id = wire_name(part.tool_call_id)
    return {"type": "function_call_output", "call_id": call_id, "output": output}


def _content(parts: tuple[ResultPart, ...], form: Form) -> list[Json]:
    return [
        _text(part.text) if isinstance(part, TextPart) else _media(part, form)
        for part in parts
        if not isinstance(part, TextPart) or part.text.strip()
    ]


def _text(text: str) -> Json:
    return {"type": "input_text", "text": text}


def _media(part: MediaPart, form: Form) -> Json:
    """An image or a document; words in its place where the model reads no such type."""
    media = media_of(part)
    if media.is_image and form.reads_images:
        return {"type": "input_image", "detail": "auto", "image_url": media.data_url}
    if media.mime_type == PDF and form.reads_pdf:
        if media.url:
            return {"type": "input_file", "file_url": media.url}
        return {"type": "input_file", "filename": PDF_NAME, "file_data": media.data_url}
    return _text(media.words)
