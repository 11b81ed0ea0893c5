"""The workbench over a session that a test plays."""

from __future__ import annotations

import pytest

from perstack.schema.checkpoint import INTERRUPTED, DelegatedBy, RunError
from perstack.schema.event import (
    Child,
    DelegatesCalled,
    InteractiveToolCalled,
    ReasoningCompleted,
    ReasoningStarted,
    ReasoningStreamed,
    Retried,
    RunCompleted,
    RunResultCompleted,
    RunResultStarted,
    RunResultStreamed,
    RunStarted,
    RunStoppedByDelegate,
    RunStoppedByError,
    TextStreamed,
)
from perstack.schema.expert import ExpertRef
from perstack.schema.tool import DELEGATE_SKILL
from perstack.schema.usage import Usage
from perstack.tui.parts import Thought, Told, ToolLine
from perstack.tui.prose import Prose
from perstack.tui.run_block import RunBlock
from perstack.tui.session import Moving, Notice, Rested
from tui.fake_session import (
    RUN,
    Clock,
    FakeSession,
    answered,
    begun,
    called,
    completed,
    made,
    tool,
    workbench,
)
from tui.screen import lines, opened, seen, settled, the_app, until

pytestmark = [pytest.mark.anyio]


async def test_what_is_typed_first_is_the_query() -> None:
    session = FakeSession()
    async with opened(session) as pilot:
        await pilot.press(*"Hi", "enter")

        assert session.given == [("ask", "Hi")]
        assert the_app(pilot).prompt.text == ""
        assert "● running" in seen(pilot.app)


async def test_an_empty_line_is_no_query() -> None:
    session = FakeSession()
    async with opened(session) as pilot:
        await pilot.press("enter", "space", "enter")

        assert session.given == []


async def test_a_line_end_can_be_typed_and_a_pasted_one_stays() -> None:
    session = FakeSession()
    async with opened(session) as pilot:
        await pilot.press("a", "ctrl+j", "b", "enter")

        assert session.given == [("ask", "a\nb")]


async def test_while_the_job_moves_nothing_is_sent_and_what_was_typed_is_kept() -> None:
    session = FakeSession()
    async with opened(session) as pilot:
        session.tell(*begun())
        await until(pilot, "● running")
        await pilot.press("x", "enter")

        assert session.given == []
        assert the_app(pilot).prompt.text == "x"


async def test_a_query_is_followed_by_its_result() -> None:
    session = FakeSession()
    async with opened(session) as pilot:
        session.tell(*begun("What is it?"), completed("It **is**."), Rested("completed"))
        shown = await until(pilot, "It is.")

        assert "> What is it?" in shown
        await until(pilot, "● ready")


async def test_a_result_is_shown_as_it_comes_and_stands_once() -> None:
    session = FakeSession()
    async with opened(session) as pilot:
        session.tell(*begun(), RunResultStarted(run_id=RUN))
        session.tell(RunResultStreamed(run_id=RUN, delta="One "))
        session.tell(RunResultStreamed(run_id=RUN, delta="*two*"))
        await until(pilot, "One two")
        session.tell(RunResultStreamed(run_id=RUN, delta=" three."))
        session.tell(RunResultCompleted(run_id=RUN, text="One *two* three."))
        session.tell(completed("One *two* three."), Rested("completed"))
        await until(pilot, "● ready")

        assert seen(pilot.app).count("One two three.") == 1


@pytest.mark.parametrize("is_call", [True, False])
async def test_what_is_said_beside_calls_or_in_their_place_comes_in_pieces_too(
    *, is_call: bool
) -> None:
    session = FakeSession()
    async with opened(session) as pilot:
        session.tell(*begun(), TextStreamed(run_id=RUN, delta="\n"))
        session.tell(TextStreamed(run_id=RUN, delta="I *will* "))
        await until(pilot, "I will")
        session.tell(TextStreamed(run_id=RUN, delta="look."))
        text = "\nI *will* look."
        call = tool("readTextFile", {"path": "a.txt"})
        session.tell(called(call, text=text) if is_call else completed(text))
        session.tell(Rested("completed"))
        await until(pilot, "● ready")

        assert seen(pilot.app).count("I will look.") == 1


