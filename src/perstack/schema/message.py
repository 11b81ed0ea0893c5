"""Messages and their parts: a run's conversation with its model."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from perstack.schema.base import Data

Json: TypeAlias = dict[str, object]


class TextPart(Data, tag_field="type", tag="textPart", kw_only=True):
    """Text."""

    id: str = ""
    text: str


class ImageUrlPart(Data, tag_field="type", tag="imageUrlPart", kw_only=True):
    """An image somewhere else."""

    id: str = ""
    url: str
    mime_type: str


class ImageInlinePart(Data, tag_field="type", tag="imageInlinePart", kw_only=True):
    """An image as base64 text."""

    id: str = ""
    encoded_data: str
    mime_type: str


class ImageBinaryPart(Data, tag_field="type", tag="imageBinaryPart", kw_only=True):
    """An image as bytes (base64 on the wire)."""

    id: str = ""
    data: bytes
    mime_type: str


class FileUrlPart(Data, tag_field="type", tag="fileUrlPart", kw_only=True):
    """A file somewhere else."""

    id: str = ""
    url: str
    mime_type: str


class FileInlinePart(Data, tag_field="type", tag="fileInlinePart", kw_only=True):
    """A file as base64 text."""

    id: str = ""
    encoded_data: str
    mime_type: str


class FileBinaryPart(Data, tag_field="type", tag="fileBinaryPart", kw_only=True):
    """A file as bytes (base64 on the wire)."""

    id: str = ""
    data: bytes
    mime_type: str


class ToolCallPart(Data, tag_field="type", tag="toolCallPart", kw_only=True):
    """The model asks for a tool. `tool_call_id` is the vendor's."""

    id: str = ""
    tool_call_id: str
    tool_name: str
    args: Json


class ThinkingPart(Data, tag_field="type", tag="thinkingPart", kw_only=True):
    """What a model thought, to be sent back unchanged.

    `signature` is the vendor's proof. `redacted` (ours) marks thinking the vendor
    hid: `thinking` is then its opaque data.
    """

    id: str = ""
    thinking: str
    signature: str | None = None
    redacted: bool = False


MediaPart: TypeAlias = (
    ImageUrlPart | ImageInlinePart | ImageBinaryPart | FileUrlPart | FileInlinePart | FileBinaryPart
)
ResultPart: TypeAlias = TextPart | MediaPart
UserPart: TypeAlias = TextPart | MediaPart
ExpertPart: TypeAlias = TextPart | ThinkingPart | ToolCallPart


class ToolResultPart(Data, tag_field="type", tag="toolResultPart", kw_only=True):
    """A tool's answer to the call `tool_call_id`."""

    id: str = ""
    tool_call_id: str
    tool_name: str
    contents: tuple[ResultPart, ...]
    is_error: bool = False


class InstructionMessage(Data, tag_field="type", tag="instructionMessage", kw_only=True):
    """The system prompt of a run."""

    id: str
    contents: tuple[TextPart, ...]
    cache: bool | None = None


class UserMessage(Data, tag_field="type", tag="userMessage", kw_only=True):
    """What a person, or a delegating Expert, says."""

    id: str
    contents: tuple[UserPart, ...]
    cache: bool | None = None


class ExpertMessage(Data, tag_field="type", tag="expertMessage", kw_only=True):
    """A reply of the model."""

    id: str
    contents: tuple[ExpertPart, ...]
    cache: bool | None = None

    @property
    def text(self) -> str:
        """All text parts, joined."""
        return "".join(part.text for part in self.contents if isinstance(part, TextPart))

    @property
    def calls(self) -> tuple[ToolCallPart, ...]:
        """The tools it asks for, in order."""
        return tuple(part for part in self.contents if isinstance(part, ToolCallPart))


class ToolMessage(Data, tag_field="type", tag="toolMessage", kw_only=True):
    """Answers to the calls of the reply before it."""

    id: str
    contents: tuple[ToolResultPart, ...]
    cache: bool | None = None


Message: TypeAlias = InstructionMessage | UserMessage | ExpertMessage | ToolMessage


def user_message(id: str, text: str) -> UserMessage:  # noqa: A002 - the field's own name
    """A user message with one text part."""
    return UserMessage(id=id, contents=(TextPart(id=f"{id}-0", text=text),))


def with_part_ids(parts: tuple[ExpertPart, ...], message_id: str) -> tuple[ExpertPart, ...]:
    """The same parts, each named after its message and its place in it."""
    return tuple(
        msgspec.structs.replace(part, id=f"{message_id}-{index}")
        for index, part in enumerate(parts)
    )
