"""What a person would see: the characters of the screen, and what is sent to the terminal."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from perstack.tui.app import Workbench
from perstack.tui.session import Notice
from tui.fake_session import FakeSession, workbench

if TYPE_CHECKING:
    from textual.app import App
    from textual.pilot import Pilot
    from textual.strip import Strip


def strips(app: App[Any]) -> list[Strip]:
    return app.screen._compositor.render_strips()  # no public way to the lines


def lines(app: App[Any]) -> list[str]:
    return [strip.text.rstrip() for strip in strips(app)]


def seen(app: App[Any]) -> str:
    return "\n".join(lines(app))


def sent(app: App[Any]) -> str:
    """The same lines with their escape sequences, as the terminal gets them."""
    from rich.console import Console

    console = Console(force_terminal=True, color_system="truecolor")
    return "\n".join(strip.render(console) for strip in strips(app))


def background_of(words: str, app: App[Any]) -> object:
    """The colour behind the words."""
    strip = next(strip for strip in strips(app) if words in strip.text)
    segment = next(segment for segment in strip if words in segment.text)
    return segment.style.bgcolor if segment.style is not None else None


async def until(pilot: Pilot[None], text: str) -> str:
    """Wait until the screen shows `text`; the test's own time limit ends a wait in vain."""
    while text not in (shown := seen(pilot.app)):
        await pilot.pause(0.02)
    return shown


async def until_gone(pilot: Pilot[None], text: str) -> str:
    """Wait until the screen does not show `text`."""
    while text in (shown := seen(pilot.app)):
        await pilot.pause(0.02)
    return shown


@asynccontextmanager
async def opened(
    session: FakeSession, kept: int = 300, size: tuple[int, int] = (100, 40)
) -> AsyncGenerator[Pilot[None]]:
    try:
        async with workbench(session, kept).run_test(size=size, notifications=True) as pilot:
            yield pilot
    finally:
        session.end()


def the_app(pilot: Pilot[None]) -> Workbench:
    assert isinstance(pilot.app, Workbench)
    return pilot.app


async def settled(pilot: Pilot[None]) -> None:
    """Wait until everything that was told is shown: a notice behind it is."""
    session = the_app(pilot)._session
    assert isinstance(session, FakeSession)
    session.tell(Notice("that was all"))
    await until(pilot, "that was all")
    while not session.is_heard:
        await pilot.pause(0.02)
