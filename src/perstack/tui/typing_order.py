"""Keys that change a line, done in the order in which they were pressed."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual.widgets import Input

if TYPE_CHECKING:
    from textual.app import App
    from textual.events import Key
    from textual.widget import Widget


async def is_done(widget: Widget, event: Key) -> bool:
    """Whether the key is one of the widget's own bindings, which is then carried out.

    Textual does so once the key has come up to the app, behind what was typed after it: where
    several keys come at once, as over a slow connection, a backspace would take away a
    character that was typed later.
    """
    if event.is_printable:
        return False
    bound = widget.screen.active_bindings.get(event.key)
    if bound is None or bound.node is not widget or not bound.enabled:
        return False
    app = cast("App[object]", widget.app)  # pyright: ignore[reportUnknownMemberType] - nobody knows what it ends with
    if not await app.run_action(bound.binding.action, widget):
        return False
    event.stop()
    event.prevent_default()
    return True


class Line(Input):
    """One line that is typed into."""

    async def _on_key(self, event: Key) -> None:
        if not await is_done(self, event):
            await super()._on_key(event)
