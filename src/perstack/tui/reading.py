"""What one does with what stands there: scroll, fold, find, mark, copy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.widgets import Collapsible, Select

from perstack.tui.help import Help
from perstack.tui.keys import ACTIONS
from perstack.tui.marking import Marker
from perstack.tui.prompt import Prompt
from perstack.tui.search import SearchBar
from perstack.tui.terminal import TerminalApp
from perstack.tui.transcript import Transcript
from perstack.views.plain import counted

if TYPE_CHECKING:
    from textual.widget import Widget


class Reading(TerminalApp[None]):
    """The half of the workbench that asks nothing of its session."""

    def __init__(self, kept: int) -> None:
        super().__init__()
        self.transcript = Transcript(kept)
        self.marker = Marker(self.transcript)
        self.search = SearchBar(self.transcript, self.marker)
        self.prompt = Prompt()

    def action_scroll(self, pages: int) -> None:
        """Up or down by a page."""
        if pages < 0:
            self.transcript.scroll_page_up()
        else:
            self.transcript.scroll_page_down()

    def action_follow(self) -> None:
        """To the newest, and on with it."""
        self.marker.clear()
        self.transcript.follow()

    def action_fold(self) -> None:
        """Fold everything, or open it where all is folded."""
        folds = [*self.transcript.query(Collapsible)]
        is_open = any(not fold.collapsed for fold in folds)
        for fold in folds:
            fold.collapsed = is_open

    def action_find(self) -> None:
        """Find text in the transcript."""
        self.search.open()

    def action_mark(self, places: int) -> None:
        """Mark another part."""
        self.marker.move(places)

    def action_copy(self) -> None:
        """Copy what is marked, or else what the Expert said last."""
        text = self.marker.text()
        if text:
            self.copy_to_clipboard(text)
        told = f"Copied {counted(len(text), 'character')}." if text else "Nothing to copy yet."
        self.notify(told, markup=False)

    def action_keys(self) -> None:
        """Show all keys."""
        self.push_screen(Help())

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whatever stands over the screen has the keys for itself, and an open list its Esc."""
        if action in ACTIONS and len(self.screen_stack) > 1:
            return False
        if action == "stop" and self.focused is not None and _is_open_list(self.focused):
            return False
        return super().check_action(action, parameters)


def _is_open_list(widget: Widget) -> bool:
    """Whether it is the list of a form's field; it is open as long as it has the focus."""
    return isinstance(widget.parent, Select)
