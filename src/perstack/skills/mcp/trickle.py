"""Lines of a server, let through at a bearable rate, with a count of the others."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from perstack.skills.mcp.redaction import NOTHING, Redaction

PER_SECOND = 20
MAX_CHARS = 2000
"""Of one line; the rest of it is cut off."""


class Trickle:
    """Gives on at most `PER_SECOND` lines in a second, and says how many it left out.

    Lines are given on without the secrets of `redaction`.
    """

    def __init__(self, give: Callable[[str], None], redaction: Redaction = NOTHING) -> None:
        self._give = give
        self._redaction = redaction
        self._since = 0.0
        self._room = PER_SECOND
        self._left_out = 0

    @property
    def is_open(self) -> bool:
        """Whether the next line would be given on."""
        now = anyio.current_time()
        if now >= self._since + 1:
            self._since, self._room = now, PER_SECOND
        return self._room > 0

    def add(self, line: str) -> None:
        """Give a line on, or count it."""
        if not self.is_open:
            self.leave_out(1)
            return
        self.flush()
        self._room -= 1
        self._give(self._redaction.start(line, MAX_CHARS, " [...]"))

    def leave_out(self, count: int) -> None:
        """Count lines that nobody has read."""
        self._left_out += count

    def flush(self) -> None:
        """Say how many were left out since the last that was not."""
        count, self._left_out = self._left_out, 0
        if count:
            self._give(f"[{count} {'line' if count == 1 else 'lines'} left out]")
