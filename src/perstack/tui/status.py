"""The bar at the bottom: how far the job is, in as many lines as it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content
from textual.widget import Widget

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.geometry import Size

    from perstack.tui.progress import Progress

BETWEEN = "  "


class StatusBar(Widget):
    """Shows what is known by now. Lines end between two facts, and never in one."""

    def __init__(self, progress: Progress) -> None:
        super().__init__(id="status")
        self._progress = progress
        self._height = 0

    def show(self) -> None:
        """Show it anew; all else is laid out again only where it takes another line."""
        is_taller = self._height != len(self._lines(self.size.width))
        self.refresh(layout=is_taller)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """The number of its lines."""
        self._height = len(self._lines(width))
        return self._height

    def render(self) -> Content:
        """All of it."""
        return Content("\n").join(self._lines(self.size.width))

    def _lines(self, width: int) -> list[Content]:
        return packed(self._progress.parts, width)


def packed(parts: Sequence[Content], width: int) -> list[Content]:
    """The parts in lines of at most `width` cells, unless one part is wider."""
    lines: list[Content] = []
    for part in parts:
        if lines and lines[-1].cell_length + len(BETWEEN) + part.cell_length <= width:
            lines[-1] = Content.assemble(lines[-1], BETWEEN, part)
        else:
            lines.append(part)
    return lines
