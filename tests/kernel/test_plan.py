"""What a run owes next, for every state it can be in."""

from __future__ import annotations

import pytest

from kernel.playbook import (
    INTERRUPTION,
    answers,
    asked,
    begins,
    begun,
    call,
    delegates,
    owes,
    play,
    reply,
    returns,
    shown,
)
from perstack.kernel.apply import NOT_MADE
from perstack.kernel.command import AnswerCall, Limits
from perstack.kernel.plan import READ_FIRST, pending_questions, plan
from perstack.kernel.state import blank
from perstack.schema.checkpoint import RunError
from perstack.schema.event import (
    AllToolCallsFinished,
    CompletionAttempted,
    GenerationStarted,
    InteractiveToolCalled,
    Retried,
    RunCompleted,
    RunStoppedByDelegate,
    RunStoppedByError,
    RunStoppedByExceededMaxSteps,
    RunStoppedByInteractiveTool,
    StepContinued,
    ToolCallFinished,
    ToolCallsResumed,
    ToolResultsResolved,
)
from perstack.schema.message import user_message
from perstack.schema.tool import OUTCOME_UNKNOWN

NO_STEPS = Limits(steps_left=0)
TROUBLE = RunError(name="overloaded_error", message="busy", is_retryable=True)


def texts(state, limits=None):
    commands = plan(state, limits or Limits())
    return [command.text for command in commands if isinstance(command, AnswerCall)]


def test_a_run_of_which_nothing_is_recorded_owes_nothing():
    assert plan(blank("job-1", "run-1"), Limits()) == ()


def test_a_step_is_a_reply_its_answers_and_the_next_step():
    play(
        owes("StartStep"),
        GenerationStarted(),
        owes("Generate"),
        reply(call("look", "a"), call("look", "b")),
        owes("CallTools a", "CallTools b"),
        begins("a"),
        begins("b"),
        owes("CallTools a", "CallTools b"),
        answers("look", id="b"),
        owes("CallTools a"),
        answers("look", id="a"),
        owes("resolveToolResults"),
        ToolResultsResolved(),
        owes("finishToolCall"),
        ToolCallFinished(),
        owes("continueToNextStep"),
        StepContinued(),
        owes("StartStep"),
    )


def test_a_completion_is_answered_and_then_told_in_a_second_reply():
    play(
        *asked(call("attemptCompletion")),
        owes("attemptCompletion"),
        CompletionAttempted(),
        owes("Generate final"),
        Retried(reason="busy", cause=TROUBLE, wait_ms=700),
        owes("Generate final in 700 ms"),
        RunCompleted(new_message=reply("All done.").new_message),
        owes(),
    )


def test_text_beside_the_completion_as_the_only_call_is_the_result():
    play(*asked("Here it is.", call("attemptCompletion")), owes("completeRun"))


@pytest.mark.parametrize("blank_text", ["", " \n\t"])
def test_text_of_nothing_but_space_is_no_result(blank_text):
    play(*asked(blank_text, call("attemptCompletion")), owes("attemptCompletion"))


def test_text_beside_two_completions_is_no_result():
    play(
        *asked("Here.", call("attemptCompletion", "a"), call("attemptCompletion", "b")),
        owes("attemptCompletion"),
    )


def test_calls_beside_a_completion_run_first():
    play(
        *asked("Text.", call("attemptCompletion"), call("look")),
        owes("CallTools look"),
        answers("look"),
        owes("attemptCompletion"),
    )


@pytest.mark.parametrize("failed", [call("look"), call("writeTextFile")])
def test_a_failed_call_beside_a_completion_is_read_first(failed):
    state = play(
        *asked(failed, call("attemptCompletion")),
        answers(failed.tool_name, is_error=True),
        owes("AnswerCall attemptCompletion"),
    )
    assert texts(state) == [READ_FIRST]
    play(answers("attemptCompletion", READ_FIRST), owes("resolveToolResults"), state=state)


def test_a_completion_beside_a_delegate_reads_what_it_said_first():
    state = play(
        *asked(call("helper"), call("attemptCompletion")),
        delegates(helper="run-2"),
        RunStoppedByDelegate(),
        returns("helper"),
        owes("AnswerCall attemptCompletion"),
    )
    assert texts(state) == [READ_FIRST]


def test_a_completion_beside_a_question_reads_the_answer_first():
    state = play(
        *asked(call("askUser"), call("attemptCompletion")),
        InteractiveToolCalled(),
        RunStoppedByInteractiveTool(),
        returns("askUser"),
        owes("AnswerCall attemptCompletion"),
    )
    assert texts(state) == [READ_FIRST]


