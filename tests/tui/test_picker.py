"""The list of Experts to pick one from."""

from __future__ import annotations

import pytest

from perstack.tui.picker import Picker
from perstack.tui.session import Choice
from tui.screen import seen

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]

CHOICES = (
    Choice("writer", "Writes.", "perstack.toml"),
    Choice("tic-tac-toe", "Plays.", "catalogue"),
)


async def test_the_picker_shows_each_expert_and_gives_back_the_one_that_is_picked() -> None:
    picker = Picker(CHOICES)
    async with picker.run_test(size=(80, 20)) as pilot:
        shown = seen(picker)
        for told in ("writer", "Writes.", "perstack.toml", "tic-tac-toe", "Plays.", "catalogue"):
            assert told in shown
        await pilot.press("down", "enter")

    assert picker.return_value == "tic-tac-toe"


@pytest.mark.parametrize("key", ["escape", "ctrl+c", "ctrl+q"])
async def test_the_picker_can_be_left_without_a_choice(key: str) -> None:
    picker = Picker(CHOICES)
    async with picker.run_test() as pilot:
        await pilot.press(key)

    assert picker.return_value is None
    assert picker.return_code == 0
