"""All keys, over whatever is on the screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from perstack.tui.keys import HELP_KEYS, TABLE

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType


class Help(ModalScreen[None]):
    """Stays until a key takes it away."""

    BINDINGS: ClassVar[list[BindingType]] = HELP_KEYS

    def compose(self) -> ComposeResult:
        """A row for each key."""
        with VerticalScroll() as all_keys:
            all_keys.border_subtitle = "Esc closes"
            for key in TABLE:
                yield Horizontal(
                    Static(Content.styled(key.shown, "bold"), classes="key"),
                    Static(Content(key.does)),
                )

    def action_leave(self) -> None:
        """Take it away."""
        self.dismiss()
