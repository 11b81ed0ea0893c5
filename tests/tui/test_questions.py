"""Questions: an answer is picked, typed, or filled in."""

from __future__ import annotations

import json

import pytest
from textual.widgets import Checkbox, Input, Select

from perstack.schema.event import InteractiveToolCalled, RunStarted
from perstack.schema.message import Json
from perstack.schema.tool import ToolCall
from perstack.tui.form import FieldRow, Form
from perstack.tui.questions import Choices, Question
from perstack.tui.session import Moving, Notice, Rested
from tui.fake_session import RUN, FakeSession, answered, begun, called, tool
from tui.screen import opened, seen, settled, the_app, until, until_gone

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

SIZES = pytest.mark.parametrize("size", [(80, 24), (200, 50)])
COLOURS: Json = {"question": "Which one?", "options": ["red", "green", "deep blue"]}
FORM: Json = {
    "question": "Who are you?",
    "form": {
        "type": "object",
        "properties": {
            "name": {"type": "string", "title": "Your name"},
            "is_new": {"type": "boolean"},
            "size": {"enum": ["small", "large"]},
            "age": {"type": "integer", "description": "In years"},
        },
        "required": ["name"],
    },
}


def ask(session: FakeSession, *calls: ToolCall) -> None:
    session.tell(*begun(), called(*calls), InteractiveToolCalled(run_id=RUN))
    session.tell(Rested("stoppedByInteractiveTool", calls))


def question(args: Json, call_id: str = "q1") -> ToolCall:
    return tool("askUser", args, call_id=call_id, skill="person")


@SIZES
async def test_the_answers_that_are_offered_are_a_list(size: tuple[int, int]) -> None:
    session = FakeSession()
    async with opened(session, size=size) as pilot:
        ask(session, question(COLOURS))
        shown = await until(pilot, "3 deep blue")

        for told in ("question: Which one?", " 1 red", " 2 green", " 3 deep blue"):
            assert told in shown


async def test_an_answer_is_picked_with_the_arrows_and_enter() -> None:
    session = FakeSession()
    async with opened(session) as pilot:
        ask(session, question(COLOURS))
        await until(pilot, "● waiting")
        await pilot.press("enter")
        assert session.given == [], "nothing was picked yet"
        await pilot.press("down", "down", "down", "up", "enter")

        assert session.given == [("answer", "q1", "green")]


@pytest.mark.parametrize(
    ("typed", "means"), [("3", "deep blue"), ("4", "4"), ("0", "0"), ("teal", "teal"), ("²", "²")]
)
async def test_an_answer_is_picked_by_its_number_and_any_other_text_is_one(
    typed: str, means: str
) -> None:
    session = FakeSession()
    async with opened(session) as pilot:
        ask(session, question(COLOURS))
        await until(pilot, "● waiting")
        await pilot.press(*typed, "enter")

        assert session.given == [("answer", "q1", means)]


async def test_a_number_that_is_itself_an_answer_is_no_place_in_the_list() -> None:
    session = FakeSession()
    async with opened(session) as pilot:
        ask(session, question({"options": ["3", "2", "1"]}))
        await until(pilot, "● waiting")
        await pilot.press("1", "enter")

        assert session.given == [("answer", "q1", "1")]


async def test_an_answer_is_picked_with_the_mouse() -> None:
    session = FakeSession()
    async with opened(session) as pilot:
        ask(session, question(COLOURS))
        await until(pilot, "● waiting")
        await pilot.click(Choices, offset=(5, 2))
        await pilot.pause()

        assert session.given == [("answer", "q1", "deep blue")]
        assert the_app(pilot).prompt.has_focus


async def test_of_several_questions_one_is_asked_after_the_other() -> None:
    session = FakeSession()
    first, second = question(COLOURS), question({"options": ["up", "down"]}, "q2")
    async with opened(session) as pilot:
        ask(session, first, second)
        await until(pilot, "2 down")
        shown = await until(pilot, "Up, Down and Enter")
        assert shown.count("waits for its turn") == 1
        await pilot.click(pilot.app.query(Choices)[1], offset=(5, 0))
        await pilot.press("1", "enter")
        assert session.given == [("answer", "q1", "red")]
        result = answered(first, "red").tool_result
        session.tell(Moving(), RunStarted(run_id=RUN, tool_results=(result,)))
        session.tell(InteractiveToolCalled(run_id=RUN))
        session.tell(Rested("stoppedByInteractiveTool", (second,)))
        await until(pilot, "● waiting")
        await until_gone(pilot, "waits for its turn")
        shown = await until_gone(pilot, "deep blue")
        assert "> red" in shown
        assert len(pilot.app.query(Question)) == 2
        await pilot.press("2", "enter")

        assert session.given[1:] == [("answer", "q2", "down")]