def test_a_completion_that_cannot_be_made_as_it_came_is_answered_with_its_problem():
    state = play(
        *asked(call("attemptCompletion"), problems={"attemptCompletion": "no JSON object"}),
        owes("AnswerCall attemptCompletion error"),
    )
    assert "no JSON object" in texts(state)[0]
    play(answers("attemptCompletion", is_error=True), owes("resolveToolResults"), state=state)


def test_open_todos_are_the_answer_to_a_completion():
    listed = '{"todos":[{"id":0,"title":"one","completed":true},{"id":1,"title":"two"}]}'
    state = play(
        *asked(call("todo"), call("attemptCompletion")),
        owes("CallTools todo"),
        answers("todo", listed),
        owes("AnswerCall attemptCompletion"),
    )
    assert texts(state) == ['{"remainingTodos":[{"id":1,"title":"two","completed":false}]}']


def test_closed_todos_do_not_hold_a_completion_up():
    listed = '{"todos":[{"id":0,"title":"one","completed":true}]}'
    play(
        *asked(call("todo"), call("attemptCompletion")),
        answers("todo", listed),
        owes("attemptCompletion"),
    )


def test_tools_come_before_delegates_delegates_before_people_and_people_before_completion():
    state = play(
        *asked(call("attemptCompletion"), call("askUser"), call("helper"), call("look")),
        owes("CallTools look"),
        answers("look"),
        owes("CallDelegates helper"),
        delegates(helper="run-2"),
        owes("stopRunByDelegate"),
        RunStoppedByDelegate(),
        owes(),
        returns("helper"),
        owes("resumeToolCalls"),
        ToolCallsResumed(),
        owes("callInteractiveTool"),
        InteractiveToolCalled(),
        owes("stopRunByInteractiveTool"),
        RunStoppedByInteractiveTool(),
        owes(),
        returns("askUser"),
        owes("AnswerCall attemptCompletion"),
    )
    assert texts(state) == [READ_FIRST]
    play(
        answers("attemptCompletion"),
        owes("finishAllToolCalls"),
        AllToolCallsFinished(),
        owes("continueToNextStep"),
        state=state,
    )


def test_questions_left_open_are_asked_again():
    state = play(
        *asked(call("askUser", "a"), call("askUser", "b")),
        owes("callInteractiveTool"),
        InteractiveToolCalled(),
        RunStoppedByInteractiveTool(),
        returns("a"),
        owes("resumeToolCalls"),
        ToolCallsResumed(),
        owes("callInteractiveTool"),
        InteractiveToolCalled(),
        owes("stopRunByInteractiveTool"),
        RunStoppedByInteractiveTool(),
        owes(),
    )
    assert [question.id for question in pending_questions(state)] == ["b"]
    again = play(returns("b"), owes("finishAllToolCalls"), state=state)
    assert pending_questions(again) == ()


def test_a_question_of_a_reply_that_never_rested_is_asked_without_a_resume():
    play(
        *asked(call("look"), call("askUser")),
        answers("look"),
        owes("callInteractiveTool"),
    )


def test_calls_that_write_and_todos_run_in_the_order_of_the_reply():
    play(
        *asked(
            call("writeTextFile", "w1"),
            call("readTextFile", "r"),
            call("todo", "t"),
            call("deleteFile", "d"),
        ),
        owes("CallTools r", "CallTools w1 t d"),
        answers("writeTextFile", id="w1"),
        owes("CallTools r", "CallTools t d"),
    )


def test_a_command_waits_for_the_writes_before_it_and_for_no_other_call():
    play(
        *asked(
            call("exec", "before"),
            call("writeTextFile", "w"),
            call("exec", "behind"),
            call("look", "l"),
        ),
        owes("CallTools before", "CallTools l", "CallTools w"),
        answers("exec", id="before"),
        answers("look", id="l"),
        owes("CallTools w"),
        answers("writeTextFile", id="w"),
        owes("CallTools behind"),
    )


def test_a_tool_of_another_skill_with_a_base_tools_name_is_not_ordered():
    fact = reply(call("todo", "a"), call("look", "b"))
    elsewhere = type(fact)(new_message=fact.new_message, routes=("x", "x"), usage=fact.usage)
    play(GenerationStarted(), elsewhere, owes("CallTools a", "CallTools b"))


@pytest.mark.parametrize("effect", ["none", "idempotent"])
def test_a_started_call_that_may_be_repeated_is_repeated(effect):
    play(*asked(call("look")), begins("look", effect), owes("CallTools look"))


