"""What is asked before there is a workbench: a screen on its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import App

from perstack.tui.keys import PICKER_KEYS
from perstack.tui.terminal import reading

if TYPE_CHECKING:
    from textual.binding import BindingType
    from textual.driver import Driver
    from textual.screen import ModalScreen


class Picker(App[str]):
    """Ends with what its one screen ends with, or with None."""

    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = PICKER_KEYS

    def __init__(self, screen: ModalScreen[str | None]) -> None:
        super().__init__()
        self._shown = screen

    def get_driver_class(self) -> type[Driver]:
        """One that reads whatever a terminal sends."""
        return reading(super().get_driver_class())

    def on_mount(self) -> None:
        """Show it."""
        self.push_screen(self._shown, self.exit)

    def action_leave(self) -> None:
        """Pick none."""
        self.exit(None)
