"""Menus: a list that gets shorter as one types; and the screen that says what to do."""

from __future__ import annotations

import pytest

from perstack.tui.advice import Advice
from perstack.tui.menu import Menu
from perstack.tui.picker import Picker
from perstack.tui.session import Choice
from tui.screen import seen

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]

CHOICES = (
    Choice("expert:writer", "Writes.", "perstack.toml", "writer", "Experts"),
    Choice("expert:tic-tac-toe", "Plays.", "catalogue", "tic-tac-toe", "Experts"),
    Choice("job:1", "Write a poem", "completed", "writer", "Jobs"),
)


def picker(*, takes_text: bool = False) -> Picker:
    return Picker(Menu("Which one?", CHOICES, "A hint.", takes_text=takes_text))


async def test_it_shows_each_choice_and_gives_back_the_one_that_is_picked() -> None:
    app = picker()
    async with app.run_test(size=(80, 24)) as pilot:
        shown = seen(app)
        for choice in CHOICES:
            for told in (choice.name, choice.description, choice.origin, choice.group):
                assert told in shown
        assert "A hint." in shown
        await pilot.press("down", "enter")

    assert app.return_value == "expert:tic-tac-toe"


async def test_what_is_typed_leaves_the_choices_that_have_all_of_it() -> None:
    app = picker()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press(*"WRITER p", "o", "e", "m")
        shown = seen(app)
        assert "Write a poem" in shown
        assert "tic-tac-toe" not in shown
        assert "Writes." not in shown
        await pilot.press("enter")

    assert app.return_value == "job:1"


async def test_a_choice_is_picked_with_the_mouse() -> None:
    app = picker()
    async with app.run_test(size=(80, 24)) as pilot:
        row = next(at for at, line in enumerate(seen(app).splitlines()) if "Plays." in line)
        await pilot.click(offset=(6, row))

    assert app.return_value == "expert:tic-tac-toe"


@pytest.mark.parametrize(("takes_text", "taken"), [(True, "another"), (False, None)])
async def test_text_that_is_in_no_choice_counts_only_where_it_may(
    *, takes_text: bool, taken: str | None
) -> None:
    app = picker(takes_text=takes_text)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press(*"another", "enter", "escape")

    assert app.return_value == taken


@pytest.mark.parametrize("key", ["escape", "ctrl+c", "ctrl+q"])
async def test_it_can_be_left_without_a_choice(key: str) -> None:
    app = picker()
    async with app.run_test() as pilot:
        await pilot.press(key)

    assert app.return_value is None
    assert app.return_code == 0


@pytest.mark.parametrize(("key", "ends_with"), [("enter", "again"), ("escape", None)])
async def test_advice_is_read_and_looked_at_again_or_left(key: str, ends_with: str | None) -> None:
    app = Picker(Advice("No model", "Set [b]KEY[/b]\x1b[31m."))
    async with app.run_test(size=(80, 24)) as pilot:
        assert "Set [b]KEY[/b]\\x1b[31m." in seen(app)
        await pilot.press(key)

    assert app.return_value == ends_with
