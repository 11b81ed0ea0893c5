"""Everything that was said and done, newest last, of which the oldest is let go."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from textual.containers import VerticalScroll
from textual.widgets import Static

from perstack.tui.part import Part

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.widget import Widget

KEPT = 150
"""Parts that stay on the screen, those inside of delegates' runs among them."""


class Transcript(VerticalScroll, can_focus=False):
    """Scrolls with what comes, unless somebody scrolled up.

    More than `kept` parts slow every draw down: the oldest make room, and a line says
    how many did. A delegate's run that goes on stays, while its oldest parts may go; and
    so does a question that waits.
    """

    def __init__(self, kept: int = KEPT) -> None:
        super().__init__()
        self._kept = kept
        self._parts: deque[Widget] = deque()
        self._groups: list[Widget] = []
        self._gone = 0
        self._head = Static("", classes="gone")
        self._head.display = False

    def compose(self) -> ComposeResult:
        """The line about what is gone, and below it what is there."""
        yield self._head

    def on_mount(self) -> None:
        """Stay at the end."""
        self.anchor()

    def follow(self) -> None:
        """To the newest, and on with it."""
        self.anchor()
        self.scroll_end()

    async def add(self, part: Widget, inside: Widget | None = None) -> None:
        """Show one more part, at the end or inside of a delegate's run."""
        self._parts.append(part)
        await self._place(inside).mount(part)
        if len(self._parts) > self._kept:
            await self._make_room()

    async def beside(self, group: Widget, inside: Widget | None = None) -> Widget:
        """A place for parts that stand together. It goes with the last of them."""
        self._groups.append(group)
        await self._place(inside).mount(group)
        return group

    def _place(self, inside: Widget | None) -> Widget:
        return inside if inside is not None and inside.is_attached else self

    async def drop(self, part: Widget) -> None:
        """Take back a part that turned out not to be."""
        if part in self._parts:
            self._parts.remove(part)
            await part.remove()

    async def clear(self) -> None:
        """Let go of all parts."""
        await self.remove_children([child for child in self.children if child is not self._head])
        self._parts.clear()
        self._groups.clear()
        self._gone = 0
        self._head.display = False

    async def _make_room(self) -> None:
        staying: list[Widget] = []
        while self._parts and len(self._parts) + len(staying) > self._kept:
            oldest = self._parts.popleft()
            if isinstance(oldest, Part) and oldest.is_needed:
                staying.append(oldest)
                continue
            self._gone += 1
            if oldest.is_attached:
                await oldest.remove()
        self._parts.extendleft(reversed(staying))
        self._parts = deque(part for part in self._parts if part.is_attached)
        for group in self._groups:
            if group.is_attached and not group.children:
                await group.remove()
        self._groups = [group for group in self._groups if group.is_attached]
        self._head.update(f"{self._gone} earlier parts are not shown here; perstack log has them")
        self._head.display = True
