"""Server-sent events: from the bytes of a response to the data of each event."""

from __future__ import annotations

from perstack.providers.limits import MAX_EVENT_BYTES


class EventTooLong(Exception):
    """One event passed the limit."""


class EventSplitter:
    """Cuts a byte stream into events, wherever its chunks begin and end.

    Only `data` counts: every model wire repeats the event's name inside it. Lines
    may end with LF, CRLF or CR. An event that its stream never finished is dropped,
    as the standard asks (https://html.spec.whatwg.org/multipage/server-sent-events.html).
    Comments count toward an event's size, up to the next blank line.
    """

    __slots__ = ("_at_start", "_data", "_limit", "_pending", "_size", "_skips_newline")

    def __init__(self, limit: int = MAX_EVENT_BYTES) -> None:
        self._limit = limit
        self._pending = bytearray()  # of one line
        self._data: list[bytes] = []
        self._size = 0  # of the unfinished event
        self._skips_newline = False  # the other half of a CRLF may open the next chunk
        self._at_start = True

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of every event that `chunk` completes, in order.

        Raises:
            EventTooLong: the event that is being read passed the limit.
        """
        if self._skips_newline and chunk:
            self._skips_newline = False
            if chunk.startswith(b"\n"):
                chunk = chunk[1:]
        end = max(chunk.rfind(b"\n"), chunk.rfind(b"\r")) + 1
        self._size += len(chunk)
        if not end:
            self._pending += chunk
            self._check()
            return []
        self._skips_newline = end == len(chunk) and chunk.endswith(b"\r")
        whole = chunk[:end] if end < len(chunk) else chunk
        if self._pending:
            whole = bytes(self._pending) + whole
            self._pending.clear()
        if end < len(chunk):
            self._pending += chunk[end:]
        if self._at_start:
            self._at_start = False
            whole = whole.removeprefix(b"\xef\xbb\xbf")
        events, is_parted = self._lines(whole)
        if is_parted:
            self._size = len(chunk) - end + sum(map(len, self._data))
        self._check()
        return events

    def _lines(self, whole: bytes) -> tuple[list[bytes], bool]:
        """The events that `whole` completes, and whether a blank line stands in it."""
        events: list[bytes] = []
        is_parted = False
        data = self._data
        for line in whole.splitlines():
            if not line:
                is_parted = True
                if data:
                    events.append(data[0] if len(data) == 1 else b"\n".join(data))
                    data.clear()
            elif line.startswith(b"data:"):
                data.append(line[6:] if line.startswith(b"data: ") else line[5:])
            elif line == b"data":
                data.append(b"")
        return events, is_parted

    def _check(self) -> None:
        if self._size > self._limit:
            raise EventTooLong(f"An event is longer than {self._limit} bytes.")
