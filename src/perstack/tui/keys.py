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
]
"""Those of the whole screen. They come before those of whatever has the focus."""

SUBMIT = "enter"
NEW_LINE = frozenset({"ctrl+j", "shift+enter", "alt+enter"})
"""Keys of the input line, which it takes by itself."""

PICKER_KEYS: list[BindingType] = [
    Binding("escape,ctrl+c", "leave", "Leave", key_display="Esc", priority=True),
    Binding("ctrl+q", "leave", "", show=False, priority=True),
]
"""Those of the picker."""
