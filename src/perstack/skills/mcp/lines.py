"""What comes out of a server's pipes, cut into lines within bounds."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from perstack.skills.mcp import MAX_MESSAGE_BYTES, ServerGone
from perstack.skills.mcp.protocol import too_long
from perstack.skills.mcp.redaction import NOTHING, Redaction
from perstack.skills.mcp.trickle import MAX_CHARS, Trickle

MAX_DROPPED_BYTES = 16 * MAX_MESSAGE_BYTES
"""How long a message may go on after it was too long, before its server is given up."""

_END = 1024
_LAST_LINES = 10
_MAX_LINE = 4 * MAX_CHARS + 4
"""Bytes that are read of a line on standard error: a character has 4 at most."""


class Messages:
    """The lines of a stream. Of one that is too long nothing is kept but its two ends."""

    def __init__(self, limit: int = MAX_MESSAGE_BYTES) -> None:
        self._limit = limit
        self._ready: deque[bytes] = deque()
        self._begun = bytearray()
        self._head = b""
        self._dropped = 0

    def next(self) -> bytes | None:
        """The next whole one, while there is one."""
        return self._ready.popleft() if self._ready else None

    def add(self, data: bytes) -> None:
        """Take what came.

        Raises:
            ServerGone: a line seems to have no end.
        """
        first, *others = data.split(b"\n")
        self._extend(first)
        if others:
            last = others.pop()
            self._finish()
            for line in others:
                self._keep(line)
            self._extend(last)

    def _extend(self, part: bytes) -> None:
        if self._dropped:
            self._dropped += len(part)
            self._begun = (self._begun + part[-_END:])[-_END:]
            if self._dropped > MAX_DROPPED_BYTES:
                raise ServerGone("The server was given up: it sent a message without an end.")
            return
        self._begun += part
        if len(self._begun) > self._limit:
            self._dropped = len(self._begun)
            self._head = bytes(self._begun[:_END])
            self._begun = self._begun[-_END:]

    def _finish(self) -> None:
        line, self._begun = bytes(self._begun), bytearray()
        if self._dropped:
            line = too_long(self._head, line, self._limit)
            self._dropped = 0
        self._keep(line)

    def _keep(self, line: bytes) -> None:
        if len(line) > self._limit:  # too long, yet it came in one go
            line = too_long(line[:_END], line[-_END:], self._limit)
        if line and not line.isspace():
            self._ready.append(line)


class Complaints:
    """What a server prints on its standard error: some of it for the log, and its last lines.

    A line of which a part was not read is left out: it could hold half a secret.
    """

    def __init__(self, give: Callable[[str], None] | None, redaction: Redaction = NOTHING) -> None:
        self._trickle = Trickle(self._take, redaction)
        self._redaction = redaction
        self._give = give
        self._last: deque[str] = deque(maxlen=_LAST_LINES)
        self._begun = b""
        self._is_torn = False

    @property
    def last(self) -> str:
        """The last lines that were given on."""
        return self._redaction.hidden("\n".join(self._last))

    def add(self, data: bytes) -> None:
        """Take what came."""
        while data and self._trickle.is_open:
            line, end, data = data.partition(b"\n")
            self._begun = (self._begun + line)[:_MAX_LINE]
            if end:
                self._finish()
        if data:
            self._trickle.leave_out(data.count(b"\n"))
            self._is_torn = not data.endswith(b"\n")
            self._begun = b""

    def flush(self) -> None:
        """Give on what stands without an end, and the count of what was left out."""
        self._finish()
        self._trickle.flush()

    def _finish(self) -> None:
        begun, self._begun = self._begun, b""
        is_torn, self._is_torn = self._is_torn, False
        if is_torn:
            self._trickle.leave_out(1)
            return
        line = begun.decode("utf-8", "replace")
        if len(begun) == _MAX_LINE:
            line = self._redaction.without_end(line.rstrip("\ufffd"))
        if line := line.rstrip():
            self._trickle.add(line)

    def _take(self, line: str) -> None:
        self._last.append(line)
        if self._give:
            self._give(line)