async def test_what_is_said_in_a_reply_that_failed_is_taken_back() -> None:
    session = FakeSession()
    async with opened(session) as pilot:
        session.tell(*begun(), TextStreamed(run_id=RUN, delta="Half of"))
        await until(pilot, "Half of")
        cause = RunError(name="Overloaded", message="busy", is_retryable=True)
        session.tell(Retried(run_id=RUN, reason="busy", cause=cause))
        shown = await until(pilot, "retry: busy")
        assert "Half of" not in shown


async def test_reasoning_is_open_while_it_comes_and_folded_behind() -> None:
    session = FakeSession()
    async with opened(session) as pilot:
        session.tell(*begun(), ReasoningStarted(run_id=RUN))
        session.tell(ReasoningStreamed(run_id=RUN, delta="I wonder"))
        await until(pilot, "I wonder")
        session.tell(ReasoningCompleted(run_id=RUN, text="I wonder"))
        call = tool("readTextFile", {"path": "a.txt"})
        session.tell(called(call, thinking="I wonder"))
        shown = await until(pilot, "readTextFile")

        assert "I wonder" not in shown
        assert len(pilot.app.query(Thought)) == 1


async def test_thoughts_that_were_not_streamed_are_folded_away() -> None:
    session = FakeSession()
    async with opened(session) as pilot:
        call = tool("readTextFile", {"path": "a.txt"})
        session.tell(*begun(), called(call, thinking="Deep.", text="I will read."))
        shown = await until(pilot, "readTextFile")

        assert "Thought" in shown
        assert "Deep." not in shown
        assert "I will read." in shown


async def test_a_retry_takes_back_what_was_streamed() -> None:
    session = FakeSession()
    async with opened(session) as pilot:
        session.tell(*begun(), RunResultStarted(run_id=RUN))
        session.tell(RunResultStreamed(run_id=RUN, delta="Half a"))
        await until(pilot, "Half a")
        cause = RunError(name="Overloaded", message="busy", is_retryable=True)
        session.tell(Retried(run_id=RUN, reason="busy", cause=cause, wait_ms=1500))
        shown = await until(pilot, "retry: busy (again in 1.5 s)")

        assert "Half a" not in shown


async def test_a_call_is_a_line_that_opens_to_its_arguments_and_result() -> None:
    session = FakeSession()
    call = tool("exec", {"command": "ls", "args": ["-l", "a b"], "cwd": "/here"})
    async with opened(session) as pilot:
        session.tell(*begun(), called(call))
        assert "cwd" not in await until(pilot, "… exec ls -l 'a b'")
        session.tell(answered(call, "total 0"))
        assert "total 0" not in await until(pilot, "✓ exec ls -l 'a b'")
        pilot.app.query_one(ToolLine).collapsed = False
        shown = await until(pilot, "total 0")

        assert "cwd: /here" in shown


async def test_a_call_that_failed_says_so_in_its_line() -> None:
    session = FakeSession()
    call = tool("readTextFile", {"path": "a.txt"})
    async with opened(session) as pilot:
        session.tell(*begun(), called(call), answered(call, "no such file", is_error=True))

        await until(pilot, "✗ readTextFile a.txt  no such file")


async def test_an_edit_is_shown_as_a_diff() -> None:
    session = FakeSession()
    call = tool(
        "editTextFile", {"path": "a.py", "oldText": "same\n--old\n", "newText": "same\nnew\n"}
    )
    async with opened(session) as pilot:
        session.tell(*begun(), called(call), answered(call, "{}"))
        await until(pilot, "✓ editTextFile a.py")

        shown = [line.strip() for line in lines(pilot.app)]
        at = shown.index("same")
        assert shown[at + 1 : at + 3] == ["---old", "+new"]


