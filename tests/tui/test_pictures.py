"""What each screen looks like. A new screen is a line in `SCREENS`; see `pictures`."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from textual.widgets import Collapsible, Input, TextArea

from perstack.cli.first_model import advice_without_any
from perstack.schema.checkpoint import RunError
from perstack.schema.event import (
    Child,
    DelegatesCalled,
    InteractiveToolCalled,
    ReasoningStarted,
    ReasoningStreamed,
    RunStoppedByError,
)
from perstack.schema.expert import ExpertRef
from perstack.schema.usage import Usage
from perstack.tui.advice import Advice
from perstack.tui.menu import Menu
from perstack.tui.picker import Picker
from perstack.tui.session import Choice, Happening, Notice, Rested
from tui.fake_session import RUN, FakeSession, answered, begun, called, completed, tool
from tui.pictures import compare
from tui.screen import opened
from tui.test_untrusted_text import EVIL, FENCED, LINKS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

    from syrupy.assertion import SnapshotAssertion
    from textual.app import App
    from textual.pilot import Pilot
    from textual.screen import ModalScreen

    from perstack.schema.message import Json

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

USAGE = Usage(input_tokens=12_300, output_tokens=950, total_tokens=13_250, cached_input_tokens=6150)
ANSWER = """\
## What I found

The total was **wrong** in `sum.py`: a loop left out the *last* value.

1. It is mended.
2. The tests pass:

```python
def total(values: list[int]) -> int:
    return sum(values)  # each of them
```

| file | lines |
|---|---|
| sum.py | 2 |
| test_sum.py | 14 |