async def test_an_answer_stands_in_its_question_and_nowhere_else() -> None:
    session = FakeSession()
    call = question({"question": "Which one?"})
    async with opened(session) as pilot:
        ask(session, call)
        await until(pilot, "● waiting")
        session.tell(Moving())
        session.tell(RunStarted(run_id=RUN, tool_results=(answered(call, "that").tool_result,)))
        shown = await until(pilot, "> that")

        assert shown.count("> that") == 1
        assert "✓ askUser" in shown


async def test_a_question_that_nobody_answered_is_over() -> None:
    session = FakeSession()
    async with opened(session) as pilot:
        ask(session, question(COLOURS))
        await until(pilot, "● waiting")
        session.tell(Moving(), Rested("completed"))

        await until(pilot, "- askUser")
        await until_gone(pilot, "green")


async def test_a_question_from_before_is_asked_again() -> None:
    session = FakeSession()
    async with opened(session) as pilot:
        session.tell(Rested("stoppedByInteractiveTool", (question(COLOURS),)))

        await until(pilot, "3 deep blue")


async def test_a_question_that_waits_makes_no_room() -> None:
    session = FakeSession()
    async with opened(session, kept=5) as pilot:
        ask(session, question(COLOURS))
        await until(pilot, "● waiting")
        for _ in range(3):
            await settled(pilot)
            session.tell(*begun()[2:], *begun()[2:])
        await settled(pilot)

        assert pilot.app.query(Question)


async def test_a_question_that_made_room_while_the_job_moved_is_shown_again() -> None:
    session = FakeSession()
    async with opened(session, kept=5) as pilot:
        ask(session, question(COLOURS))
        await until(pilot, "● waiting")
        session.tell(Moving(), *(Notice(f"notice {number}.") for number in range(10)))
        await until(pilot, "notice 9.")
        assert not pilot.app.query(Question)
        session.tell(Rested("stoppedByInteractiveTool", (question(COLOURS),)))
        await until(pilot, "2 green")
        await pilot.press("2", "enter")

        assert session.given == [("answer", "q1", "green")]


async def test_a_long_question_is_shown_whole() -> None:
    session = FakeSession()
    async with opened(session) as pilot:
        ask(session, question({"question": "word " * 2000 + "the end"}))
        await until(pilot, "● waiting")

        await until(pilot, "the end")


@SIZES
async def test_a_form_is_filled_in_and_sent_as_json(size: tuple[int, int]) -> None:
    session = FakeSession()
    async with opened(session, size=size) as pilot:
        ask(session, question(FORM))
        shown = await until(pilot, "Your name (needed)")
        assert "question: Who are you?" in shown
        await pilot.press(*"Ada", "tab", "space", "tab")
        pilot.app.query_one(Select).value = 1
        await pilot.press("tab", *"36", "enter")
        await pilot.pause()

        [(_, call_id, text)] = session.given
        assert call_id == "q1"
        assert json.loads(text) == {"name": "Ada", "is_new": True, "size": "large", "age": 36}
        assert "● running" in seen(pilot.app)


async def test_the_first_field_of_a_long_form_is_in_sight() -> None:
    session = FakeSession()
    properties = {f"field {number}": {} for number in range(20)}
    async with opened(session, size=(80, 24)) as pilot:
        ask(session, question({"form": {"type": "object", "properties": properties}}))
        await until(pilot, "field 0")
        await pilot.press(*"typed")

        await until(pilot, "typed")


async def test_a_field_is_chosen_with_the_keyboard() -> None:
    session = FakeSession()
    async with opened(session) as pilot:
        ask(session, question(FORM))
        await until(pilot, "Your name (needed)")
        await pilot.press(*"Ada", "tab", "tab", "enter", "down", "enter", "ctrl+s")
        await pilot.pause()

        [(_, _, text)] = session.given
        assert json.loads(text)["size"] in {"small", "large"}


