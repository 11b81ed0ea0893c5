"""Server-sent events: from the bytes of a response to its events."""

from __future__ import annotations

from typing import NamedTuple

MAX_ID = 1024
"""Bytes of an event's id. A longer one could not be sent back in a header, and is ignored."""
_MAX_RETRY = 10
"""Digits of a `retry`. More are no time that anybody waits."""


class EventTooLong(Exception):
    """One event passed the limit."""


class Event(NamedTuple):
    """One event. `retry` is in ms, where the event or what stood before it named one."""

    event: str
    data: bytes
    id: str
    retry: int | None


class _Lines:
    """Cuts a byte stream into lines, wherever its chunks begin and end.

    Lines may end with LF, CRLF or CR, and are given without it. Whoever reads them says
    where an event ends, so that the size of the unfinished one is known.
    """

    __slots__ = ("_at_start", "_limit", "_pending", "_size", "_skips_newline")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pending = bytearray()  # of one line
        self._size = 0  # of the unfinished event
        self._skips_newline = False  # the other half of a CRLF may open the next chunk
        self._at_start = True

    def cut(self, chunk: bytes) -> list[bytes]:
        """The lines that `chunk` completes."""
        if self._skips_newline and chunk:
            self._skips_newline = False
            if chunk.startswith(b"\n"):
                chunk = chunk[1:]
        end = max(chunk.rfind(b"\n"), chunk.rfind(b"\r")) + 1
        self._size += len(chunk)
        if not end:
            self._pending += chunk
            return []
        self._skips_newline = end == len(chunk) and chunk.endswith(b"\r")
        whole = chunk[:end] if end < len(chunk) else chunk
        if self._pending:
            self._pending += whole
            whole = bytes(self._pending)
        self._pending = bytearray(chunk[end:])
        if self._at_start:
            self._at_start = False
            whole = whole.removeprefix(b"\xef\xbb\xbf")
        return whole.splitlines()

    def part(self, kept: int) -> None:
        """An event ended among the lines that were cut; of the next one there are `kept` bytes."""
        self._size = len(self._pending) + kept

    def check(self) -> None:
        """Raise EventTooLong where the unfinished event passed the limit."""
        if self._size > self._limit:
            raise EventTooLong(f"An event is longer than {self._limit} bytes.")


class EventSplitter:
    """The data of each event, and nothing else: every model wire repeats the name inside it.

    An event that its stream never finished is dropped, as the standard asks
    (https://html.spec.whatwg.org/multipage/server-sent-events.html). Comments count
    toward an event's size, up to the next blank line.
    """

    __slots__ = ("_data", "_lines")

    def __init__(self, limit: int) -> None:
        self._lines = _Lines(limit)
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of every event that `chunk` completes, in order.

        Raises:
            EventTooLong: the event that is being read passed the limit.
        """
        events: list[bytes] = []
        is_parted = False
        data = self._data
        for line in self._lines.cut(chunk):
            if not line:
                is_parted = True
                if data:
                    events.append(data[0] if len(data) == 1 else b"\n".join(data))
                    data.clear()
            elif line.startswith(b"data:"):
                data.append(line[6:] if line.startswith(b"data: ") else line[5:])
            elif line == b"data":
                data.append(b"")
        if is_parted:
            self._lines.part(sum(map(len, data)))
        self._lines.check()
        return events


class EventReader:
    """Whole events. An `id` and a `retry` hold for those that follow, until there are others.

    An event with no data is none, but what it says of them counts: `last_id` is the
    newest that a blank line confirmed, `retry` the newest of all. What was unfinished is
    dropped, and comments count, as for `EventSplitter`.
    """

    __slots__ = ("_data", "_id", "_lines", "_name", "last_id", "retry")

    def __init__(self, limit: int) -> None:
        self._lines = _Lines(limit)
        self._data: bytearray | None = None  # of one event: a list of short lines is large
        self._name = ""
        self._id = ""
        self.last_id = ""
        self.retry: int | None = None

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that `chunk` completes, in order.

        Raises:
            EventTooLong: the event that is being read passed the limit.
        """
        events: list[Event] = []
        is_parted = False
        for line in self._lines.cut(chunk):
            if line:
                self._field(line)
                continue
            is_parted = True
            self.last_id = self._id
            if self._data is not None:
                data = bytes(self._data)
                events.append(Event(self._name or "message", data, self.last_id, self.retry))
            self._data = None
            self._name = ""
        if is_parted:
            self._lines.part(len(self._data or b""))
        self._lines.check()
        return events

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            if self._data is None:
                self._data = bytearray(value)
            else:
                self._data += b"\n"
                self._data += value
        elif name == b"event":
            self._name = value.decode(errors="replace")
        elif name == b"id" and b"\0" not in value and len(value) <= MAX_ID:
            self._id = value.decode(errors="replace")
        elif name == b"retry" and value.isdigit() and len(value) <= _MAX_RETRY:
            self.retry = int(value)
