"""What every screen owes the terminal that it stands in."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

from textual.app import App

from perstack.tui.colours import GREY, theme_for
from perstack.tui.driver import reading

if TYPE_CHECKING:
    from textual.driver import Driver

T = TypeVar("T")


class TerminalApp(App[T]):
    """Takes colours that suit the terminal, and is whole again after the shell had it."""

    ENABLE_COMMAND_PALETTE = False
    DEFAULT_CSS = """
    OptionList:ansi > .option-list--option-highlighted {
        color: ansi_bright_white;
        background: ansi_blue;
    }
    OptionList:nocolor > .option-list--option-highlighted { background: $foreground 40%; }
    Input:ansi > .input--placeholder { text-style: dim; }
    TextArea:ansi .text-area--placeholder { text-style: dim; }
    """

    def __init__(self) -> None:
        environment = dict(os.environ)  # Textual takes NO_COLOR away
        super().__init__()
        self.register_theme(GREY)
        theme = theme_for(environment, self.console.color_system)
        if theme is not None:
            self.theme = theme

    def get_driver_class(self) -> type[Driver]:
        """One that reads whatever a terminal sends."""
        return reading(super().get_driver_class())

    def on_driver_signal_resume(self) -> None:
        """Draw all of it again: after `fg` the terminal holds what the shell left."""
        self.refresh(layout=True)
