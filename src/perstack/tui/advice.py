"""One screen that says what to do, and looks again when it was done."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from perstack.tui.key_bar import KeyBar
from perstack.tui.keys import ADVICE_KEYS
from perstack.tui.words import content_of, line_of

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType


class Advice(ModalScreen[str | None]):
    """Ends with "again" for a person who did it, or with None."""

    BINDINGS: ClassVar[list[BindingType]] = ADVICE_KEYS
    DEFAULT_CSS = """
    Advice > VerticalScroll { width: 100%; height: 1fr; background: $background; padding: 0 1; }
    Advice .heading { padding: 1 0; text-style: bold; color: $text-warning; }
    """

    def __init__(self, heading: str, text: str) -> None:
        super().__init__()
        self._heading, self.text = heading, text

    def compose(self) -> ComposeResult:
        """From top to bottom."""
        with VerticalScroll():
            yield Static(line_of(self._heading), classes="heading")
            yield Static(content_of(self.text))
        yield KeyBar(ADVICE_KEYS)

    def action_again(self) -> None:
        """It was done."""
        self.dismiss("again")

    def action_leave(self) -> None:
        """Do nothing about it."""
        self.dismiss(None)
