"""Our messages as pydantic-ai's."""

from __future__ import annotations

import base64
import hashlib
from typing import TypeVar

import msgspec
from pydantic_ai import messages as theirs  # noqa: TID253 - loaded with the first such provider

from perstack.providers.bridge_proof import Proof, proof_of
from perstack.providers.wire import PDF, SILENCE, encode_json, media_of, wire_name
from perstack.schema.history import History
from perstack.schema.message import (
    ExpertMessage,
    ExpertPart,
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

T = TypeVar("T")


def sayable(value: T) -> T:
    """JSON data, or a text, with a question mark for what no UTF-8 can hold."""
    return msgspec.json.decode(encode_json(value))


class Translator:
    """Translates histories for one wire.

    `wire` is whose proofs go back, `system` the name under which the library knows the
    vendor. `id_length`: the length that the vendor wants tool call ids to have; 0 for any.
    Without `takes_thoughts` the library would show them to the model as if they had
    been said, so they are left out.
    """

    def __init__(
        self, wire: str, system: str, id_length: int = 0, *, takes_thoughts: bool = True
    ) -> None:
        self.wire = wire
        self._system = system
        self._id_length = id_length
        self._takes_thoughts = takes_thoughts
        self._form = f"bridge {wire} {id_length} {takes_thoughts}"

    def messages(self, history: History) -> list[theirs.ModelMessage]:
        """The whole conversation, which begins anywhere and ends with the user.

        Each message is translated once in its history's life. Results of tools that
        follow one another are one request, because vendors count them.
        """
        said: list[theirs.ModelMessage] = []
        for message in history.encoded(self._form, self._message):
            if message is None:
                continue
            match said[-1] if said else None, message:
                case theirs.ModelRequest() as last, theirs.ModelRequest() if _are_results(
                    last
                ) and _are_results(message):
                    said[-1] = theirs.ModelRequest([*last.parts, *message.parts])
                case _:
                    said.append(message)
        if not said or isinstance(said[-1], theirs.ModelResponse):
            said.append(theirs.ModelRequest([theirs.UserPromptPart(SILENCE)]))
        return said

    def _message(self, message: Message) -> theirs.ModelMessage | None:
        match message:
            case UserMessage():
                return theirs.ModelRequest([theirs.UserPromptPart(_content(message.contents))])
            case ExpertMessage():
                parts = self._said(message.contents)
                return theirs.ModelResponse(parts, provider_name=self._system) if parts else None
            case ToolMessage():
                parts = [self._result(part) for part in message.contents]
                return theirs.ModelRequest(parts) if parts else None
            case _:  # the instruction travels beside the messages
                return None

    def _said(self, contents: tuple[ExpertPart, ...]) -> list[theirs.ModelResponsePart]:
        parts: list[theirs.ModelResponsePart] = []
        mark: Proof | None = None
        for part in contents:
            match part:
                case ThinkingPart():
                    mark = self._thought(part, parts)
                    continue
                case TextPart():
                    proof = mark if mark is not None and mark.of == "text" else Proof()
                    if part.text.strip() or not proof.is_empty:
                        parts.append(self._text(part.text, proof))
                case ToolCallPart():
                    is_marked = mark is not None and mark.call_id == part.tool_call_id
                    parts.append(self._call(part, mark if mark and is_marked else Proof()))
            mark = None
        return parts

    def _thought(self, part: ThinkingPart, parts: list[theirs.ModelResponsePart]) -> Proof | None:
        """Adds what `part` is; a mark is handed back for the part after it.

        Unsigned thinking, and another vendor's, is not sent: it would be refused, or
        read as something that was said.
        """
        proof = _anthropic(part) if self.wire == "anthropic" else proof_of(self.wire, part)
        if proof is None:
            return None
        if proof.of == "thinking":
            if not self._takes_thoughts:
                return None
            parts.append(
                theirs.ThinkingPart(
                    "" if part.redacted else sayable(part.thinking),
                    id=proof.id,
                    signature=proof.signature,
                    provider_name=self._system,
                    provider_details=proof.details,
                )
            )
        elif proof.of == "silence":
            parts.append(self._text("", proof))
        else:
            return proof
        return None

    def _text(self, text: str, proof: Proof) -> theirs.TextPart:
        owner = None if proof.is_empty else self._system
        return theirs.TextPart(
            sayable(text), id=proof.id, provider_name=owner, provider_details=proof.details
        )

    def _call(self, part: ToolCallPart, proof: Proof) -> theirs.ToolCallPart:
        owner = None if proof.is_empty else self._system
        return theirs.ToolCallPart(
            wire_name(part.tool_name),
            sayable(part.args),
            self._call_id(part.tool_call_id),
            id=proof.id,
            provider_name=owner,
            provider_details=proof.details,
        )

    def _result(self, part: ToolResultPart) -> theirs.ModelRequestPart:
        content = _content(part.contents)
        texts = [each for each in content if isinstance(each, str)]
        is_text = len(texts) == len(content)  # a list of texts would be shown as JSON
        return theirs.ToolReturnPart(
            wire_name(part.tool_name),
            "\n".join(texts) if is_text else content,
            self._call_id(part.tool_call_id),
            outcome="failed" if part.is_error else "success",
        )

    def _call_id(self, call_id: str) -> str:
        length = self._id_length
        if length and not (len(call_id) == length and call_id.isalnum()):
            return hashlib.blake2s(call_id.encode(errors="replace")).hexdigest()[:length]
        return wire_name(call_id)


def pydantic_messages(history: History, *, wire: str, system: str) -> list[theirs.ModelMessage]:
    """`history` as pydantic-ai's messages, with the proofs of `wire` in the name of `system`.

    With the wire "anthropic" the signatures are those that the vendor's own wire keeps.
    """
    return Translator(wire, system).messages(history)


def _are_results(message: theirs.ModelRequest) -> bool:
    return all(isinstance(part, theirs.ToolReturnPart) for part in message.parts)


def _anthropic(part: ThinkingPart) -> Proof | None:
    """The proof as Anthropic's own wire keeps it: unsealed."""
    if part.redacted and part.signature is None:
        return Proof(id="redacted_thinking", signature=part.thinking)
    if not part.signature or ":" in part.signature:
        return None
    return Proof(signature=part.signature)


def _content(parts: tuple[ResultPart, ...]) -> list[theirs.UserContent]:
    """Texts, images and documents, at least one; words for what no model reads."""
    content: list[theirs.UserContent] = []
    for part in parts:
        if not isinstance(part, TextPart):
            content.append(_media(part))
        elif part.text.strip():
            content.append(sayable(part.text))
    return content or [SILENCE]


def _media(part: MediaPart) -> theirs.UserContent:
    media = media_of(part)
    if not media.is_image and media.mime_type != PDF:
        return media.words
    if not media.url:
        data = base64.b64decode(media.data)
        return theirs.BinaryContent(data, media_type=media.mime_type)
    if media.is_image:
        return theirs.ImageUrl(media.url, media_type=media.mime_type)
    return theirs.DocumentUrl(media.url, media_type=media.mime_type)
