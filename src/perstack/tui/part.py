"""What a part of the transcript has to offer: its text, and whether it may go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.widgets import Collapsible
from textual.widgets.collapsible import CollapsibleTitle

if TYPE_CHECKING:
    from textual.content import Content

from perstack.tui.words import BODY_LIMIT
from perstack.views.plain import plain


class Part:
    """Mixed into a widget. It can be marked, copied and found."""

    @property
    def original(self) -> str:
        """Its text as it came. It is for copying, and never for the screen."""
        return ""

    @property
    def shown(self) -> str:
        """Its text as far as it can be seen, folded or not."""
        return plain(self.original[:BODY_LIMIT])

    @property
    def is_needed(self) -> bool:
        """Whether it must stay, however old it is."""
        return False


class Fold(Part, Collapsible):
    """A part that folds open below its title."""

    def entitle(self, title: Content) -> None:
        """Show another title.

        One that comes before the first is mounted would be cut to the size of that:
        Textual keeps the size until the next change.
        """
        self.title = title
        for child in self.children:
            if isinstance(child, CollapsibleTitle):
                child.clear_cached_dimensions()