async def test_a_finished_completion_call_is_no_line_but_a_refused_one_is() -> None:
    session = FakeSession()
    call = tool("attemptCompletion", {})
    async with opened(session) as pilot:
        session.tell(*begun(), called(call))
        await settled(pilot)
        assert not pilot.app.query(ToolLine)
        session.tell(answered(call, "todos are open", is_error=True))

        await until(pilot, "✗ attemptCompletion")


async def test_a_delegate_is_a_block_that_holds_what_its_run_does() -> None:
    session = FakeSession()
    asked = tool("writer", {"query": "Write!"}, call_id="d1", skill=DELEGATE_SKILL)
    ref = ExpertRef(key="writer", name="writer", version="1.0.0")
    by = DelegatedBy(
        expert=ref, tool_call_id="d1", tool_name="writer", checkpoint_id="c", run_id=RUN
    )
    call = tool("readTextFile", {"path": "draft.txt"}, call_id="c2")
    async with opened(session) as pilot:
        session.tell(*begun(), called(asked))
        child = Child(tool_call_id="d1", run_id="run-2", expert=ref)
        session.tell(DelegatesCalled(run_id=RUN, children=(child,)))
        session.tell(RunStoppedByDelegate(run_id=RUN))
        await until(pilot, "writer asked  Write!")
        session.tell(RunStarted(run_id="run-2", expert_key="writer", delegated_by=by))
        session.tell(called(call, run_id="run-2"), answered(call, "x", run_id="run-2"))
        await until(pilot, "readTextFile draft.txt")
        block = pilot.app.query_one(RunBlock)
        assert "writer running" in seen(pilot.app)
        assert block.query(ToolLine)
        session.tell(completed("Written.", "run-2"))
        shown = await until(pilot, "writer done")

        assert "readTextFile" not in shown, "what ended well is folded"
        assert [prose.source for prose in block.query(Prose)] == ["Written."]


async def test_a_delegate_that_fails_says_why_and_stays_open() -> None:
    session = FakeSession()
    ref = ExpertRef(key="writer", name="writer", version="1.0.0")
    async with opened(session) as pilot:
        child = Child(tool_call_id="d1", run_id="run-2", expert=ref)
        session.tell(*begun(), DelegatesCalled(run_id=RUN, children=(child,)))
        error = RunError(name="Refused", message="not today", is_retryable=False)
        session.tell(RunStoppedByError(run_id="run-2", error=error))
        shown = await until(pilot, "writer stopped")

        assert "stopped by Refused: not today" in shown


async def test_a_question_is_shown_and_the_next_line_answers_it() -> None:
    session = FakeSession()
    call = tool("askUser", {"question": "Which one?"}, call_id="q1", skill="person")
    async with opened(session) as pilot:
        session.tell(*begun(), called(call), InteractiveToolCalled(run_id=RUN))
        session.tell(Rested("stoppedByInteractiveTool", (call,)))
        await until(pilot, "● waiting")
        shown = await until(pilot, "question: Which one?")
        assert "? askUser" in shown
        assert "answer askUser" in shown
        await pilot.press(*"that", "enter")

        assert session.given == [("answer", "q1", "that")]
        assert "● running" in seen(pilot.app)


async def test_an_answer_that_was_given_stands_in_the_transcript() -> None:
    session = FakeSession()
    call = tool("askUser", {"question": "Which one?"}, call_id="q1", skill="person")
    async with opened(session) as pilot:
        session.tell(*begun(), called(call), InteractiveToolCalled(run_id=RUN))
        result = answered(call, "that one").tool_result
        session.tell(RunStarted(run_id=RUN, tool_results=(result,)))

        await until(pilot, "> that one")


