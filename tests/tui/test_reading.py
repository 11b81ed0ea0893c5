"""Going through what was said: marking, copying, finding; and the help."""

from __future__ import annotations

import pytest
from textual.widgets import Footer, Input, Static

from perstack.schema.event import (
    Child,
    DelegatesCalled,
    RunResultCompleted,
    RunResultStarted,
    RunResultStreamed,
)
from perstack.schema.expert import ExpertRef
from perstack.tui.help import Help
from perstack.tui.keys import TABLE
from perstack.tui.parts import Thought, ToolLine
from perstack.tui.prose import Prose
from perstack.tui.run_block import RunBlock
from perstack.tui.session import Happening, Notice, Rested
from tui.fake_session import RUN, FakeSession, answered, begun, called, completed, tool
from tui.screen import background_of, lines, opened, seen, settled, the_app, until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

READ = tool("readTextFile", {"path": "a.txt"})
WRITER = ExpertRef(key="writer", name="writer", version="1.0.0")


def told() -> list[Happening]:
    """A run whose words stand in folds: a thought, a result, a delegate that is done."""
    return [
        *begun("What is it?"),
        called(READ, thinking="Deep down.", text="I **will** read."),
        answered(READ, "The file says mumble."),
        DelegatesCalled(run_id=RUN, children=(Child(tool_call_id="d", run_id="w", expert=WRITER),)),
        called(tool("exec", {"command": "ls", "args": []}, call_id="x"), run_id="w"),
        completed("Hidden in the delegate.", run_id="w"),
        completed("It is *this*."),
        Rested("completed"),
    ]


async def test_without_a_mark_what_the_expert_said_last_is_copied_as_it_was_written() -> None:
    session = FakeSession()
    async with opened(session) as pilot:
        await pilot.press("ctrl+y")
        await until(pilot, "Nothing to copy yet.")
        session.tell(*told())
        await until(pilot, "It is this.")
        await pilot.press("ctrl+y")

        assert pilot.app.clipboard == "It is *this*."
        await until(pilot, "Copied 13 characters.")


async def test_what_was_streamed_is_copied_as_it_came() -> None:
    session = FakeSession()
    text = "A *b*\u200b c\n\td"
    async with opened(session) as pilot:
        session.tell(*begun(), RunResultStarted(run_id=RUN))
        session.tell(*(RunResultStreamed(run_id=RUN, delta=piece) for piece in text))
        session.tell(RunResultCompleted(run_id=RUN, text=text), completed(text))
        await settled(pilot)
        await pilot.press("ctrl+y")

        assert pilot.app.clipboard == text


async def test_what_a_terminal_would_act_on_is_not_copied() -> None:
    session = FakeSession()
    async with opened(session) as pilot:
        session.tell(*begun(), completed("a\x1b[2Jb\r\nc\x07\x9bd\re\tf\x00\x7f"))
        await settled(pilot)
        await pilot.press("ctrl+y")

        assert pilot.app.clipboard == "a[2Jb\ncd\ne\tf"


async def test_the_mark_goes_from_part_to_part_and_ends_behind_the_newest() -> None:
    session = FakeSession()
    copied: list[str] = []
    async with opened(session) as pilot:
        session.tell(*told())
        await until(pilot, "It is this.")
        for _ in range(7):
            await pilot.press("ctrl+up", "ctrl+y")
            copied.append(pilot.app.clipboard)

        assert copied == [
            "It is *this*.",
            "writer: ",
            "readTextFile\npath: a.txt\n\nThe file says mumble.",
            "I **will** read.",
            "Deep down.",
            "What is it?",
            "What is it?",
        ]
        await pilot.press("ctrl+down", "ctrl+y")
        assert pilot.app.clipboard == "Deep down."
        await pilot.press(*["ctrl+down"] * 5)

        assert the_app(pilot).marker.marked is None


async def test_the_mark_is_in_sight_and_the_newest_is_followed_behind_it() -> None:
    session = FakeSession()
    async with opened(session, size=(80, 24)) as pilot:
        session.tell(*(Notice(f"notice {number}.") for number in range(40)))
        await until(pilot, "notice 39.")
        await pilot.press(*["ctrl+up"] * 35)
        await until(pilot, "notice 5.")
        session.tell(Notice("the newest"))
        await pilot.pause(0.2)
        assert "the newest" not in seen(pilot.app)
        await pilot.press("ctrl+end")
        await until(pilot, "the newest")

        assert the_app(pilot).marker.marked is None


@pytest.mark.parametrize("theme", ["textual-light", "textual-dark", "ansi-light", "ansi-dark"])
async def test_the_mark_is_seen_in_every_theme(theme: str) -> None:
    session = FakeSession()
    async with opened(session) as pilot:
        pilot.app.theme = theme
        session.tell(Notice("one of them"), Notice("another"))
        await settled(pilot)
        await pilot.press("ctrl+up", "ctrl+up")
        await pilot.pause()

        one, other = (background_of(words, pilot.app) for words in ("one of them", "another"))
        assert one != other


async def test_whoever_sends_something_is_taken_to_the_newest() -> None:
    session = FakeSession()
    async with opened(session, size=(80, 24)) as pilot:
        session.tell(*(Notice(f"notice {number}.") for number in range(40)))
        await until(pilot, "notice 39.")
        await pilot.press("pageup", "pageup")
        await pilot.pause(0.5)
        assert "notice 39." not in seen(pilot.app)
        await pilot.press(*"on", "enter")

        await until(pilot, "notice 39.")


