"""What a part of the transcript has to offer: its text, and whether it may go."""

from __future__ import annotations

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
