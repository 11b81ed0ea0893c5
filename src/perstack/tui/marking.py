"""The mark: which part of the transcript is looked at, by whoever goes there or finds it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from textual.widgets import Collapsible, Static

from perstack.tui.part import Part
from perstack.tui.prose import Piece, Prose
from perstack.tui.run_block import RunBlock, SideBySide
from perstack.tui.words import copyable

if TYPE_CHECKING:
    from textual.widget import Widget

    from perstack.tui.transcript import Transcript

MARK = "-marked"


class Marker:
    """At most one part is marked. It is brought into sight, and the screen stays there."""

    def __init__(self, transcript: Transcript) -> None:
        self._transcript = transcript
        self._marked: Widget | None = None

    @property
    def marked(self) -> Widget | None:
        """The part that is marked, while it is there."""
        if self._marked is not None and not self._marked.is_attached:
            self._marked = None
        return self._marked

    def move(self, places: int) -> None:
        """Mark the part before or behind, of those in sight; the newest, where none is marked.

        Behind the newest there is none: nothing is marked then.
        """
        parts = [part for part in parts_in(self._transcript) if not _is_folded_away(part)]
        marked = self.marked
        if marked not in parts:
            place = len(parts) - 1 if places < 0 else len(parts)
        else:
            place = max(parts.index(marked) + places, 0)
        if place < len(parts):
            self.mark(parts[place])
            self._bring(parts[place])
        else:
            self.clear()
            self._transcript.follow()

    def mark(self, part: Widget) -> None:
        """This one, and no other."""
        if part is not self.marked:
            self.clear()
            self._marked = part
            part.add_class(MARK)

    def clear(self) -> None:
        """Mark none."""
        if self._marked is not None:
            self._marked.remove_class(MARK)
        self._marked = None

    def find(self, part: Widget, words: str) -> None:
        """Mark the part that was found, open every fold around it, and go to the words."""
        self.mark(part)
        for fold in part.ancestors_with_self:
            if isinstance(fold, Collapsible):
                fold.collapsed = False
        place = self._transcript
        # A fold that opens scrolls by itself, one refresh later: this comes after it.
        place.call_after_refresh(place.call_after_refresh, self._bring, part, words)

    def text(self) -> str:
        """What there is to copy: the marked part, or else what the Expert said last."""
        part = self.marked or _said_last(self._transcript)
        return copyable(part.original) if isinstance(part, Part) else ""

    def _bring(self, part: Widget, words: str = "") -> None:
        place = self._transcript
        if not part.is_attached:
            return
        if part.region.height < place.size.height and not words:
            place.scroll_to_widget(part, animate=False)
            place.release_anchor()
            return
        spot, share = _spot_in(part, words)
        top = spot.region.y - place.region.y + place.scroll_offset.y
        if words:
            top += int(spot.region.height * share) - place.size.height // 2
        place.scroll_to(y=top, animate=False)


def parts_in(place: Widget) -> Iterator[Widget]:
    """All parts, from top to bottom; a delegate's before what its run does."""
    for child in place.children:
        if isinstance(child, Part):
            yield child
        if isinstance(child, RunBlock):
            yield from parts_in(child.parts)
        elif isinstance(child, SideBySide):
            yield from parts_in(child)


def _is_folded_away(part: Widget) -> bool:
    return any(isinstance(fold, Collapsible) and fold.collapsed for fold in part.ancestors)


def _said_last(transcript: Transcript) -> Widget | None:
    """The coordinator's last words; a delegate's where it said nothing."""
    said = [part for part in parts_in(transcript) if isinstance(part, Prose)]
    own = [part for part in said if part.parent is transcript]
    return (own or said or [None])[-1]


def _spot_in(part: Widget, words: str) -> tuple[Widget, float]:
    """The smallest piece of a part that shows the words, and how far down they stand in it."""
    for piece in part.walk_children(Static, with_self=True, method="breadth"):
        text = _text(piece).casefold() if piece.region else ""
        if words and words in text:
            return piece, text.index(words) / len(text)
    return part, 0.0


def _text(piece: Static) -> str:
    return piece.text(piece.content_size.width) if isinstance(piece, Piece) else str(piece.visual)
