"""What each fact changes."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from kernel.playbook import (
    INTERRUPTION,
    JOB,
    LEAD,
    RUN,
    answers,
    asked,
    begins,
    begun,
    call,
    delegates,
    play,
    reply,
    returns,
    stamped,
    start,
    text_of,
    tokens,
    told,
)
from perstack.kernel.apply import NOT_MADE, apply, fold, result_of
from perstack.kernel.state import blank, forked
from perstack.schema.checkpoint import BaseRef, RunError
from perstack.schema.event import (
    AllToolCallsFinished,
    CompletionAttempted,
    GenerationStarted,
    InteractiveToolCalled,
    Retried,
    RunCompleted,
    RunStarted,
    RunStoppedByDelegate,
    RunStoppedByError,
    RunStoppedByExceededMaxSteps,
    RunStoppedByInteractiveTool,
    SkillConnected,
    SkillDisconnected,
    StepContinued,
    ToolCallFinished,
    ToolCallsResumed,
    ToolResultsResolved,
)
from perstack.schema.expert import Definition, Expert
from perstack.schema.message import ToolMessage, UserMessage, user_message
from perstack.schema.skill import McpStdioSkill
from perstack.schema.tool import OUTCOME_UNKNOWN
from perstack.schema.usage import NO_USAGE
from worlds import expert

TROUBLE = RunError(name="overloaded_error", message="busy", is_retryable=True)
FATAL = RunError(name="invalid_request_error", message="no", is_retryable=False)
FINISHED = (ToolResultsResolved(), ToolCallFinished())


def test_a_state_is_never_changed_only_followed_by_another():
    first = begun()
    before = repr(first)
    play(*asked(call("look")), answers("look"), *FINISHED, state=first)
    assert repr(first) == before
    assert len(first.messages) == 1


def test_the_first_fact_of_a_run_gives_it_its_definition_and_what_it_is_asked():
    state = begun()
    assert (state.definition, state.expert_key, state.status) == (LEAD, "lead", "proceeding")
    assert [type(message) for message in state.messages] == [UserMessage]
    assert [message.id for message in state.all_messages] == ["i", "q"]
    assert (state.step_number, state.checkpoint_id, state.step_started_at) == (1, "e1", 1001)


def test_a_fact_about_the_runtime_moves_nothing_but_the_count():
    state = play(GenerationStarted(), INTERRUPTION)
    after = apply(state, stamped(state, SkillDisconnected(skill_name="x")))
    assert after == replace(state, seq=state.seq + 1)


def test_a_skill_that_is_lost_stays_so_until_it_is_connected():
    lost = SkillDisconnected(skill_name="x", reason="It ended.", tools_lost=True)
    state = apply(begun(), stamped(begun(), lost))
    assert state.lost_skills == {"x": "It ended."}
    for fact in (SkillConnected(skill_name="y"), SkillDisconnected(skill_name="x", reason="No.")):
        assert apply(state, stamped(state, fact)).lost_skills == {"x": "It ended."}
    assert apply(state, stamped(state, SkillConnected(skill_name="x"))).lost_skills == {}


def test_lazy_skills_are_open_in_the_order_they_were_opened_also_in_a_fork():
    lazy, plain = McpStdioSkill(command="x", lazy_init=True), McpStdioSkill(command="x")
    asker = Expert(
        key="asker",
        name="asker",
        instruction="Ask.",
        skills={"a": lazy, "b": lazy, "c": plain},
    )
    state = begun(Definition(expert=asker))
    for name in ("b", "c", "a", "b", "unknown"):
        state = apply(state, stamped(state, SkillConnected(skill_name=name)))
    assert state.opened_skills == ("b", "a")
    assert forked(state, "job", "other").opened_skills == ("b", "a")


def test_steps_are_counted_when_the_model_is_asked_and_numbered_when_they_end():
    state = play(GenerationStarted())
    assert (state.steps_taken, state.step_number) == (1, 1)
    state = play(reply(call("look")), answers("look"), *FINISHED, StepContinued(), state=state)
    assert (state.steps_taken, state.step_number) == (1, 2)
    assert play(GenerationStarted(), state=state).steps_taken == 2


def test_answers_become_one_message_in_the_order_of_the_reply():
    state = play(
        *asked(call("look", "a"), call("look", "b")),
        answers("look", "second", id="b"),
        answers("look", "first", id="a", is_error=True),
        ToolResultsResolved(),
        ToolCallFinished(),
    )
    message = state.messages[-1]
    assert isinstance(message, ToolMessage)
    assert [(part.tool_call_id, part.is_error) for part in message.contents] == [
        ("a", True),
        ("b", False),
    ]
    assert message.id == "e7-0"
    assert [part.id for part in message.contents] == ["e7-0-0", "e7-0-1"]


def test_a_new_step_begins_a_checkpoint_of_its_own_with_nothing_in_it():
    state = play(reply(call("look"), usage=tokens(5)), answers("look"), *FINISHED)
    assert (state.step_first_message, state.step_usage) == (0, tokens(5))
    opened = play(StepContinued(), state=state)
    assert opened.checkpoint_id == f"e{opened.seq}" != state.checkpoint_id
    assert (opened.step_first_message, opened.step_usage, opened.usage) == (3, NO_USAGE, tokens(5))
    assert opened.turn.calls == ()


def test_usage_counts_on_replies_retries_and_the_result_alone():
    state = play(
        GenerationStarted(),
        Retried(reason="busy", cause=TROUBLE, usage=tokens(1)),
        reply(call("attemptCompletion"), usage=tokens(10)),
        CompletionAttempted(),
    )
    assert (state.usage, state.last_usage) == (tokens(11), tokens(10))
    done = play(
        RunCompleted(new_message=reply("Done.").new_message, usage=tokens(100)), state=state
    )
    assert (done.usage, done.step_usage, done.last_usage) == (tokens(111), tokens(111), tokens(100))


def test_the_window_is_that_of_the_model_which_the_run_goes_on_with_or_which_replied_last():
    state = apply(blank(JOB, RUN), stamped(blank(JOB, RUN), replace(start(), context_window=1000)))
    assert state.context_window == 1000
    replied = play(replace(reply(call("helper")), context_window=400), state=state)
    assert replied.context_window == 400
    back = play(replace(returns("helper"), context_window=600), state=replied)
    assert back.context_window == 600
    result = RunCompleted(new_message=reply("Done.").new_message, context_window=800)
    assert play(result, state=back).context_window == 800
    assert play(replace(result, context_window=None), state=back).context_window is None
    assert play(reply(call("look")), state=back).context_window is None


def test_a_completion_without_a_reply_of_its_own_changes_nothing_of_the_last_reply():
    asking = replace(reply("Done.", call("attemptCompletion"), usage=tokens(3)), context_window=400)
    done = play(GenerationStarted(), asking, RunCompleted())
    assert (done.context_window, done.last_usage) == (400, tokens(3))


def test_a_run_on_top_of_another_begins_with_that_ones_last_reply():
    base = play(replace(reply("Done.", usage=tokens(3)), context_window=400))
    state = forked(base, JOB, "run-2")
    assert (state.last_usage, state.context_window, state.usage) == (tokens(3), 400, NO_USAGE)


def test_delegates_tokens_are_their_parents_once_they_return():
    waiting = play(
        GenerationStarted(),
        reply(call("helper"), usage=tokens(3)),
        delegates(helper="run-2"),
        RunStoppedByDelegate(),
    )
    assert (waiting.usage, waiting.status, waiting.phase) == (
        tokens(3),
        "stoppedByDelegate",
        "waiting",
    )
    back = play(returns("helper", step_number=9, usage=tokens(40)), state=waiting)
    assert (back.usage, back.step_usage, back.step_number) == (tokens(43), tokens(40), 9)
    assert back.last_usage == tokens(3)


def test_a_run_that_returns_keeps_the_answers_it_had():
    state = play(
        *asked(call("look"), call("helper")),
        answers("look", "seen"),
        delegates(helper="run-2"),
        RunStoppedByDelegate(),
        returns("helper"),
    )
    assert [result.text for result in state.turn.answers] == ["seen", "came back"]
    assert state.turn.unanswered == ()
    finished = play(AllToolCallsFinished(), state=state)
    assert finished.phase == "finished"
    assert len(finished.messages[-1].contents) == 2


def test_saying_that_a_run_resumes_counts_for_that_stretch_alone():
    state = play(
        *asked(call("askUser", "a"), call("askUser", "b"), call("askUser", "c")),
        InteractiveToolCalled(),
        RunStoppedByInteractiveTool(),
        returns("a"),
        ToolCallsResumed(),
    )
    assert state.turn.resumed
    again = play(InteractiveToolCalled(), RunStoppedByInteractiveTool(), returns("b"), state=state)
    assert not again.turn.resumed


def test_retries_count_until_a_reply_comes():
    busy = Retried(reason="busy", cause=TROUBLE, wait_ms=50)
    state = play(GenerationStarted(), busy, busy)
    assert (state.retry_count, state.retry_wait_ms) == (2, 50)
    assert len(state.messages) == 1
    assert play(reply(call("look")), state=state).retry_count == 0
    final = play(reply(call("attemptCompletion")), CompletionAttempted(), busy, state=state)
    assert (final.retry_count, final.phase) == (1, "completing")
    done = play(RunCompleted(new_message=reply("Done.").new_message), state=final)
    assert (done.retry_count, done.retry_wait_ms) == (0, 0)


def test_feedback_joins_the_conversation_and_ends_the_step():
    feedback = user_message("u", "Your last reply was empty.")
    state = play(
        GenerationStarted(), Retried(reason="EmptyReply", cause=TROUBLE, new_messages=(feedback,))
    )
    assert state.messages[-1] == feedback
    assert (state.phase, state.retry_count) == ("finished", 1)
    assert play(StepContinued(), GenerationStarted(), state=state).retry_count == 1


def test_todos_are_what_the_todo_tool_last_said():
    one = '{"todos":[{"id":0,"title":"one"}]}'
    state = play(*asked(call("todo"), call("clearTodo")), answers("todo", one))
    assert [todo.title for todo in state.todos] == ["one"]
    assert play(answers("clearTodo", '{"todos":[]}'), state=state).todos == ()
    failed = play(answers("todo", '{"error":"Error"}', is_error=True), state=state)
    assert failed.todos == state.todos


def test_a_todo_tool_of_another_skill_is_not_the_todo_list():
    foreign = answers("todo", "not even JSON")
    result = replace(foreign.tool_result, skill_name="elsewhere")
    assert play(*asked(call("todo")), replace(foreign, tool_result=result)).todos == ()


def test_a_completion_is_answered_by_an_empty_object_and_the_answers_close_the_turn():
    state = play(
        *asked(call("look"), call("attemptCompletion")), answers("look"), CompletionAttempted()
    )
    assert [text for _, text, _ in told(state.messages[-1])] == ["done", "{}"]
    assert state.phase == "completing"


def test_a_result_told_beside_the_completion_is_the_runs_text():
    state = play(
        GenerationStarted(),
        reply("It is 42.", call("attemptCompletion"), usage=tokens(2)),
        RunCompleted(),
    )
    assert (state.text, state.status, state.phase) == ("It is 42.", "completed", "done")
    assert isinstance(state.messages[-1], ToolMessage)
    assert (state.usage, state.last_usage) == (tokens(2), tokens(2))
    assert state.is_answer
    assert state.is_at_rest


def test_an_error_of_its_own_ends_a_run_and_an_interruption_does_not():
    failed = play(GenerationStarted(), RunStoppedByError(error=FATAL))
    assert (failed.phase, failed.is_answer, failed.is_at_rest) == ("done", True, True)
    assert not failed.is_interrupted
    cut = play(GenerationStarted(), INTERRUPTION)
    assert (cut.phase, cut.is_answer, cut.is_at_rest) == ("generating", False, False)
    assert cut.is_interrupted


@pytest.mark.parametrize("stop", [INTERRUPTION, RunStoppedByExceededMaxSteps()])
def test_a_stopped_run_moves_on_under_a_new_checkpoint(stop):
    stopped = play(stop)
    moved = play(GenerationStarted(), state=stopped)
    assert stopped.checkpoint_id == "e1"
    assert moved.checkpoint_id == f"e{moved.seq}"
    assert (moved.status, moved.error, moved.is_interrupted) == ("proceeding", None, False)


def test_a_run_at_the_step_limit_is_at_rest_and_no_answer():
    state = play(RunStoppedByExceededMaxSteps())
    assert (state.is_at_rest, state.is_answer) == (True, False)


def fork(base, *, results=(), definition=LEAD):
    state = forked(base, JOB, "run-2")
    fact = RunStarted(
        definition=definition,
        base=BaseRef(run_id=RUN, checkpoint_id=base.checkpoint_id),
        input_messages=() if results else start(definition, "Again.").input_messages,
        tool_results=results,
        step_number=base.step_number + 1,
    )
    return apply(state, stamped(state, fact))


def test_a_run_on_a_base_has_its_conversation_and_todos_but_neither_its_tokens_nor_its_retries():
    base = play(
        GenerationStarted(),
        Retried(reason="busy", cause=TROUBLE),
        reply(call("todo"), usage=tokens(9)),
        answers("todo", '{"todos":[{"id":0,"title":"one"}]}'),
        *FINISHED,
    )
    new = fork(base)
    assert [message.id for message in new.messages][:-1] == [m.id for m in base.messages]
    assert text_of(new.messages[-1].contents) == "Again."
    assert new.todos == base.todos
    assert (new.usage, new.steps_taken, new.retry_count, new.step_number) == (NO_USAGE, 0, 0, 2)
    assert (new.phase, new.turn.calls) == ("ready", ())
    assert new.base == BaseRef(run_id=RUN, checkpoint_id="e1")
    assert new.step_first_message == len(base.messages)


def test_calls_that_nobody_will_answer_any_more_are_closed_on_a_base():
    base = play(
        *asked(call("look"), call("effect"), call("askUser")),
        answers("look", "seen"),
        begins("effect", "unknown"),
        RunStoppedByError(error=FATAL),
    )
    assert told(fork(base).messages[-2]) == [
        ("look", "seen", False),
        ("effect", OUTCOME_UNKNOWN, True),
        ("askUser", NOT_MADE, True),
    ]


def test_an_answer_on_a_base_goes_on_in_its_turn_under_its_instruction():
    base = play(
        *asked(call("askUser", "a"), call("askUser", "b")),
        InteractiveToolCalled(),
        RunStoppedByInteractiveTool(),
    )
    new = fork(base, results=(result_of(base.turn.calls[1], "44"),))
    assert new.instruction == base.instruction
    assert (new.phase, new.status) == ("calling", "proceeding")
    assert [call.id for call in new.turn.unanswered] == ["a"]
    assert len(new.messages) == len(base.messages)


def test_two_runs_on_one_base_share_its_past_and_nothing_else():
    base = play(*asked(call("look")), answers("look"), *FINISHED)
    one, other = fork(base), fork(base, definition=expert("lead"))
    one = play(*asked(call("look", "x")), state=one)
    assert len(base.messages) == 3
    assert [m.id for m in other.messages] == ["q", "m", base.messages[-1].id, "q"]
    assert len(one.messages) == 5


def test_the_same_facts_give_the_same_state():
    facts, state = [], blank(JOB, RUN)
    script = (start(), *asked(call("look")), answers("look"), *FINISHED, StepContinued())
    for fact in script:
        facts.append(stamped(state, fact))
        state = apply(state, facts[-1])
    assert fold(blank(JOB, RUN), facts) == state
