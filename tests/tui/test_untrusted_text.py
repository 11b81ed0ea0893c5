"""Nothing that a model, a tool or a file says moves, hides or colours what a person sees."""

from __future__ import annotations

import re

import pytest
from textual.widgets import Collapsible

from perstack.schema.checkpoint import RunError
from perstack.schema.event import (
    Child,
    DelegatesCalled,
    InteractiveToolCalled,
    ReasoningStarted,
    ReasoningStreamed,
    Retried,
    RunResultStarted,
    RunResultStreamed,
    RunStarted,
    RunStoppedByError,
    SkillConnected,
    SkillStarting,
)
from perstack.schema.expert import ExpertRef
from perstack.tui.advice import Advice
from perstack.tui.app import Workbench
from perstack.tui.menu import Menu
from perstack.tui.picker import Picker
from perstack.tui.prose import Prose
from perstack.tui.session import Choice, Happening, Notice, Rested
from tui.fake_session import RUN, FakeSession, answered, begun, called, completed, tool, workbench
from tui.screen import seen, sent, until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60), pytest.mark.hostile]

EVIL = (
    "\x1b[2J\x1b]52;c;AAAA\x07\x9b31m\r\x08\u202egnp\u200b\u2028 &#27;[31m &#x202e; "
    "[/] [red]loud[/red] [@click=app.quit]here[/]"
)
FENCED = f"```python {EVIL}\nprint('{EVIL}')\n```\n\n| a{EVIL} |\n|---|\n| {EVIL} |\n\n    {EVIL}\n"
LINKS = f"[{EVIL}](https://example.com/{EVIL}) <https://example.com/\x1b> ![{EVIL}](http://x/\x1b)"
SEQUENCES = re.compile("\x1b\\[[0-9;]*m")
UNSAFE = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
)

COPIED_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def spoken() -> dict[str, list[Happening]]:
    """The same evil from everywhere that something can be said."""
    file_call = tool("writeTextFile", {"path": EVIL, "text": EVIL})
    other = tool(EVIL, {EVIL: EVIL, "more": [EVIL]}, skill=EVIL)
    question = tool(EVIL, {EVIL: EVIL}, skill="person")
    offer = tool(EVIL, {EVIL: [EVIL, {"label": EVIL, "description": EVIL}]}, skill="person")
    properties = {
        EVIL: {"title": EVIL, "description": EVIL, "default": EVIL},
        "a": {"enum": [EVIL, {EVIL: EVIL}], "title": EVIL, "default": EVIL},
        "b": {"type": "boolean", "title": EVIL},
    }
    form = tool(EVIL, {"form": {"type": "object", "properties": properties}}, skill="person")
    short = "\x1b[2J[red]loud"
    ref = ExpertRef(key=EVIL, name=EVIL, version=EVIL)
    asked = tool("x", {"query": EVIL}, call_id="d")
    cause = RunError(name=EVIL, message=EVIL, is_retryable=True)
    return {
        "query": [*begun(EVIL)],
        "result": [*begun(), completed(EVIL)],
        "fences and tables": [*begun(), completed(FENCED)],
        "links": [*begun(), completed(LINKS)],
        "stream": [
            *begun(),
            RunResultStarted(run_id=RUN),
            *(RunResultStreamed(run_id=RUN, delta=character) for character in EVIL),
        ],
        "reasoning": [
            *begun(),
            ReasoningStarted(run_id=RUN),
            ReasoningStreamed(run_id=RUN, delta=EVIL),
        ],
        "diff": [*begun(), called(file_call), answered(file_call, EVIL, is_error=True)],
        "tool": [*begun(), called(other, text=EVIL), answered(other, EVIL)],
        "failed tool": [*begun(), called(other), answered(other, EVIL, is_error=True)],
        "question": [
            *begun(),
            called(question),
            InteractiveToolCalled(run_id=RUN),
            Rested("stoppedByInteractiveTool", (question,)),
        ],
        "offer": [Rested("stoppedByInteractiveTool", (offer, question))],
        "form": [Rested("stoppedByInteractiveTool", (form, offer))],
        "answer": [
            *begun(),
            called(question),
            InteractiveToolCalled(run_id=RUN),
            RunStarted(run_id=RUN, tool_results=(answered(question, EVIL).tool_result,)),
        ],
        "skill": [
            SkillStarting(skill_name=short, command=EVIL),
            SkillConnected(skill_name=short),
            SkillStarting(skill_name=EVIL, command=EVIL),
        ],
        "delegates": [
            *begun(),
            called(*(tool("x", {"query": EVIL}, call_id=run_id) for run_id in ("r2", "r3"))),
            DelegatesCalled(
                run_id=RUN,
                children=tuple(
                    Child(tool_call_id=run_id, run_id=run_id, expert=ref) for run_id in ("r2", "r3")
                ),
            ),
        ],
        "delegate": [
            *begun(),
            called(asked),
            DelegatesCalled(
                run_id=RUN, children=(Child(tool_call_id="d", run_id="r2", expert=ref),)
            ),
        ],
        "retry": [*begun(), Retried(run_id=RUN, reason=EVIL, cause=cause)],
        "error": [*begun(), RunStoppedByError(run_id=RUN, error=cause)],
        "notice": [Notice(EVIL)],
    }


