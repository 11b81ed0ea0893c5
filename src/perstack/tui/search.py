"""Finding text in the transcript, also in what is folded away."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static

from perstack.tui.keys import SEARCH_KEYS
from perstack.tui.marking import Marker, parts_in
from perstack.tui.part import Part
from perstack.tui.typing_order import Line

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType
    from textual.widget import Widget

    from perstack.tui.transcript import Transcript


class SearchBar(Horizontal):
    """One line: what is looked for, and which of the parts that hold it is marked."""

    BINDINGS: ClassVar[list[BindingType]] = SEARCH_KEYS

    class Closed(Message):
        """Nothing is looked for any more."""

    def __init__(self, transcript: Transcript, marker: Marker) -> None:
        super().__init__()
        self._transcript = transcript
        self._marker = marker
        self._input = Line(placeholder="find", compact=True)
        self._count = Static("")
        self.display = False

    def compose(self) -> ComposeResult:
        """From left to right."""
        yield self._input
        yield self._count

    @property
    def is_open(self) -> bool:
        """Whether something is looked for."""
        return self.display

    def open(self) -> None:
        """Look for something: what was looked for before, unless it is typed over."""
        self.display = True
        self._input.focus()
        self._input.select_all()

    def close(self) -> None:
        """Look for nothing. What was found stays marked."""
        if self.is_open:
            self.display = False
            self.post_message(self.Closed())

    def on_input_changed(self, changed: Input.Changed) -> None:
        """Go to the part that is marked if it still fits, else to the newest that does."""
        changed.stop()
        hits = self._hits()
        marked = self._marker.marked
        self._go_to(hits, hits.index(marked) if marked in hits else len(hits) - 1)

    def on_input_submitted(self, entered: Input.Submitted) -> None:
        """To the next one."""
        entered.stop()
        self.action_go(1)

    def action_go(self, places: int) -> None:
        """To the next one, or the one before; from the last one to the first."""
        hits = self._hits()
        marked = self._marker.marked
        at = hits.index(marked) + places if marked in hits else len(hits) - 1
        self._go_to(hits, at)

    @property
    def _words(self) -> str:
        return self._input.value.casefold()

    def _hits(self) -> list[Widget]:
        words = self._words
        return [
            part
            for part in parts_in(self._transcript)
            if words and isinstance(part, Part) and words in part.shown.casefold()
        ]

    def _go_to(self, hits: list[Widget], place: int) -> None:
        if not hits:
            self._marker.clear()
            self._count.update(Content.styled("nothing" if self._words else "", "$text-warning"))
            return
        place %= len(hits)
        self._count.update(Content(f"{place + 1} of {len(hits)}"))
        self._marker.find(hits[place], self._words)
