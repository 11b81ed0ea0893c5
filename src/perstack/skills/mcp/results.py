"""What a server's tool answered, as parts a model reads. Nothing in it is ever fetched."""

from __future__ import annotations

import base64
import binascii
from typing import cast

from perstack.base.media import image_type
from perstack.schema.message import FileInlinePart, ImageInlinePart, Json, ResultPart, TextPart
from perstack.schema.tool import ToolOutput
from perstack.skills.mcp.protocol import CallResult, encode

MIB = 1024 * 1024
MAX_MEDIA = 5 * MIB
"""Bytes of one image, recording or file."""
MAX_ALL_MEDIA = 10 * MIB
MAX_TEXT = 256 * 1024
"""Bytes of all text of one answer; of more, the middle is left out."""
MAX_BLOCKS = 512

_MIME = 100
_NOTHING = "The tool answered with nothing."


def parts_of(result: CallResult) -> ToolOutput:
    """The answer as parts: text first shortened where it is long, media where they are sound.

    What cannot be passed on is told in words, in its place.
    """
    media = _Media()
    blocks = result.content[:MAX_BLOCKS]
    parts = [part for block in blocks for part in _parts(block, media) if not _is_blank(part)]
    if left := len(result.content) - len(blocks):
        parts.append(_said(f"{left} more parts of the answer were left out"))
    has_text = any(isinstance(part, TextPart) for part in parts)
    if result.structured is not None and not has_text:
        parts.append(TextPart(text=encode(result.structured).decode()))
    if not parts:
        parts.append(TextPart(text=_NOTHING))
    return ToolOutput(contents=_shortened(parts), is_error=result.is_error)


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
            return (_said(f"a part of the type {str(kind)[:_MIME]!r} was left out"),)


def _resource(resource: Json, media: _Media) -> tuple[ResultPart, ...]:
    uri = _text(resource, "uri")[:2000]
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

    def __init__(self) -> None:
        self._room = MAX_ALL_MEDIA

    def parts(self, kind: str, mime_type: str, data: str) -> tuple[ResultPart, ...]:
        """The media in `data`, or words for why it is left out.

        An image goes by what its bytes are, whatever it is said to be.
        """
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


def _shortened(parts: list[ResultPart]) -> tuple[ResultPart, ...]:
    """The parts with at most MAX_TEXT of text, each cut in proportion to its length."""
    sizes = [len(part.text.encode()) for part in parts if isinstance(part, TextPart)]
    total = sum(sizes)
    if total <= MAX_TEXT:
        return tuple(parts)
    return tuple(
        TextPart(text=_cut(part.text, MAX_TEXT / total)) if isinstance(part, TextPart) else part
        for part in parts
    )


def _cut(text: str, share: float) -> str:
    """The beginning and the end of a text, with words for what was between them."""
    data = text.encode()
    half = int(len(data) * share) // 2
    head, tail = data[:half].decode(errors="ignore"), data[len(data) - half :]
    left = len(data) - 2 * half
    return f"{head}\n[{left} bytes were left out here]\n{tail.decode(errors='ignore')}"


def _text(block: Json, name: str) -> str:
    value = block.get(name)
    return value if isinstance(value, str) else ""


def _said(words: str) -> TextPart:
    return TextPart(text=f"[{words}]")
