"""What a server's tool answered, as parts a model reads. Nothing in it is ever fetched."""

from __future__ import annotations

import base64
import binascii
from typing import cast

from perstack.base.media import image_type
from perstack.schema.message import FileInlinePart, ImageInlinePart, Json, ResultPart, TextPart
from perstack.schema.tool import ToolOutput
from perstack.skills.mcp.protocol import CallResult, encode
from perstack.skills.mcp.redaction import NOTHING, Redaction

MIB = 1024 * 1024
MAX_MEDIA = 5 * MIB
"""Bytes of one image, recording or file."""
MAX_ALL_MEDIA = 10 * MIB
MAX_TEXT = 256 * 1024
"""Bytes of all text of one answer; of more, the middle is left out."""
MAX_BLOCKS = 512

_MIME = 100
_MAX_URI = 2000
_NOTHING = "The tool answered with nothing."


def parts_of(result: CallResult, redaction: Redaction = NOTHING) -> ToolOutput:
    """The answer as parts: text first shortened where it is long, media where they are sound.

    What cannot be passed on is told in words, in its place. No part holds a secret of
    `redaction`.
    """
    media = _Media(redaction)
    blocks = result.content[:MAX_BLOCKS]
    parts = [part for block in blocks for part in _parts(block, media) if not _is_blank(part)]
    if left := len(result.content) - len(blocks):
        parts.append(_said(f"{left} more parts of the answer were left out"))
    has_text = any(isinstance(part, TextPart) for part in parts)
    if result.structured is not None and not has_text:
        parts.append(TextPart(text=encode(result.structured).decode()))
    if not parts:
        parts.append(TextPart(text=_NOTHING))
    return ToolOutput(contents=_shortened(parts, redaction), is_error=result.is_error)


def _parts(block: Json, media: _Media) -> tuple[ResultPart, ...]:
    match block.get("type"):
        case "text":
            return (TextPart(text=_text(block, "text")),)
        case "image":
            return media.parts("image", _text(block, "mimeType"), _text(block, "data"))
        case "audio":
            return media.parts("audio", _text(block, "mimeType"), _text(block, "data"))
        case "resource":
            resource = block.get("resource")
            if isinstance(resource, dict):
                return _resource(cast("Json", resource), media)
            return (_said("a resource was left out: it has no content"),)
        case "resource_link":
            return (_link(block),)
        case kind:
            words = media.redaction.start(str(kind), _MIME)
            return (_said(f"a part of the type {words!r} was left out"),)


def _resource(resource: Json, media: _Media) -> tuple[ResultPart, ...]:
    uri = media.redaction.start(_text(resource, "uri"), _MAX_URI)
    if isinstance(resource.get("text"), str):
        return (TextPart(text=f"[resource {uri}]\n{resource['text']}"),)
    found = media.parts("file", _text(resource, "mimeType"), _text(resource, "blob"))
    return (TextPart(text=f"[resource {uri}]"), *found)


def _link(block: Json) -> TextPart:
    """A link is words: only the model can say whether it is worth following."""
    told = {
        name: block[name]
        for name in ("uri", "name", "title", "description", "mimeType", "size")
        if isinstance(block.get(name), str | int)
    }
    return TextPart(text=f"[link to a resource, which was not read] {encode(told).decode()}")


class _Media:
    """What one answer may hold of images, recordings and files."""

    def __init__(self, redaction: Redaction) -> None:
        self.redaction = redaction
        self._room = MAX_ALL_MEDIA

    def parts(self, kind: str, mime_type: str, data: str) -> tuple[ResultPart, ...]:
        """The media in `data`, or words for why it is left out.

        An image goes by what its bytes are, whatever it is said to be.
        """
        mime_type = self.redaction.start(mime_type, _MIME + 1)
        stated = mime_type[:_MIME] or "no type"
        size = len(data) * 3 // 4
        what = f"the {kind} ({stated}, {size} bytes) was left out"
        if size > MAX_MEDIA + 2:
            return (_said(f"{what}: at most {MAX_MEDIA // MIB} MiB are passed on"),)
        if size > self._room:
            return (_said(f"{what}: the answer holds more than {MAX_ALL_MEDIA // MIB} MiB"),)
        try:
            content = base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError):
            return (_said(f"{what}: it is not valid base64"),)
        if self.redaction.hidden(data) != data:
            return (_said(f"{what}: it holds the value of a variable"),)
        if not content:
            return (_said(f"{what}: it is empty"),)
        found = image_type(content)
        if found is None and (kind == "image" or mime_type.startswith("image/")):
            return (_said(f"{what}: it is not a PNG, JPEG, GIF or WebP image"),)
        if found is None and not _is_media_type(mime_type):
            return (_said(f"{what}: it does not say of which type it is"),)
        self._room -= len(content)
        if found is None:
            return (FileInlinePart(encoded_data=data, mime_type=mime_type),)
        image = ImageInlinePart(encoded_data=data, mime_type=found)
        if mime_type in {found, "image/jpg"}:
            return (image,)
        return (_said(f"the {kind} was said to be {stated} and is {found}"), image)


def _is_blank(part: ResultPart) -> bool:
    return isinstance(part, TextPart) and not part.text.strip()


def _is_media_type(text: str) -> bool:
    main, slash, kind = text.partition("/")
    return bool(slash and main.isascii() and kind and text.isprintable() and len(text) <= _MIME)


def _shortened(parts: list[ResultPart], redaction: Redaction) -> tuple[ResultPart, ...]:
    """The parts with at most MAX_TEXT of text, each cut in proportion to its length.

    Secrets are looked for in what is left, and at its edges for halves of them: to look
    through all of a large answer would take long.
    """
    sizes = [len(part.text.encode()) for part in parts if isinstance(part, TextPart)]
    total = sum(sizes)
    share = min(1.0, MAX_TEXT / total) if total else 1.0
    if share == 1 and not redaction:
        return tuple(parts)
    return tuple(
        TextPart(text=_cut(part.text, share, redaction)) if isinstance(part, TextPart) else part
        for part in parts
    )


def _cut(text: str, share: float, redaction: Redaction) -> str:
    """The beginning and the end of a text, with words for what was between them."""
    if share == 1:
        return redaction.hidden(text)
    data = text.encode()
    half = int(len(data) * share) // 2
    head, tail = data[:half].decode(errors="ignore"), data[len(data) - half :]
    head = redaction.hidden(redaction.without_end(head))
    tail = redaction.hidden(redaction.without_start(tail.decode(errors="ignore")))
    return f"{head}\n[{len(data) - 2 * half} bytes were left out here]\n{tail}"


def _text(block: Json, name: str) -> str:
    value = block.get(name)
    return value if isinstance(value, str) else ""


def _said(words: str) -> TextPart:
    return TextPart(text=f"[{words}]")
