"""Every key of the workbench, in one table: for the app, its footer and its guide."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from textual.binding import Binding

if TYPE_CHECKING:
    from textual.binding import BindingType

SUBMIT = "enter"
NEW_LINE = frozenset({"ctrl+j", "shift+enter", "alt+enter"})
PLACES = {"up": -1, "down": 1}
"""Keys of the input line, which it takes by itself; the last ones where nothing is typed."""


class Key(NamedTuple):
    """Keys as a person names them, and what they do.

    `keys` are Textual's names, `action` is the app's; a key without an action belongs to
    whatever has the focus. `footer` are the key and its word there, for the few that fit.
    """

    shown: str
    does: str
    keys: str = ""
    action: str = ""
    footer: tuple[str, str] | None = None


TABLE = (
    Key("Enter", "send what was typed: a query, or the answer to the question that waits"),
    Key("Ctrl-J", "a new line in what is typed"),
    Key("Up, Down", "with nothing typed: among the answers that are offered; Enter takes one"),
    Key("Tab, Shift-Tab", "to the next field of a form, or back"),
    Key("Ctrl-S", "send the form", "ctrl+s", "send_form"),
    Key("Esc, Ctrl-C", "stop the job", "escape,ctrl+c", "stop", ("Esc", "Stop")),
    Key("Ctrl-Q", "quit", "ctrl+q", "quit", ("^Q", "Quit")),
    Key("Page Up", "scroll up", "pageup", "scroll(-1)"),
    Key("Page Down", "scroll down", "pagedown", "scroll(1)"),
    Key("Ctrl-End", "to the newest, and on with it", "ctrl+end", "follow"),
    Key("Ctrl-O", "fold everything, or open it", "ctrl+o", "fold", ("^O", "Fold")),
    Key("F2", "another model, from the next query on", "f2", "model", ("F2", "Model")),
    Key("F3", "back to a checkpoint", "f3", "go_back", ("F3", "Back")),
    Key("F4", "another limit of steps", "f4", "limit", ("F4", "Steps")),
)

KEYS: list[BindingType] = [
    Binding(
        key.keys,
        key.action,
        key.footer[1] if key.footer else "",
        show=key.footer is not None,
        key_display=key.footer[0] if key.footer else None,
        priority=True,
    )
    for key in TABLE
    if key.action
]
"""Those of the whole screen. They come before those of whatever has the focus."""

MENU_KEYS: list[BindingType] = [
    Binding("escape,ctrl+c", "leave", "Leave", key_display="Esc", priority=True),
    Binding("up", "move(-1)", "Choose", key_display="↑↓", priority=True),
    Binding("down", "move(1)", "", show=False, priority=True),
    Binding("pageup", "page(-1)", "", show=False, priority=True),
    Binding("pagedown", "page(1)", "", show=False, priority=True),
]
"""Those of a menu."""

PICKER_KEYS: list[BindingType] = [
    Binding("ctrl+q", "leave", "", show=False, priority=True),
]
"""Those of the picker."""

ADVICE_KEYS: list[BindingType] = [
    Binding("enter,r", "again", "Look again", key_display="Enter", priority=True),
    Binding("escape,ctrl+c", "leave", "Leave", key_display="Esc", priority=True),
]
"""Those of a screen that says what to do."""
