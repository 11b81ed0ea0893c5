"""The lines at the bottom of the workbench: its status, and its keys."""

from __future__ import annotations

import pytest

from perstack.tui.menu import Menu
from perstack.tui.picker import Picker
from tui.fake_session import FakeSession, begun
from tui.screen import lines, opened, seen, until


@pytest.mark.anyio
async def test_what_is_not_known_yet_takes_no_room() -> None:
    session = FakeSession()
    async with opened(session, size=(80, 24)) as pilot:
        session.tell(*begun())
        shown = await until(pilot, "● running")

        assert " ● running  helper  model-9  step 1/7  0:00" in shown.splitlines()


@pytest.mark.anyio
async def test_the_keys_keep_their_places_whatever_has_the_focus() -> None:
    async with opened(FakeSession(), size=(80, 24)) as pilot:
        before = (await until(pilot, "F1 Keys")).splitlines()[-1]
        await pilot.press("ctrl+f")
        await pilot.pause(0.1)  # it would be drawn anew by now

        assert lines(pilot.app)[-1] == before
        assert "^Q Quit ^O Fold ^F Find ^Y Copy F2 Model" in " ".join(before.split())


@pytest.mark.anyio
async def test_a_menu_without_a_list_tells_of_no_keys_for_it() -> None:
    app = Picker(Menu("How many?", (), takes_text=True))
    async with app.run_test(size=(80, 24)):
        shown = seen(app)

        assert "type it, then Enter" in shown
        assert "Choose" not in shown
