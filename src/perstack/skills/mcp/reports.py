"""What a skill's server says, on its way into the log: in order, and within bounds."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, Literal, TypeAlias

import anyio

from perstack.schema.event import SkillReported, SkillStderr

if TYPE_CHECKING:
    from perstack.schema.event import RuntimeEvent
    from perstack.skills.mcp import Note
    from perstack.skills.mcp.redaction import Redaction

MAX_OF_A_KIND = 200
"""Events of one kind that one skill may add to a run's log."""

Kind: TypeAlias = Literal["stderr", "server", "runtime"]
_MANY: tuple[Kind, ...] = ("stderr", "server", "runtime")


class Reports:
    """Takes what is said without waiting, and notes it from a task of its own.

    Whoever calls has bounded the rate; what is beyond `MAX_OF_A_KIND` is counted, and
    `finish` says how much that was. Nothing is noted with a secret of `redaction` in it.
    """

    def __init__(self, skill: str, note: Note, redaction: Redaction) -> None:
        self._skill = skill
        self._note = note
        self._redaction = redaction
        self._taken: Counter[Kind] = Counter()
        self._waiting: deque[RuntimeEvent] = deque()
        self._some = anyio.Event()
        self._lock = anyio.Lock()

    def stderr(self, line: str) -> None:
        """A line of the server's standard error."""
        self._take("stderr", "", line)

    def message(self, level: str, text: str) -> None:
        """What the server logs, or how far a call has come."""
        self._take("server", level, text)

    def warn(self, text: str) -> None:
        """Something about the skill's tools, in words of ours."""
        self._take("runtime", "warning", text)

    async def pump(self) -> None:
        """Note what comes, for ever."""
        while True:
            await self._some.wait()
            self._some = anyio.Event()
            await self.flush()

    async def flush(self) -> None:
        """Note everything that was taken."""
        async with self._lock:
            while self._waiting:
                await self._note(self._waiting.popleft())

    async def finish(self) -> None:
        """Note everything, and how much was left out since this was last told."""
        for kind in _MANY:
            left = self._taken[kind] - MAX_OF_A_KIND
            if left > 0:
                self._taken[kind] = MAX_OF_A_KIND
                self._put(kind, "warning", f"[{left} more left out]")
        await self.flush()

    def _take(self, kind: Kind, level: str, text: str) -> None:
        self._taken[kind] += 1
        if self._taken[kind] <= MAX_OF_A_KIND:
            self._put(kind, level, text)

    def _put(self, kind: Kind, level: str, text: str) -> None:
        text = self._redaction.hidden(text)
        event = (
            SkillStderr(skill_name=self._skill, message=text)
            if kind == "stderr"
            else SkillReported(skill_name=self._skill, source=kind, level=level[:20], message=text)
        )
        self._waiting.append(event)
        self._some.set()
