"""Which Expert? A list to pick one from."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import App
from textual.content import Content
from textual.widgets import Footer, OptionList, Static
from textual.widgets.option_list import Option

from perstack.tui.keys import PICKER_KEYS
from perstack.tui.words import line_of

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from perstack.tui.session import Choice


class Picker(App[str]):
    """Ends with the key of the Expert that was picked, or with None."""

    CSS_PATH = "workbench.tcss"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = PICKER_KEYS

    def __init__(self, choices: tuple[Choice, ...]) -> None:
        super().__init__()
        self._choices = choices

    def compose(self) -> ComposeResult:
        """A heading and the list."""
        yield Static("Which Expert?", id="heading")
        yield OptionList(*(Option(_line(choice)) for choice in self._choices))
        yield Footer(compact=True)

    def on_option_list_option_selected(self, picked: OptionList.OptionSelected) -> None:
        """Give the choice back."""
        self.exit(self._choices[picked.option_index].key)

    def action_leave(self) -> None:
        """Pick none."""
        self.exit(None)


def _line(choice: Choice) -> Content:
    return Content.assemble(
        line_of(choice.key, "bold", 60),
        "  ",
        line_of(choice.origin, "dim", 60),
        "\n  ",
        line_of(choice.description, "", 200),
    )
