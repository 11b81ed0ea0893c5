"""The line a person types into; it grows with what is typed."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.message import Message
from textual.widgets import TextArea

from perstack.tui.keys import LINES, NEW_LINE, SUBMIT

if TYPE_CHECKING:
    from textual.binding import BindingType
    from textual.events import Key


class Prompt(TextArea):
    """Enter sends what was typed, also nothing. Pasted line ends stay what they are."""

    BINDINGS: ClassVar[list[BindingType]] = LINES

    class Sent(Message):
        """A person sent `text`."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Moved(Message):
        """A person went up or down where nothing is typed. `places` is -1 or 1."""

        def __init__(self, places: int) -> None:
            super().__init__()
            self.places = places

    def __init__(self) -> None:
        super().__init__(compact=True, highlight_cursor_line=False, placeholder="")

    async def _on_key(self, event: Key) -> None:
        if event.key == SUBMIT:
            event.stop()
            event.prevent_default()
            self.post_message(self.Sent(self.text))
        elif event.key in NEW_LINE:
            event.stop()
            event.prevent_default()
            self.insert("\n")
        else:
            await super()._on_key(event)

    def action_go(self, places: int) -> None:
        """Up or down a line; where nothing is typed, whoever listens goes up or down."""
        if not self.text:
            self.post_message(self.Moved(places))
        elif places < 0:
            self.action_cursor_up()
        else:
            self.action_cursor_down()
