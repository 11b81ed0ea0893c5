"""Every key of the workbench, in one table: for the app, its footer, its help and its guide."""

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
    Key("Ctrl-End", "to the newest, and on with it; nothing is marked then", "ctrl+end", "follow"),
    Key("Ctrl-O", "fold everything, or open it", "ctrl+o", "fold", ("^O", "Fold")),
    Key(
        "Ctrl-F",
        "find text: Enter or Down for the next, Up for the one before, Esc ends",
        "ctrl+f",
        "find",
        ("^F", "Find"),
    ),
    Key("Ctrl-Up", "mark the part before", "ctrl+up", "mark(-1)"),
    Key("Ctrl-Down", "mark the part behind", "ctrl+down", "mark(1)"),
    Key(
        "Ctrl-Y",
        "copy the marked part, or else what the Expert said last",
        "ctrl+y",
        "copy",
        ("^Y", "Copy"),
    ),
    Key("F2", "another model, from the next query on", "f2", "model", ("F2", "Model")),
    Key("F3", "back to a checkpoint", "f3", "go_back", ("F3", "Back")),
    Key("F4", "another limit of steps", "f4", "limit"),
    Key("F1", "all keys", "f1", "keys", ("F1", "Keys")),
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

ACTIONS = frozenset(key.action.partition("(")[0] for key in TABLE if key.action) - {"quit"}
"""What those do; not while something stands over the screen, which has keys of its own."""

SEARCH_KEYS: list[BindingType] = [
    Binding("down", "go(1)", "", show=False),
    Binding("up", "go(-1)", "", show=False),
]
"""Those of the line that is typed into to find something."""

HELP_KEYS: list[BindingType] = [Binding("escape,ctrl+c,f1,enter,q", "leave", "", show=False)]
"""Those that take the help away."""

MENU_KEYS: list[BindingType] = [
    Binding("up", "move(-1)", "Choose", key_display="↑↓ Enter", priority=True),
    Binding("down", "move(1)", "", show=False, priority=True),
    Binding("pageup", "page(-1)", "", show=False, priority=True),
    Binding("pagedown", "page(1)", "", show=False, priority=True),
    Binding("escape,ctrl+c", "leave", "Leave", key_display="Esc", priority=True),
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


def table() -> str:
    """All keys as a Markdown table."""
    rows = [f"| {key.shown} | {key.does} |" for key in TABLE]
    return "\n".join(["| Key | |", "|---|---|", *rows])
