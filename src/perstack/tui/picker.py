"""What is asked before there is a workbench: a screen on its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from perstack.tui.keys import PICKER_KEYS
from perstack.tui.terminal import TerminalApp

if TYPE_CHECKING:
    from textual.binding import BindingType
    from textual.screen import ModalScreen


class Picker(TerminalApp[str]):
    """Ends with what its one screen ends with, or with None."""

    BINDINGS: ClassVar[list[BindingType]] = PICKER_KEYS

    def __init__(self, screen: ModalScreen[str | None]) -> None:
        super().__init__()
        self._shown = screen

    def on_mount(self) -> None:
        """Show it."""
        self.push_screen(self._shown, self.exit)

    def action_leave(self) -> None:
        """Pick none."""
        self.exit(None)