@pytest.mark.parametrize("where", spoken())
async def test_what_is_said_is_shown_as_it_stands(where: str) -> None:
    session = FakeSession(EVIL)
    app = workbench(session)
    try:
        async with app.run_test(size=(140, 50), notifications=True) as pilot:
            session.tell(*spoken()[where], Notice("that was all"))
            await until(pilot, "that was all")
            for fold in app.query(Collapsible):
                fold.collapsed = False
            await until(pilot, "[red]loud")

            written = SEQUENCES.sub("", sent(app))
            assert not UNSAFE.search(written)
            assert "\\x1b[2J" in written
            assert app.is_running
    finally:
        session.end()


async def test_it_can_be_found_marked_and_copied_and_acts_nowhere() -> None:
    session = FakeSession()
    app = workbench(session)
    try:
        async with app.run_test(size=(140, 50), notifications=True) as pilot:
            for happenings in spoken().values():
                session.tell(*happenings)
            while not session.is_heard:
                await pilot.pause(0.02)
            await pilot.press("ctrl+f", *"\\x1b[2j")
            await until(pilot, " of ")
            for _ in app.transcript.children:
                await pilot.press("up", "ctrl+y")
                assert not COPIED_UNSAFE.search(app.clipboard)
                assert "[2J" in app.clipboard

            assert not UNSAFE.search(SEQUENCES.sub("", sent(app)))
    finally:
        session.end()


async def test_a_link_opens_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(Workbench, "open_url", lambda _, url, **__: opened.append(url))
    session = FakeSession()
    app = workbench(session)
    try:
        async with app.run_test(size=(80, 20)) as pilot:
            session.tell(*begun(), completed("[here](https://example.com)"))
            await until(pilot, "here")
            prose = app.query_one(Prose)
            for x in range(6):
                await pilot.click(prose, offset=(x, 0))
            await pilot.pause()
    finally:
        session.end()
    assert opened == []


async def test_a_line_end_that_is_cut_in_two_is_one() -> None:
    session = FakeSession()
    app = workbench(session)
    try:
        async with app.run_test(size=(80, 20)) as pilot:
            session.tell(*begun(), RunResultStarted(run_id=RUN))
            session.tell(RunResultStreamed(run_id=RUN, delta="one\r"))
            await until(pilot, "one")
            session.tell(RunResultStreamed(run_id=RUN, delta="\n\r\ntwo"))
            assert "\\r" not in await until(pilot, "two")
    finally:
        session.end()


@pytest.mark.parametrize("kind", ["menu", "advice"])
async def test_what_is_to_be_chosen_is_shown_as_it_stands(kind: str) -> None:
    choices = (Choice("a", EVIL, EVIL, EVIL, EVIL),)
    picker = Picker(Menu(EVIL, choices, EVIL) if kind == "menu" else Advice(EVIL, EVIL))
    async with picker.run_test(size=(200, 20)):
        assert "[red]loud" in seen(picker)
        assert not UNSAFE.search(SEQUENCES.sub("", sent(picker)))
