"""How many values a JSON text can hold, told before any of them is made."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from msgspec import Raw

MAX_VALUES = 100_000
"""Values that a part of a message may hold where they are to be made: about 20 MB of them."""

_CHUNK = 64 * 1024
_NO_BACKSLASH = re.compile(rb"[^\\]")


def is_crowded(data: bytes | Raw, most: int = MAX_VALUES) -> bool:
    """Whether a JSON text holds more than `most` values, as `values_in` counts them.

    A few million values fit below the limit of a message, and would take up to a
    hundred times their bytes. Nothing is parsed or copied for this.
    """
    view = memoryview(data)
    if len(view) <= most:
        return False
    count = 1
    for marks in _marks(view):
        count += marks
        if count > most:
            return True
    return False


def values_in(data: bytes | Raw) -> int:
    """The number of values in a JSON text, in which an empty list or object counts twice."""
    return 1 + sum(_marks(memoryview(data)))


def _marks(data: memoryview) -> Iterator[int]:
    """What stands before each value but the first, outside of strings, a chunk at a time."""
    inside = 0
    for chunk in _chunks(data):
        pieces = chunk.replace(rb"\\", b"").replace(rb"\"", b"").split(b'"')
        yield sum(
            piece.count(b",") + piece.count(b"[") + piece.count(b"{") for piece in pieces[inside::2]
        )
        inside = (inside + len(pieces) - 1) % 2


def _chunks(data: memoryview) -> Iterator[bytes]:
    """The text in pieces, none of which ends in the middle of an escape."""
    start = 0
    while start < len(data):
        found = _NO_BACKSLASH.search(data, start + _CHUNK - 1)
        end = found.end() if found else len(data)
        yield bytes(data[start:end])
        start = end
