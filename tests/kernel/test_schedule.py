"""Which runs of a job can move."""

from __future__ import annotations

from msgspec.structs import replace

from kernel.playbook import (
    INTERRUPTION,
    JOB,
    RUN,
    answers,
    asked,
    begun,
    call,
    delegates,
    play,
    reply,
    stamped,
    start,
    tokens,
)
from perstack.kernel.apply import apply
from perstack.kernel.schedule import (
    Drive,
    Return,
    StartChild,
    coordinator_of,
    job_status,
    query_of,
    schedule,
    usage_of,
)
from perstack.kernel.state import blank
from perstack.schema.checkpoint import DelegatedBy, RunError
from perstack.schema.event import (
    GenerationStarted,
    InteractiveToolCalled,
    RunCompleted,
    RunStarted,
    RunStoppedByDelegate,
    RunStoppedByError,
    RunStoppedByExceededMaxSteps,
    RunStoppedByInteractiveTool,
)
from perstack.schema.expert import ExpertRef

HELPER = ExpertRef(key="helper", name="helper", version="1.0.0")
FATAL = RunError(name="invalid_request_error", message="no such model", is_retryable=False)


def child(run_id, *facts, call_id="helper", parent=RUN, step_number=2):
    by = DelegatedBy(
        expert=HELPER, tool_call_id=call_id, tool_name="helper", checkpoint_id="c", run_id=parent
    )
    state = blank(JOB, run_id)
    first = replace(start(step_number=step_number), delegated_by=by)
    return play(*facts, state=apply(state, stamped(state, first)))


def parent():
    return play(
        GenerationStarted(),
        reply(
            call("helper", "a", query="left"), call("helper", "b", query="right"), usage=tokens(1)
        ),
        delegates(a="run-2", b="run-3"),
        RunStoppedByDelegate(),
    )


def states(*all_states):
    return {state.run_id: state for state in all_states}


def done(text="fine"):
    return RunCompleted(new_message=reply(text).new_message, usage=tokens(10))


def test_a_run_that_has_not_come_to_rest_is_driven():
    assert schedule(states(begun()), 5) == (Drive(run_id=RUN),)
    assert schedule(states(play(INTERRUPTION)), 5) == (Drive(run_id=RUN),)
    assert schedule(states(play(INTERRUPTION)), 0) == (Drive(run_id=RUN),)


def test_a_run_at_rest_is_left_alone():
    asking = play(*asked(call("askUser")), InteractiveToolCalled(), RunStoppedByInteractiveTool())
    for resting in (play(done()), play(RunStoppedByError(error=FATAL)), asking):
        assert schedule(states(resting), 5) == ()


def test_a_run_that_was_set_aside_for_a_later_one_is_left_alone_with_its_delegates():
    left = child("run-2", GenerationStarted(), INTERRUPTION, call_id="a")
    later = play(
        GenerationStarted(), state=apply(blank(JOB, "run-9"), stamped(blank(JOB, "run-9"), start()))
    )
    beside = states(parent(), left, later)
    assert schedule(beside, 5) == (Drive(run_id="run-9"),)
    assert job_status(beside) == "running"
    at_rest = states(parent(), left, play(done(), state=later))
    assert schedule(at_rest, 5) == ()
    assert job_status(at_rest) == "completed"


def test_delegates_that_were_named_and_have_no_fact_are_started():
    moves = schedule(states(parent()), 5)
    assert [(move.child.run_id, move.query) for move in moves if isinstance(move, StartChild)] == [
        ("run-2", "left"),
        ("run-3", "right"),
    ]
    moves = schedule(states(parent(), child("run-2", GenerationStarted())), 5)
    assert [type(move) for move in moves] == [StartChild, Drive]


def test_a_parent_waits_for_all_its_delegates():
    left = child("run-2", done(), call_id="a")
    right = child("run-3", GenerationStarted(), call_id="b")
    assert schedule(states(parent(), left, right), 5) == (Drive(run_id="run-3"),)


