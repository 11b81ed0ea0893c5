"""What a tool says: JSON text, or the sentence of a refusal."""

from __future__ import annotations

import msgspec

from perstack.schema.message import TextPart
from perstack.schema.tool import ToolOutput


class Refused(Exception):
    """A tool will not, or cannot, do what was asked. Its message is the answer to the model."""


def answer(data: object, *, is_error: bool = False) -> ToolOutput:
    """`data` as JSON text in one part. Its strings must be valid Unicode."""
    text = msgspec.json.encode(data).decode()
    return ToolOutput(contents=(TextPart(text=text),), is_error=is_error)


def refusal(message: str) -> ToolOutput:
    """The answer of a call that failed."""
    return answer({"error": "Error", "message": printable(message)}, is_error=True)


def printable(name: str) -> str:
    r"""`name` as valid Unicode: bytes of a file name that are no UTF-8 become `\xff`."""
    try:
        data = name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        data = name.encode("utf-8", "backslashreplace")
    return data.decode("utf-8", "backslashreplace")


def size(count: int) -> str:
    """A number of bytes, for people."""
    amount = float(count)
    for unit in ("B", "KB", "MB", "GB"):
        if amount < 1024:
            return f"{amount:.2f} {unit}" if unit != "B" else f"{count} B"
        amount /= 1024
    return f"{amount:.2f} TB"