@pytest.mark.parametrize("key", ["escape", "ctrl+c"])
async def test_a_key_stops_the_job_once_and_enter_alone_carries_it_on(key: str) -> None:
    session = FakeSession()
    async with opened(session) as pilot:
        session.tell(*begun())
        await until(pilot, "● running")
        await pilot.press(key, key)
        assert session.given == [("stop",)]
        assert "● stopping" in seen(pilot.app)
        session.tell(Rested("stoppedByError", is_interrupted=True))
        assert "Enter alone carries on" in await until(pilot, "● stopped")
        await pilot.press("enter")

        assert session.given == [("stop",), ("carry on",)]


async def test_after_a_stop_the_job_goes_on_with_the_next_query() -> None:
    session = FakeSession()
    async with opened(session) as pilot:
        session.tell(Moving(), Rested("stoppedByError", is_interrupted=True))
        await until(pilot, "● stopped")
        await pilot.press(*"on", "enter")

        assert session.given == [("ask", "on")]


async def test_a_stop_of_nothing_tells_how_to_quit() -> None:
    session = FakeSession()
    async with opened(session) as pilot:
        await pilot.press("ctrl+c")

        await until(pilot, "Ctrl-Q quits")
        assert session.given == []


async def test_ctrl_q_ends_the_app_and_so_does_the_end_of_the_session() -> None:
    session = FakeSession()
    app = workbench(session)
    async with app.run_test() as pilot:
        await pilot.press("ctrl+q")
    assert app.return_code == 0
    session.end()

    session = FakeSession()
    app = workbench(session)
    async with app.run_test() as pilot:
        session._events.close()
        while app.is_running:
            await pilot.pause(0.02)
    assert app.return_code == 0
    session.end()


async def test_the_status_bar_tells_model_steps_tokens_context_and_time() -> None:
    session = FakeSession()
    usage = Usage(
        input_tokens=12_300, output_tokens=950, total_tokens=13_250, cached_input_tokens=6150
    )
    call = tool("readTextFile", {"path": "a.txt"})
    async with opened(session) as pilot:
        session.tell(*begun(), called(call, usage=usage, window=53_000))
        shown = await until(pilot, "12.3k")
        for told in ("helper", "model-9", "step 1/7", "in 12.3k (50% cached)", "out 950"):
            assert told in shown
        assert "context 25%" in shown
        assert "$0.0132" in shown
        clock = the_app(pilot)._clock
        assert isinstance(clock, Clock)
        clock.ms = 83_000
        await until(pilot, "1:23")


async def test_the_status_bar_is_whole_on_a_narrow_terminal() -> None:
    session = FakeSession()
    usage = Usage(input_tokens=12_300, output_tokens=950, total_tokens=13_250)
    async with opened(session, size=(80, 24)) as pilot:
        session.tell(*begun(), called(usage=usage, window=53_000))
        await until(pilot, "12.3k")
        shown = " ".join((await until(pilot, "0:00")).split())

        assert (
            "● running helper model-9 step 1/7 in 12.3k out 950 context 25% $0.0132 0:00" in shown
        )


async def test_the_status_bar_never_takes_an_unknown_cost_for_none() -> None:
    session = FakeSession()
    async with opened(session) as pilot:
        session.tell(*begun())
        shown = await until(pilot, "step 1")
        assert "cost" not in shown
        session.tell(made("nobodys"), called(usage=Usage(output_tokens=5, total_tokens=5)))
        await until(pilot, "unknown cost")


async def test_a_long_transcript_lets_its_oldest_parts_go_and_says_so() -> None:
    session = FakeSession()
    async with opened(session, kept=10) as pilot:
        session.tell(*(Notice(f"notice {number}") for number in range(25)))
        await settled(pilot)
        assert len(pilot.app.query(Told)) == 10
        assert not any("notice 9" in line for line in lines(pilot.app))
        await pilot.press("pageup", "pageup")

        await until(pilot, "16 earlier parts are not shown here")