> See [the guide](https://example.com/guide).
"""
FIELDS: Json = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "title": "Their name"},
        "is_new": {"type": "boolean", "title": "Somebody new"},
        "size": {"enum": ["small", "large"]},
    },
    "required": ["name"],
}
READ = tool("readTextFile", {"path": "sum.py"}, call_id="c1")
LOST = tool("exec", {"command": "pytest", "args": ["-q", "tests"]}, call_id="c2")
EDIT = tool(
    "editTextFile",
    {"path": "sum.py", "oldText": "a\nfor b in c:\n    d\n", "newText": "a\nreturn sum(c)\n"},
    call_id="c3",
)
ASKED = tool(
    "askUser",
    {"question": "Which of the two?", "choices": ["Mend the loop", "Use sum()"]},
    call_id="q1",
    skill="person",
)
FORM = tool("askUser", {"question": "Who is it for?", "form": FIELDS}, call_id="q1", skill="person")
WRITER = Child(
    tool_call_id="d1",
    run_id="run-2",
    expert=ExpertRef(key="writer", name="writer", version="1.0.0"),
)
READER = Child(
    tool_call_id="d2",
    run_id="run-3",
    expert=ExpertRef(key="reader", name="reader", version="1.0.0"),
)
TO_WRITER = tool("writer", {"query": "Write it down."}, call_id="d1", skill="@perstack/delegate")
TO_READER = tool("reader", {"query": "Read it again."}, call_id="d2", skill="@perstack/delegate")

SCREENS: dict[str, list[Happening]] = {
    "empty": [Rested(None)],
    "conversation": [
        *begun("Why is the total wrong?"),
        called(READ, LOST, EDIT, thinking="Look first.", usage=USAGE, window=53_000),
        answered(READ, "for b in c:"),
        answered(LOST, "exit status 1: no module named tests", is_error=True),
        answered(EDIT, "done"),
        completed(ANSWER),
        Rested("completed"),
    ],
    "thinking": [
        *begun("Why is the total wrong?"),
        ReasoningStarted(run_id=RUN),
        ReasoningStreamed(
            run_id=RUN, delta="The loop ends *early*. Perhaps the\n\n- first\n- last"
        ),
    ],
    "question": [
        *begun("Choose."),
        called(ASKED, text="There are two ways.", usage=USAGE, window=53_000),
        InteractiveToolCalled(run_id=RUN),
        Rested("stoppedByInteractiveTool", (ASKED,)),
    ],
    "form": [
        *begun("Choose."),
        called(FORM),
        InteractiveToolCalled(run_id=RUN),
        Rested("stoppedByInteractiveTool", (FORM,)),
    ],
    "delegates": [
        *begun("Have it done."),
        called(TO_WRITER, TO_READER, usage=USAGE, window=53_000),
        DelegatesCalled(run_id=RUN, children=(WRITER, READER)),
        called(READ, run_id="run-2"),
        answered(READ, "text", run_id="run-2"),
        called(LOST, run_id="run-3"),
    ],
    "stopped": [
        Notice("warning: nobody knows the model model-9"),
        *begun("Try."),
        called(READ, usage=USAGE, window=53_000),
        RunStoppedByError(
            run_id=RUN,
            error=RunError(name="RateLimited", message="too many requests", is_retryable=True),
        ),
        Rested("stoppedByError", is_interrupted=True),
    ],
    "hostile": [
        *begun(EVIL),
        called(tool(EVIL, {EVIL: EVIL}), text=LINKS),
        completed(FENCED),
        Rested("completed"),
    ],
}
LOOKS = {
    "80x24": ((80, 24), "textual-dark"),
    "80x24-light": ((80, 24), "textual-light"),
    "120x40": ((120, 40), "textual-dark"),
}
CHOICES = (
    Choice("a", "Writes what it is told, in plain words.", "perstack.toml", "writer", "Used last"),
    Choice("b", "Plays a game.", "catalogue", "tic-tac-toe", "Experts"),
    Choice("c", "Makes an Expert out of what you want.", "catalogue", "create-expert", "Experts"),
    Choice("d", "A poem about ducks", "completed, 3 steps, begun today", "writer", "Jobs"),
)
MODELS = (
    Choice("0", "calls tools; context 8,192 tokens", "Ollama at http://127.0.0.1:1", "qwen3:8b"),
    Choice("demo", "A script in a model's place.", "", "no model", "Without a model"),
)
BEFORE: dict[str, Callable[[], ModalScreen[str | None]]] = {
    "choices": lambda: Menu("Which Expert, or which job?", CHOICES),
    "models": lambda: Menu("No key is set, but a model server runs here. Which model?", MODELS),
    "advice": lambda: Advice("No model can be asked yet", advice_without_any()),
}
OVER = {
    "model": ["f2"],
    "back": ["f3"],
    "limit": ["f4"],
    "keys": ["f1"],
    "found": ["ctrl+f", *"total"],
    "marked": ["ctrl+up", "ctrl+up"],
}
"""What is pressed to have something over a conversation, or beside it."""


async def still(app: App[Any], pilot: Pilot[Any], theme: str) -> None:
    """Nothing moves any more, and no cursor blinks."""
    app.theme = theme
    app.animation_level = "none"
    for screen in app.screen_stack:
        for typed in (*screen.query(TextArea), *screen.query(Input)):
            typed.cursor_blink = False
    await pilot.pause(0.2)
    await pilot.pause()


@asynccontextmanager
async def seeing(
    happenings: list[Happening], size: tuple[int, int], theme: str
) -> AsyncGenerator[Pilot[None]]:
    """The workbench once all of it was heard, and nothing moves any more."""
    session = FakeSession()
    async with opened(session, size=size) as pilot:
        session.tell(*happenings)
        while not session.is_heard:
            await pilot.pause(0.02)
        await still(pilot.app, pilot, theme)
        yield pilot


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("screen", SCREENS)
async def test_the_workbench_looks_like_its_picture(
    screen: str, look: str, snapshot: SnapshotAssertion, tmp_path: Path
) -> None:
    async with seeing(SCREENS[screen], *LOOKS[look]) as pilot:
        compare(pilot.app, snapshot, tmp_path)


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("screen", BEFORE)
async def test_what_is_asked_before_looks_like_its_picture(
    screen: str, look: str, snapshot: SnapshotAssertion, tmp_path: Path
) -> None:
    size, theme = LOOKS[look]
    app = Picker(BEFORE[screen]())
    async with app.run_test(size=size) as pilot:
        await still(app, pilot, theme)
        compare(app, snapshot, tmp_path)


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("screen", OVER)
async def test_what_stands_over_it_looks_like_its_picture(
    screen: str, look: str, snapshot: SnapshotAssertion, tmp_path: Path
) -> None:
    async with seeing(SCREENS["conversation"], *LOOKS[look]) as pilot:
        await pilot.press(*OVER[screen])
        await still(pilot.app, pilot, LOOKS[look][1])
        compare(pilot.app, snapshot, tmp_path)


async def test_what_is_open_looks_like_its_picture(
    snapshot: SnapshotAssertion, tmp_path: Path
) -> None:
    told = [*SCREENS["conversation"][:-2], Rested("completed")]
    async with seeing(told, (80, 40), "textual-dark") as pilot:
        for fold in pilot.app.query(Collapsible):
            fold.collapsed = False
        await still(pilot.app, pilot, "textual-dark")
        compare(pilot.app, snapshot, tmp_path)
