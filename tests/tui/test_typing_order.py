"""Keys that come all at once, as over a slow connection or from a program that types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from textual import events

from perstack.tui.menu import Menu
from perstack.tui.picker import Picker
from tui.fake_session import FakeSession
from tui.screen import opened, the_app

if TYPE_CHECKING:
    from textual.app import App

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]

KEYS = [*"hal", "backspace", "backspace", *"ello", "home", "delete", *"J", "end", *"!"]


def press_at_once(app: App[Any], keys: list[str]) -> None:
    for key in keys:
        app.post_message(events.Key(key, key if len(key) == 1 else None))


async def test_a_query_is_what_was_typed_in_its_order() -> None:
    session = FakeSession()
    async with opened(session) as pilot:
        press_at_once(the_app(pilot), [*KEYS, "enter"])
        while not session.given:
            await pilot.pause(0.02)

        assert session.given == [("ask", "Jello!")]


async def test_so_is_a_line_of_a_menu() -> None:
    app = Picker(Menu("Which model?", (), takes_text=True))
    async with app.run_test(size=(80, 24)) as pilot:
        press_at_once(app, [*KEYS, "enter"])
        while app.return_value is None:
            await pilot.pause(0.02)

    assert app.return_value == "Jello!"
