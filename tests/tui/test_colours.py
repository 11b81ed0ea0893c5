"""Colours that suit the terminal."""

from __future__ import annotations

import pytest
from rich.color import Color

from perstack.tui.colours import theme_for
from perstack.tui.menu import Menu
from perstack.tui.picker import Picker
from perstack.tui.session import Choice
from tui.screen import background_of


def test_of_256_colours_greys_are_chosen() -> None:
    assert theme_for({}, "256") == theme_for({"COLORFGBG": "15;0"}, "256") == "grey"


@pytest.mark.parametrize("colours", ["truecolor", None])
def test_nothing_is_chosen_where_nothing_is_known(colours: str | None) -> None:
    assert theme_for({}, colours) is None
    assert theme_for({"COLORFGBG": "nonsense"}, colours) is None


@pytest.mark.parametrize(
    ("told", "many", "few"),
    [
        ("0;15", "textual-light", "ansi-light"),
        ("0;default;7", "textual-light", "ansi-light"),
        ("15;0", None, "ansi-dark"),
        ("7;8", None, "ansi-dark"),
    ],
)
def test_the_terminal_may_tell_of_its_background(told: str, many: str | None, few: str) -> None:
    assert theme_for({"COLORFGBG": told}, "truecolor") == many
    assert theme_for({"COLORFGBG": told}, "standard") == few


def test_a_terminal_of_sixteen_colours_shows_its_own() -> None:
    assert theme_for({}, "standard") == "ansi-dark"


@pytest.mark.parametrize("chosen", [{"TEXTUAL_THEME": "nord"}, {"NO_COLOR": ""}])
def test_what_a_person_has_chosen_comes_first(chosen: dict[str, str]) -> None:
    assert theme_for({**chosen, "COLORFGBG": "0;15"}, "standard") is None


@pytest.mark.anyio
@pytest.mark.parametrize(
    "theme", ["textual-light", "textual-dark", "grey", "ansi-light", "ansi-dark"]
)
async def test_what_is_chosen_in_a_menu_is_seen_in_every_theme(theme: str) -> None:
    one, other = Choice("1", "", "", "the one"), Choice("2", "", "", "the other")
    app = Picker(Menu("Which?", (one, other)))
    async with app.run_test(size=(80, 24)) as pilot:
        app.theme = theme
        await pilot.pause()

        assert background_of("the one", app) != background_of("the other", app)


@pytest.mark.anyio
async def test_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TEXTUAL_THEME", "NO_COLOR", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLORFGBG", "0;15")

    assert Picker(Menu("Which?", ())).theme == "ansi-light"


@pytest.mark.anyio
async def test_without_colours_it_stands_out_by_its_shade(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    one, other = Choice("1", "", "", "the one"), Choice("2", "", "", "the other")
    app = Picker(Menu("Which?", (one, other)))
    async with app.run_test(size=(80, 24)):
        shades = [_shade(background_of(words, app)) for words in ("the one", "the other")]

    assert shades[0] - shades[1] > 150


def _shade(colour: object) -> int:
    assert isinstance(colour, Color)
    return sum(colour.get_truecolor())
