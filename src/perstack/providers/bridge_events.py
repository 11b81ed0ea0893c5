"""Hands an answer on in whole events, so that no event is too large for an SDK to read.

The SDKs' parsers, and what is built from their objects, have no limits of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Protocol

from perstack.net.sse import EventTooLong

MAX_EVENT_BYTES = 4 * 1024 * 1024
"""The longest event. A tool call with a whole file may stand in one."""
MAX_EVENT_VALUES = 20_000
"""The most JSON values in one event, about: an SDK takes time and a kilobyte for each.

A call whose arguments are a table of thousands of cells passes. How many parts a reply has
is counted where they are known.
"""

_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_BLANK_LINE = re.compile(rb"\r\n\r\n|\n\n|\r\r|\n\r\n")
_LINE = re.compile(rb"\n")
_PRELUDE = 12
_CHECKSUM = 4
_LEAST_FRAME = _PRELUDE + _CHECKSUM


class Events(Protocol):
    """Cuts an answer between events, wherever its chunks begin and end."""

    def feed(self, chunk: bytes) -> bytes:
        """The events that `chunk` completes, as they came; maybe none.

        Raises:
            EventTooLong: an event passed a limit.
        """
        ...

    def rest(self) -> bytes:
        """What is left at the end of the answer. Raises as `feed` does."""
        ...


def events_of(form: str) -> Events:
    """How an answer of the content type `form` is cut."""
    if form == "application/vnd.amazon.eventstream":
        return _Frames()
    return _Texts(_LINE if form == "application/x-ndjson" else _BLANK_LINE)


class _Pending:
    """The bytes of an event whose end has not come."""

    def __init__(self) -> None:
        self._bytes: bytearray = bytearray()

    def rest(self) -> bytes:
        return self._taken(iter((len(self._bytes),)))

    def _taken(self, ends: Iterator[int]) -> bytes:
        """The events that end at `ends`, each checked. What must wait is only measured."""
        start = 0
        for end in ends:
            self._measure(end - start)
            self._count(start, end)
            start = end
        self._measure(len(self._bytes) - start)
        whole = bytes(self._bytes[:start])
        del self._bytes[:start]
        return whole

    def _measure(self, size: int) -> None:
        if size > MAX_EVENT_BYTES:
            raise EventTooLong(f"An event is longer than {MAX_EVENT_BYTES} bytes.")

    def _count(self, start: int, end: int) -> None:
        """Each value but the first follows a comma, a bracket or a brace outside of strings."""
        if end - start <= MAX_EVENT_VALUES:
            return
        bare = _STRING.sub(b"", self._json(start, end))
        if sum(map(bare.count, (b",", b"[", b"{"))) > MAX_EVENT_VALUES:
            raise EventTooLong(f"An event has more than {MAX_EVENT_VALUES} values.")

    def _json(self, start: int, end: int) -> bytes:
        return bytes(self._bytes[start:end])


class _Texts(_Pending):
    """Events that end with a blank line, or with a line."""

    def __init__(self, end: re.Pattern[bytes]) -> None:
        super().__init__()
        self._end = end

    def feed(self, chunk: bytes) -> bytes:
        seen = max(0, len(self._bytes) - 3)  # an end may have begun in the last chunk
        self._bytes += chunk
        found = self._end.finditer(bytes(self._bytes[seen:]))
        return self._taken(seen + match.end() for match in found)


class _Frames(_Pending):
    """Frames that begin with their length and their headers', of four bytes each."""

    def feed(self, chunk: bytes) -> bytes:
        self._bytes += chunk
        return self._taken(self._ends())

    def _json(self, start: int, end: int) -> bytes:
        """Without headers and checksums, which may hold any byte."""
        headers = int.from_bytes(self._bytes[start + 4 : start + 8], "big")
        return bytes(self._bytes[start + _PRELUDE + headers : end - _CHECKSUM])

    def _ends(self) -> Iterator[int]:
        start = 0
        while len(self._bytes) - start >= _LEAST_FRAME:
            told = int.from_bytes(self._bytes[start : start + 4], "big")
            self._measure(told)
            start += max(_LEAST_FRAME, told)  # a shorter one is no frame, which its reader tells
            if start > len(self._bytes):
                return
            yield start
