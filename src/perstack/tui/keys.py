"""Every key of the workbench, in one table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.binding import Binding

if TYPE_CHECKING:
    from textual.binding import BindingType

KEYS: list[BindingType] = [
    Binding("escape,ctrl+c", "stop", "Stop", key_display="Esc", priority=True),
    Binding("ctrl+q", "quit", "Quit", key_display="^Q", priority=True),
    Binding("pageup", "scroll(-1)", "Scroll", key_display="PgUp/PgDn", priority=True),
    Binding("pagedown", "scroll(1)", "", show=False, priority=True),
    Binding("ctrl+end", "follow", "Newest", key_display="^End", priority=True),
    Binding("ctrl+o", "fold", "Fold all", key_display="^O", priority=True),
    Binding("f2", "model", "Model", key_display="F2", priority=True),
    Binding("f3", "go_back", "Back", key_display="F3", priority=True),
    Binding("f4", "limit", "Steps", key_display="F4", priority=True),
]
"""Those of the whole screen. They come before those of whatever has the focus."""

SUBMIT = "enter"
NEW_LINE = frozenset({"ctrl+j", "shift+enter", "alt+enter"})
"""Keys of the input line, which it takes by itself."""

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
