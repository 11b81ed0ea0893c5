"""What a part of the transcript has to offer: its text, and whether it may go."""

from __future__ import annotations


class Part:
    """Mixed into a widget. It can be marked, copied and found."""

    @property
    def original(self) -> str:
        """Its text as it came. It is for copying and comparing, and never for the screen."""
        return ""

    @property
    def is_needed(self) -> bool:
        """Whether it must stay, however old it is."""
        return False
