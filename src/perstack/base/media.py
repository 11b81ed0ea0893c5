"""readImageFile, readPdfFile. What a file is, its first bytes say, not its name."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from perstack.base.answer import Refused
from perstack.base.text_files import read_regular
from perstack.schema.message import FileInlinePart, ImageInlinePart
from perstack.schema.tool import ToolOutput

if TYPE_CHECKING:
    from perstack.base.arguments import ReadImageFile, ReadPdfFile
    from perstack.base.caps import Caps
    from perstack.base.paths import Workspace


async def read_image_file(workspace: Workspace, caps: Caps, args: ReadImageFile) -> ToolOutput:
    """A PNG, JPEG, GIF or WebP image as an inline part."""
    with workspace.entry(args.path) as entry:
        data, _ = read_regular(entry, caps.image)
    mime_type = image_type(data)
    if mime_type is None:
        raise Refused(f"File {args.path} is not a PNG, JPEG, GIF or WebP image.")
    part = ImageInlinePart(encoded_data=base64.b64encode(data).decode(), mime_type=mime_type)
    return ToolOutput(contents=(part,))


async def read_pdf_file(workspace: Workspace, caps: Caps, args: ReadPdfFile) -> ToolOutput:
    """A PDF as an inline part."""
    with workspace.entry(args.path) as entry:
        data, _ = read_regular(entry, caps.pdf)
    if not data.startswith(b"%PDF-"):
        raise Refused(f"File {args.path} is not a PDF.")
    encoded = base64.b64encode(data).decode()
    return ToolOutput(contents=(FileInlinePart(encoded_data=encoded, mime_type="application/pdf"),))


def image_type(data: bytes) -> str | None:
    """The MIME type the first bytes stand for, or None."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    return None