def test_a_parent_returns_behind_its_delegates_with_their_answers_and_tokens():
    left = child("run-2", GenerationStarted(), done("left is fine"), call_id="a", step_number=7)
    right = child("run-3", RunStoppedByError(error=FATAL), call_id="b", step_number=4)
    (move,) = schedule(states(parent(), left, right), 5)
    assert isinstance(move, Return)
    assert (move.run_id, move.step_number, move.usage) == (RUN, 8, tokens(10))
    assert [(result.id, result.text, result.is_error) for result in move.results] == [
        ("a", "left is fine", False),
        ("b", "Delegation failed: no such model", True),
    ]


def test_an_interrupted_delegate_is_never_an_answer():
    left = child("run-2", done(), call_id="a")
    right = child("run-3", INTERRUPTION, call_id="b")
    assert schedule(states(parent(), left, right), 5) == (Drive(run_id="run-3"),)


def test_at_the_step_limit_a_delegate_and_its_parent_rest_until_there_are_steps_again():
    left = child("run-2", done(), call_id="a")
    right = child("run-3", RunStoppedByExceededMaxSteps(), call_id="b")
    job = states(parent(), left, right)
    assert schedule(job, 0) == ()
    assert schedule(job, 1) == (Drive(run_id="run-3"),)


def test_a_coordinator_at_the_step_limit_is_not_moved_by_a_higher_one():
    assert schedule(states(play(RunStoppedByExceededMaxSteps())), 50) == ()


def test_a_query_is_the_argument_of_that_name_where_it_is_a_text():
    made = reply(call("helper", "a", query="x"), call("helper", "b"), call("helper", "c", query=1))
    assert [query_of(one) for one in made.tool_calls] == ["x", "", ""]


def test_the_coordinator_is_the_run_that_nobody_delegated_and_that_began_last():
    first, second = begun(), replace(begun(), run_id="run-9")
    assert coordinator_of({}) is None
    assert coordinator_of(states(first, second, child("run-2"))) is second
    assert coordinator_of(states(child("run-2"))) is None


def test_tokens_of_a_job_are_counted_once_whether_delegates_returned_or_not():
    left = child("run-2", GenerationStarted(), done(), call_id="a")
    right = child("run-3", GenerationStarted(), done(), call_id="b")
    waiting = states(parent(), left, right)
    assert usage_of(waiting) == tokens(21)
    (move,) = schedule(waiting, 5)
    assert isinstance(move, Return)
    back = RunStarted(step_number=3, tool_results=move.results, delegate_usage=move.usage)
    returned = waiting | states(play(back, state=waiting[RUN]))
    assert usage_of(returned) == tokens(21)
    assert usage_of(states(play(answers("helper", id="a"), state=parent()), left)) == tokens(1)


def test_a_job_is_what_its_last_coordinator_is():
    asking = play(*asked(call("askUser")), InteractiveToolCalled(), RunStoppedByInteractiveTool())
    assert job_status({}) == "running"
    assert job_status(states(begun())) == "running"
    assert job_status(states(play(done()))) == "completed"
    assert job_status(states(play(RunStoppedByError(error=FATAL)))) == "stoppedByError"
    assert job_status(states(play(INTERRUPTION))) == "stoppedByError"
    assert job_status(states(play(RunStoppedByExceededMaxSteps()))) == "stoppedByMaxSteps"
    assert job_status(states(asking)) == "stoppedByInteractiveTool"


def test_a_job_whose_coordinator_waits_is_what_its_delegates_are():
    left = child("run-2", done(), call_id="a")
    right = child("run-3", GenerationStarted(), call_id="b")
    limited = child("run-3", RunStoppedByExceededMaxSteps(), call_id="b")
    cut = child("run-3", INTERRUPTION, call_id="b")
    assert job_status(states(parent(), left)) == "running"
    assert job_status(states(parent(), left, right)) == "running"
    assert job_status(states(parent(), left, limited)) == "stoppedByMaxSteps"
    assert job_status(states(parent(), left, cut)) == "stoppedByError"
    assert job_status(states(parent(), limited)) == "running", "one of them has not begun"