def test_a_started_call_that_may_have_changed_something_is_answered_and_not_repeated():
    state = play(
        *asked(call("effect"), call("look")),
        begins("effect", "unknown"),
        owes("AnswerCall effect error", "CallTools look"),
    )
    assert OUTCOME_UNKNOWN.split(":")[0] in texts(state)[0]
    assert NOT_MADE not in texts(state)[0]


def test_a_started_write_of_unknown_outcome_lets_the_writes_behind_it_go_on():
    play(
        *asked(call("writeTextFile", "a"), call("writeTextFile", "b")),
        begins("a", "unknown"),
        owes("AnswerCall a error", "CallTools b"),
    )


def test_a_call_with_a_problem_is_answered_and_the_others_are_made():
    play(
        *asked(call("look", "a"), call("noSuchTool", "b"), problems={"b": "There is none."}),
        owes("CallTools a", "AnswerCall b error"),
    )


def test_a_delegate_with_a_problem_is_no_delegate():
    play(
        *asked(call("helper"), problems={"helper": "bad arguments"}),
        owes("AnswerCall helper error"),
    )


def test_too_deep_every_delegate_is_refused_and_the_expert_told_to_do_it_itself():
    state = play(
        *asked(call("helper"), call("other")),
        Limits(depth_left=0),
        owes("AnswerCall helper error", "AnswerCall other error"),
    )
    assert all(
        text.startswith("Delegation failed: ") for text in texts(state, Limits(depth_left=0))
    )


def test_of_too_many_delegates_the_last_are_refused_before_the_first_are_asked():
    play(
        *asked(call("helper", "a"), call("helper", "b"), call("helper", "c")),
        Limits(width=2),
        owes("AnswerCall c error"),
        answers("helper", id="c", is_error=True),
        owes("CallDelegates a b"),
        Limits(width=3, depth_left=1),
        owes("CallDelegates a b"),
    )


def test_without_a_step_left_a_run_stops_before_a_step_and_after_one():
    play(NO_STEPS, owes("stopRunByExceededMaxSteps"))
    play(
        *asked(call("look")),
        NO_STEPS,
        owes("CallTools look"),
        answers("look"),
        ToolResultsResolved(),
        owes("finishToolCall"),
        ToolCallFinished(),
        owes("stopRunByExceededMaxSteps"),
        RunStoppedByExceededMaxSteps(),
        owes(),
        Limits(steps_left=1),
        owes("continueToNextStep"),
    )


def test_without_a_step_left_a_reply_and_a_result_are_still_awaited():
    play(GenerationStarted(), NO_STEPS, owes("Generate"))
    play(*asked(call("attemptCompletion")), CompletionAttempted(), NO_STEPS, owes("Generate final"))


def test_a_transport_retry_asks_again_in_the_same_step_and_after_the_wait():
    state = play(
        GenerationStarted(),
        Retried(reason="busy", cause=TROUBLE, wait_ms=900),
        owes("Generate in 900 ms"),
        reply(call("look")),
    )
    play(
        answers("look"),
        ToolResultsResolved(),
        ToolCallFinished(),
        StepContinued(),
        GenerationStarted(),
        owes("Generate"),
        state=state,
    )


def test_a_retry_with_feedback_asks_again_in_the_next_step():
    play(
        GenerationStarted(),
        Retried(reason="EmptyReply", cause=TROUBLE, new_messages=(user_message("u", "Empty."),)),
        owes("continueToNextStep"),
        NO_STEPS,
        owes("stopRunByExceededMaxSteps"),
    )


def test_an_interrupted_run_owes_what_it_owed_before():
    play(INTERRUPTION, owes("StartStep"))
    play(GenerationStarted(), INTERRUPTION, owes("Generate"))
    play(*asked(call("look")), begins("look"), INTERRUPTION, owes("CallTools look"))
    play(*asked(call("helper")), delegates(helper="r"), INTERRUPTION, owes("stopRunByDelegate"))
    play(
        *asked(call("askUser")),
        InteractiveToolCalled(),
        INTERRUPTION,
        INTERRUPTION,
        owes("stopRunByInteractiveTool"),
    )


def test_a_run_that_stopped_by_an_error_owes_nothing():
    fatal = RunError(name="invalid_request_error", message="no", is_retryable=False)
    play(GenerationStarted(), RunStoppedByError(error=fatal), owes())


def test_a_mismatch_prints_both_transcripts():
    with pytest.raises(AssertionError) as caught:
        play(GenerationStarted(), owes("StartStep"))
    said = str(caught.value)
    assert "expected:\nstartGeneration\n  owes StartStep" in said
    assert "actual:\nstartGeneration\n  owes Generate" in said
    assert shown(plan(begun(), Limits())[0]) == "StartStep"
