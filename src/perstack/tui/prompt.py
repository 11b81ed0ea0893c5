"""The line a person types into; it grows with what is typed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.message import Message
from textual.widgets import TextArea

from perstack.tui.keys import NEW_LINE, PLACES, SUBMIT
from perstack.tui.typing_order import is_done

if TYPE_CHECKING:
    from textual.events import Key


class Prompt(TextArea):
    """Enter sends what was typed, also nothing. Pasted line ends stay what they are."""

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

    def give_back(self, text: str) -> None:
        """Put `text` ahead of what was typed since."""
        self.load_text("\n".join(filter(None, (text, self.text))))
        self.move_cursor(self.document.end)

    async def _on_key(self, event: Key) -> None:
        if event.key == SUBMIT:
            event.stop()
            event.prevent_default()
            text = self.text
            self.clear()  # here, so that what is typed behind it stays
            self.post_message(self.Sent(text))
        elif event.key in NEW_LINE:
            event.stop()
            event.prevent_default()
            self.insert("\n")
        elif event.key in PLACES and not self.text:  # here, so that Enter comes after it
            event.stop()
            event.prevent_default()
            self.post_message(self.Moved(PLACES[event.key]))
        elif not await is_done(self, event):
            await super()._on_key(event)
