"""A run's conversation as Markdown, for reading."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import msgspec

from perstack.schema.message import (
    ExpertMessage,
    FileBinaryPart,
    FileInlinePart,
    FileUrlPart,
    ImageBinaryPart,
    ImageInlinePart,
    ImageUrlPart,
    InstructionMessage,
    Json,
    MediaPart,
    Message,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolMessage,
    ToolResultPart,
    UserMessage,
)
from perstack.views.plain import counted, plain

PART_LIMIT = 4000
"""Characters of one text, of a call's arguments, or of a result."""

_NAME_LIMIT = 200
_OUR_HEADING = re.compile(r"^(?=\s*##\s+(?:Instruction|User|Expert|Tools)\s*$)", re.MULTILINE)
_BACKTICKS = re.compile("`+")


def transcript_of(messages: Iterable[Message], limit: int = PART_LIMIT) -> str:
    """What was said, in order: a heading for each message, and below it its parts.

    Of each part at most `limit` characters are shown, and it is safe to print.
    Arguments and results stand in fences that they cannot close, and no text can pass
    for a heading of another message.
    """
    return "\n\n".join(
        "\n\n".join((f"## {_role(message)}", *_parts(message, limit))) for message in messages
    )


def _role(message: Message) -> str:
    match message:
        case InstructionMessage():
            return "Instruction"
        case UserMessage():
            return "User"
        case ExpertMessage():
            return "Expert"
        case ToolMessage():
            return "Tools"


def _parts(message: Message, limit: int) -> Iterator[str]:
    for part in message.contents:
        match part:
            case TextPart():
                yield _OUR_HEADING.sub(r"\\", plain(part.text, limit))
            case ThinkingPart(thinking="", redacted=False):
                pass  # a vendor's proof and no words
            case ThinkingPart():
                yield _thinking(part, limit)
            case ToolCallPart():
                yield f"Calls {_code(part.tool_name)}\n\n{_fenced(_json(part.args), limit, 'json')}"
            case ToolResultPart():
                yield from _result(part, limit)
            case _:
                yield _media(part)


def _thinking(part: ThinkingPart, limit: int) -> str:
    text = "(hidden by the vendor)" if part.redacted else plain(part.thinking, limit)
    return "\n".join(f"> {line}" for line in f"Thinks: {text}".split("\n"))


def _result(part: ToolResultPart, limit: int) -> Iterator[str]:
    yield f"{_code(part.tool_name)} {'failed' if part.is_error else 'answered'}"
    for content in part.contents:
        yield _fenced(content.text, limit) if isinstance(content, TextPart) else _media(content)


def _media(part: MediaPart) -> str:
    match part:
        case ImageUrlPart() | FileUrlPart():
            return f"({_kind(part.mime_type)} at {_code(part.url)})"
        case ImageInlinePart() | FileInlinePart():
            return f"({_kind(part.mime_type)}, {counted(len(part.encoded_data) * 3 // 4, 'byte')})"
        case ImageBinaryPart() | FileBinaryPart():
            return f"({_kind(part.mime_type)}, {counted(len(part.data), 'byte')})"


def _kind(mime_type: str) -> str:
    return plain(mime_type, _NAME_LIMIT, one_line=True)


def _json(args: Json) -> str:
    return msgspec.json.format(msgspec.json.encode(args), indent=2).decode()


def _code(text: str) -> str:
    shown = plain(text, _NAME_LIMIT, one_line=True)
    ticks = _longer_ticks(shown, 1)
    pad = " " if "`" in shown else ""
    return f"{ticks}{pad}{shown}{pad}{ticks}"


def _fenced(text: str, limit: int, language: str = "") -> str:
    shown = plain(text, limit)
    fence = _longer_ticks(shown, 3)
    return f"{fence}{language}\n{shown}\n{fence}"


def _longer_ticks(text: str, least: int) -> str:
    """A run of backticks that occurs nowhere in `text`."""
    longest = max((len(run) for run in _BACKTICKS.findall(text)), default=0)
    return "`" * max(least, longest + 1)