async def test_esc_closes_the_list_of_a_field_and_nothing_else() -> None:
    session = FakeSession()
    form: Json = {"type": "object", "properties": {"size": {"enum": ["small", "large"]}}}
    async with opened(session) as pilot:
        ask(session, question({"form": form}))
        await until(pilot, "choose")
        await pilot.press("enter")
        await until(pilot, "large")
        await pilot.press("escape")
        shown = await until_gone(pilot, "large")

        assert "Nothing is running" not in shown
        await pilot.press("escape")
        await until(pilot, "Nothing is running")


async def test_bad_values_are_said_beside_their_fields_and_nothing_is_lost() -> None:
    session = FakeSession()
    async with opened(session) as pilot:
        ask(session, question(FORM))
        await until(pilot, "Your name (needed)")
        age = pilot.app.query(Input)[1]
        age.value = "old"
        await pilot.press("ctrl+s")
        shown = await until(pilot, "a whole number is needed here")

        assert session.given == []
        assert "this is needed" in shown
        assert pilot.app.query(Input)[0].has_focus
        await pilot.press(*"Ada")
        age.value = "36"
        await pilot.click("Button")
        await pilot.pause()
        [(_, _, text)] = session.given
        assert json.loads(text) == {"name": "Ada", "is_new": False, "age": 36}


async def test_a_form_can_be_answered_with_any_text_as_well() -> None:
    session = FakeSession()
    async with opened(session) as pilot:
        ask(session, question(FORM))
        await until(pilot, "Your name (needed)")
        await pilot.click(the_app(pilot).prompt)
        await pilot.press(*"no", "enter")

        assert session.given == [("answer", "q1", "no")]


async def test_whoever_types_already_is_not_taken_into_a_form() -> None:
    session = FakeSession()
    async with opened(session) as pilot:
        await pilot.press(*"wait")
        ask(session, question(FORM))
        await until(pilot, "Your name (needed)")

        assert the_app(pilot).prompt.has_focus


async def test_an_answered_form_is_none_any_more_and_the_prompt_has_the_focus() -> None:
    session = FakeSession()
    call = question(FORM)
    async with opened(session) as pilot:
        ask(session, call)
        await until(pilot, "Your name (needed)")
        await pilot.press(*"Ada", "ctrl+s")
        await pilot.pause()
        result = answered(call, session.given[0][2]).tool_result
        session.tell(Moving(), RunStarted(run_id=RUN, tool_results=(result,)))
        await until(pilot, '> {"name": "Ada"')
        await until_gone(pilot, "(needed)")

        assert not pilot.app.query_one(Form).display
        assert the_app(pilot).prompt.has_focus


async def test_defaults_are_filled_in() -> None:
    session = FakeSession()
    properties = {
        "a": {"type": "integer", "default": 5},
        "b": {"type": "boolean", "default": True},
        "c": {"enum": [1, 2], "default": 2},
        "d": {"enum": [1, 2], "default": 3},
    }
    async with opened(session) as pilot:
        ask(session, question({"schema": {"type": "object", "properties": properties}}))
        await until(pilot, "● waiting")
        assert pilot.app.query_one(Checkbox).value
        assert len(pilot.app.query(FieldRow)) == 4
        await pilot.press("ctrl+s")
        await pilot.pause()

        assert json.loads(session.given[0][2]) == {"a": 5, "b": True, "c": 2}


async def test_a_default_that_nobody_changed_is_sent_as_it_is() -> None:
    session = FakeSession()
    defaults = {"lines": "one\ntwo", "long": "x" * 5000, "list": {"a": ["\t", 1]}}
    properties = {
        "lines": {"type": "string", "default": defaults["lines"]},
        "long": {"type": "string", "default": defaults["long"]},
        "list": {"type": "object", "default": defaults["list"]},
        "other": {"type": "string", "default": "one\ntwo"},
    }
    async with opened(session) as pilot:
        ask(session, question({"schema": {"type": "object", "properties": properties}}))
        await until(pilot, "● waiting")
        pilot.app.query_one(Form).query(Input).last().value = "three"
        await pilot.press("ctrl+s")
        await pilot.pause()

        assert json.loads(session.given[0][2]) == {**defaults, "other": "three"}


async def test_a_form_waits_for_whoever_looks_for_something() -> None:
    session = FakeSession()
    async with opened(session) as pilot:
        await pilot.press("ctrl+f", *"fin")
        ask(session, question(FORM))
        await settled(pilot)
        await pilot.press("d")
        assert "find" in seen(pilot.app)
        await pilot.press("escape", *"Ada", "ctrl+s")
        await pilot.pause()

        assert json.loads(session.given[0][2])["name"] == "Ada"