async def test_a_delegate_at_work_outlives_its_oldest_parts() -> None:
    session = FakeSession()
    ref = ExpertRef(key="writer", name="writer", version="1.0.0")
    async with opened(session, kept=5) as pilot:
        child = Child(tool_call_id="d1", run_id="run-2", expert=ref)
        session.tell(*begun(), DelegatesCalled(run_id=RUN, children=(child,)))
        for number in range(12):
            call = tool("exec", {"command": f"n{number}", "args": []}, call_id=f"c{number}")
            session.tell(called(call, run_id="run-2"), answered(call, "", run_id="run-2"))
        await settled(pilot)

        block = pilot.app.query_one(RunBlock)
        assert [line.call.id for line in block.query(ToolLine)] == ["c9", "c10", "c11"]


async def test_deltas_are_drawn_together() -> None:
    session = FakeSession()
    async with opened(session) as pilot:
        session.tell(*begun(), RunResultStarted(run_id=RUN))
        session.tell(*(RunResultStreamed(run_id=RUN, delta=f"w{n} ") for n in range(2000)))
        session.tell(RunResultCompleted(run_id=RUN, text=""), RunCompleted(run_id=RUN))
        await until(pilot, "w1999")

        prose = pilot.app.query_one(Prose)
        assert prose.source == "".join(f"w{n} " for n in range(2000))


async def test_whoever_scrolled_up_stays_there_until_they_ask_for_the_newest() -> None:
    session = FakeSession()
    async with opened(session, size=(80, 12)) as pilot:
        session.tell(*(Notice(f"notice {number}.") for number in range(30)))
        await until(pilot, "notice 29.")
        await pilot.press("pageup", "pageup")
        await pilot.pause(0.5)
        session.tell(Notice("the newest"))
        await pilot.pause(0.2)
        assert "the newest" not in seen(pilot.app)
        await pilot.press("ctrl+end")

        await until(pilot, "the newest")


async def test_everything_folds_and_opens_with_one_key() -> None:
    session = FakeSession()
    call = tool("readTextFile", {"path": "a.txt"})
    async with opened(session) as pilot:
        session.tell(*begun(), called(call), answered(call, "the content"))
        await until(pilot, "✓ readTextFile")
        await pilot.press("ctrl+o")
        await until(pilot, "the content")
        await pilot.press("ctrl+o")
        await pilot.pause()

        assert pilot.app.query_one(ToolLine).collapsed


async def test_what_could_not_be_sent_comes_back_ahead_of_what_was_typed_since() -> None:
    session = FakeSession()
    async with opened(session) as pilot:
        session.tell(Rested(None))
        await settled(pilot)
        await pilot.press(*"new")
        session.tell(Rested(None, unsent="old"))
        await settled(pilot)
        await pilot.press("!", "enter")

    assert session.given == [("ask", "old\nnew!")]


async def test_what_is_typed_right_behind_enter_stays_and_what_cannot_be_sent_comes_back() -> None:
    session = FakeSession()
    async with opened(session) as pilot:
        session.tell(Rested(None))
        await pilot.press(*"Go", "enter", *"on")
        assert session.given == [("ask", "Go")]
        assert the_app(pilot).prompt.text == "on"
        session.tell(*begun("Go"))
        await until(pilot, "step 1")
        await pilot.press("enter")
        await pilot.pause()

        assert session.given == [("ask", "Go")]
        assert the_app(pilot).prompt.text == "on"


async def test_a_stop_of_ones_own_is_no_error() -> None:
    session = FakeSession()
    async with opened(session) as pilot:
        error = RunError(name=INTERRUPTED, message="from outside", is_retryable=True)
        session.tell(*begun(), RunStoppedByError(run_id=RUN, error=error))
        session.tell(Rested("stoppedByError", is_interrupted=True))
        shown = await until(pilot, "● stopped")

        assert "from outside" not in shown
        assert "Enter alone carries on" in shown
