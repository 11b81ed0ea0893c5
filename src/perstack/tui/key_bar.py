"""The keys at the bottom of a screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.binding import Binding
from textual.widgets import Footer

from perstack.tui.keys import KEYS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult
    from textual.binding import BindingType
    from textual.widget import Widget


class KeyBar(Footer):
    """Shows them in the order of their list, whatever has the focus."""

    def __init__(self, keys: Sequence[BindingType] = KEYS) -> None:
        super().__init__(compact=True)
        actions = [key.action for key in keys if isinstance(key, Binding)]
        self._places = {action: place for place, action in enumerate(actions)}

    def compose(self) -> ComposeResult:
        """From left to right."""
        yield from sorted(super().compose(), key=self._place)

    def _place(self, shown: Widget) -> int:
        return self._places.get(getattr(shown, "action", ""), -1)
