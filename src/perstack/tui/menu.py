"""A list to choose from, that gets shorter as one types."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from perstack.tui.key_bar import KeyBar
from perstack.tui.keys import MENU_KEYS
from perstack.tui.typing_order import Line
from perstack.tui.words import content_of, line_of

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from perstack.tui.session import Choice

FIND, TYPE = "type to find one", "type it, then Enter"

MOST = 1000
"""Characters of a description that are looked at."""


class Menu(ModalScreen[str | None]):
    """Ends with the key of what was chosen, or with None.

    `takes_text`: what was typed counts as well, where nothing in the list is like it.
    """

    BINDINGS: ClassVar[list[BindingType]] = MENU_KEYS
    DEFAULT_CSS = """
    Menu { align: center middle; }
    Menu > Vertical { width: 100%; height: 100%; background: $background; padding: 0 1; }
    Menu .heading { padding: 1 0; text-style: bold; }
    Menu Input { margin: 0 0 1 0; }
    Menu OptionList { height: 1fr; border: none; padding: 0; background: transparent; }
    Menu .hint { color: $text-muted; }
    """

    def __init__(
        self, heading: str, choices: tuple[Choice, ...], hint: str = "", *, takes_text: bool = False
    ) -> None:
        super().__init__()
        self._heading = heading
        self.choices = choices
        self._hint = hint
        self._takes_text = takes_text
        self._fit: tuple[Choice, ...] = ()
        self.typed = Line(placeholder=FIND if choices else TYPE, compact=True)
        self.list = OptionList(compact=True)

    def compose(self) -> ComposeResult:
        """From top to bottom."""
        with Vertical():
            yield Static(line_of(self._heading), classes="heading")
            yield self.typed
            yield self.list
            if self._hint:
                yield Static(content_of(self._hint), classes="hint")
            yield KeyBar(MENU_KEYS)

    def on_mount(self) -> None:
        """Show all of it."""
        self.list.can_focus = False
        self.typed.focus()
        self._fill(self.choices)

    def on_input_changed(self) -> None:
        """Leave what has all the words that were typed."""
        words = self.typed.value.casefold().split()
        fit = tuple(one for one in self.choices if all(word in _text(one) for word in words))
        if fit != self._fit:
            self._fill(fit)

    def on_input_submitted(self) -> None:
        """Take what is highlighted, else what was typed."""
        self.on_input_changed()  # whoever types fast has not seen it yet
        option = self.list.highlighted_option
        if option is not None and option.id is not None:
            self.dismiss(self.choices[int(option.id)].key)
        elif self._takes_text and (typed := self.typed.value.strip()):
            self.dismiss(typed)

    def on_option_list_option_selected(self, picked: OptionList.OptionSelected) -> None:
        """Take what was clicked on."""
        if picked.option_id is not None:
            self.dismiss(self.choices[int(picked.option_id)].key)

    def action_move(self, lines: int) -> None:
        """To the next one, or the one before."""
        if lines < 0:
            self.list.action_cursor_up()
        else:
            self.list.action_cursor_down()

    def action_page(self, pages: int) -> None:
        """The same by a page."""
        if pages < 0:
            self.list.action_page_up()
        else:
            self.list.action_page_down()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Nothing to move in, no keys for it."""
        if action in {"move", "page"} and not self.choices:
            return False
        return super().check_action(action, parameters)

    def action_leave(self) -> None:
        """Choose none."""
        self.dismiss(None)

    def _fill(self, choices: tuple[Choice, ...]) -> None:
        self._fit = choices
        places = {id(one): str(place) for place, one in enumerate(self.choices)}
        options: list[Option] = []
        group = ""
        for choice in choices:
            if choice.group != group:
                group = choice.group
                head = line_of(group, "bold $text-accent", 60)
                options.append(Option(head, disabled=True))
            options.append(Option(_lines(choice), id=places[id(choice)]))
        self.list.clear_options()
        self.list.add_options(options)
        self.list.highlighted = next(
            (at for at, option in enumerate(options) if not option.disabled), None
        )


def _text(choice: Choice) -> str:
    return f"{choice.name or choice.key} {choice.description} {choice.origin}".casefold()


def _lines(choice: Choice) -> Content:
    head = Content.assemble(
        line_of(choice.name or choice.key, "bold", 60),
        "  ",
        line_of(choice.origin, "dim", 60),
    )
    about = " ".join(choice.description[:MOST].split())
    return Content.assemble(head, "\n  ", line_of(about, "", 200)) if about else head