async def test_whoever_opens_a_fold_with_the_mouse_types_on() -> None:
    session = FakeSession()
    async with opened(session) as pilot:
        await pilot.press(*"so f")
        session.tell(*told())
        await until(pilot, "It is this.")
        await pilot.click(pilot.app.query_one(ToolLine), offset=(3, 0))
        await until(pilot, "mumble")
        await pilot.press(*"ar")

        assert the_app(pilot).prompt.text == "so far"


async def test_a_mark_on_a_part_that_made_room_is_none() -> None:
    session = FakeSession()
    async with opened(session, kept=5) as pilot:
        session.tell(Notice("the oldest"))
        await until(pilot, "the oldest")
        await pilot.press("ctrl+up")
        session.tell(*(Notice(f"notice {number}.") for number in range(10)))
        while not session.is_heard:
            await pilot.pause(0.02)

        assert the_app(pilot).marker.marked is None
        await pilot.press("ctrl+up", "ctrl+y")
        assert pilot.app.clipboard == "notice 9."


@pytest.mark.parametrize(
    ("words", "kind"),
    [("DEEP", Thought), ("mumble", ToolLine), ("i will read", Prose), ("the dele", Prose)],
)
async def test_what_is_found_is_marked_and_its_folds_are_open(words: str, kind: type) -> None:
    session = FakeSession()
    async with opened(session) as pilot:
        session.tell(*told())
        await until(pilot, "It is this.")
        await pilot.press("ctrl+f", *words)
        await until(pilot, "1 of 1")
        await pilot.pause()

        marked = the_app(pilot).marker.marked
        assert marked is not None
        assert isinstance(marked, kind)
        assert marked.has_class("-marked")
        assert words in seen(pilot.app).casefold().partition("find")[0] or kind is Thought
        if words == "the dele":
            assert not pilot.app.query_one(RunBlock).collapsed


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
async def test_the_search_goes_on_and_back_and_round(size: tuple[int, int]) -> None:
    session = FakeSession()
    async with opened(session, size=size) as pilot:
        session.tell(*(Notice(f"notice {number}.") for number in range(120)))
        await until(pilot, "notice 119.")
        await pilot.press("ctrl+f", *"e 1")
        await until(pilot, "31 of 31")
        await pilot.press("enter")
        await until(pilot, "1 of 31")
        assert "notice 1." in await until(pilot, "notice 1.")
        await pilot.press("down")
        await until(pilot, "2 of 31")
        await until(pilot, "notice 10.")
        await pilot.press("up", "up")
        await until(pilot, "31 of 31")
        await pilot.press(*"xyz")

        await until(pilot, "nothing")
        assert the_app(pilot).marker.marked is None


async def test_words_far_down_in_a_long_part_are_in_sight() -> None:
    session = FakeSession()
    paragraphs = "\n\n".join(f"This is paragraph {number}." for number in range(60))
    async with opened(session, size=(80, 24)) as pilot:
        session.tell(*begun("word " * 700 + "needle " + "word " * 50), completed(paragraphs))
        await until(pilot, "paragraph 59")
        await pilot.press("ctrl+f", *"graph 23.")
        await until(pilot, "This is paragraph 23.")
        await pilot.press(*["backspace"] * 9, *"needle")

        await until(pilot, "word needle word")


async def test_escape_ends_the_search_and_not_the_job() -> None:
    session = FakeSession()
    async with opened(session) as pilot:
        await pilot.press(*"draft")
        session.tell(*begun())
        await until(pilot, "● running")
        await pilot.press("ctrl+f", *"it", "escape")
        await pilot.pause()
        assert session.given == []
        assert the_app(pilot).prompt.has_focus
        assert the_app(pilot).prompt.text == "draft"
        await pilot.press("escape")

        assert session.given == [("stop",)]


async def test_what_was_looked_for_is_typed_over_by_the_next_search() -> None:
    session = FakeSession()
    async with opened(session) as pilot:
        await pilot.press("ctrl+f", *"one", "escape", "ctrl+f", *"two")

        assert the_app(pilot).search.query_one(Input).value == "two"


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
@pytest.mark.parametrize("key", ["escape", "f1", "ctrl+c"])
async def test_the_help_shows_every_key_and_any_job_goes_on(
    size: tuple[int, int], key: str
) -> None:
    session = FakeSession()
    async with opened(session, size=size) as pilot:
        session.tell(*begun())
        await until(pilot, "● running")
        await pilot.press("f1")
        await pilot.pause()
        assert isinstance(pilot.app.screen, Help)
        shown = " ".join(str(words.visual) for words in pilot.app.screen.query(Static))
        for each in TABLE:
            assert each.shown in shown
            assert each.does in shown
        assert "send what was typed" in seen(pilot.app)
        await pilot.press(key)
        await pilot.pause()

        assert not isinstance(pilot.app.screen, Help)
        assert session.given == []


async def test_ctrl_q_quits_over_the_help_too() -> None:
    session = FakeSession()
    async with opened(session) as pilot:
        await pilot.press("f1", "ctrl+q")
    assert pilot.app.return_code == 0


async def test_the_footer_fits_into_eighty_columns() -> None:
    session = FakeSession()
    async with opened(session, size=(80, 24)) as pilot:
        await until(pilot, "F1 Keys")
        footer = lines(pilot.app)[-1]

        for key in TABLE:
            if key.footer is not None:
                assert " ".join(key.footer) in footer
        assert pilot.app.query_one(Footer).max_scroll_x == 0
