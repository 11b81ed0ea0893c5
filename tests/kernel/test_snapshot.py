"""A run at one position, as the public formats show it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from kernel.playbook import (
    INTERRUPTION,
    answers,
    asked,
    begun,
    call,
    delegates,
    ids,
    play,
    reply,
    tokens,
)
from perstack.kernel.snapshot import checkpoint_of, step_of
from perstack.kernel.state import blank
from perstack.schema.checkpoint import RunError
from perstack.schema.event import (
    GenerationStarted,
    InteractiveToolCalled,
    Retried,
    RunStoppedByDelegate,
    RunStoppedByInteractiveTool,
    StepContinued,
    ToolCallFinished,
    ToolResultsResolved,
)

TROUBLE = RunError(name="overloaded_error", message="busy", is_retryable=True)
FINISHED = (ToolResultsResolved(), ToolCallFinished())


def test_a_checkpoint_names_the_run_its_expert_and_its_position():
    checkpoint = checkpoint_of(begun())
    assert (checkpoint.id, checkpoint.job_id, checkpoint.run_id) == ("e1", "job-1", "run-1")
    assert (checkpoint.expert.key, checkpoint.expert.version) == ("lead", "1.0.0")
    assert (checkpoint.step_number, checkpoint.status) == (1, "proceeding")
    assert checkpoint.messages is None
    assert checkpoint_of(begun(), status="init").status == "init"


def test_messages_are_there_where_they_are_asked_for_the_instruction_first():
    checkpoint = checkpoint_of(begun(), with_messages=True)
    assert [type(message).__name__ for message in checkpoint.messages or ()] == [
        "InstructionMessage",
        "UserMessage",
    ]


def test_a_run_that_waits_for_delegates_says_for_which():
    state = play(
        *asked(call("look"), call("helper", query="do it"), call("askUser")),
        answers("look", "seen"),
        delegates(helper="run-2"),
        RunStoppedByDelegate(),
    )
    checkpoint = checkpoint_of(state)
    assert checkpoint.delegate_to is not None
    (to,) = checkpoint.delegate_to
    assert (to.run_id, to.tool_call_id, to.tool_name, to.query) == (
        "run-2",
        "helper",
        "helper",
        "do it",
    )
    assert ids(checkpoint.pending_tool_calls) == "helper askUser"
    assert [result.text for result in checkpoint.partial_tool_results or ()] == ["seen"]


def test_a_run_that_asks_a_person_says_what():
    state = play(
        *asked(call("look"), call("askUser")),
        answers("look"),
        InteractiveToolCalled(),
        RunStoppedByInteractiveTool(),
    )
    checkpoint, step = checkpoint_of(state), step_of(state)
    assert ids(checkpoint.pending_tool_calls) == "askUser"
    assert checkpoint.delegate_to is None
    assert ids(step.pending_tool_calls) == "askUser"


def test_what_a_running_run_still_awaits_is_not_pending():
    checkpoint = checkpoint_of(play(*asked(call("look"), call("askUser")), answers("look")))
    assert checkpoint.pending_tool_calls is None
    assert checkpoint.partial_tool_results is None
    assert checkpoint.delegate_to is None


def test_retries_and_the_error_are_shown_where_there_are_any():
    assert checkpoint_of(begun()).retry_count is None
    state = play(GenerationStarted(), Retried(reason="busy", cause=TROUBLE), INTERRUPTION)
    checkpoint = checkpoint_of(state)
    assert (checkpoint.retry_count, checkpoint.error) == (1, INTERRUPTION.error)
    assert checkpoint.status == "stoppedByError"


def test_the_context_is_as_full_as_the_last_reply_and_what_it_was_asked_with():
    state = play(GenerationStarted(), replace(reply(usage=tokens(100)), context_window=1000))
    checkpoint = checkpoint_of(state)
    assert (checkpoint.context_window, checkpoint.context_window_usage) == (1000, 0.2)
    unknown = checkpoint_of(replace(state, context_window=None))
    assert (unknown.context_window, unknown.context_window_usage) == (None, None)


def test_before_the_first_reply_none_of_the_context_is_used():
    checkpoint = checkpoint_of(replace(begun(), context_window=1000))
    assert (checkpoint.context_window, checkpoint.context_window_usage) == (1000, 0.0)


def test_a_step_is_what_it_added():
    state = play(
        GenerationStarted(), reply(call("look"), usage=tokens(4)), answers("look"), *FINISHED
    )
    step = step_of(state, 9000)
    assert [type(message).__name__ for message in step.new_messages] == [
        "UserMessage",
        "ExpertMessage",
        "ToolMessage",
    ]
    assert (ids(step.tool_calls), ids(step.tool_results)) == ("look", "look")
    assert (step.usage, step.started_at, step.finished_at) == (tokens(4), 1002, 9000)
    assert step.pending_tool_calls is None


def test_a_run_stopped_right_after_a_step_shows_nothing_of_that_step():
    state = play(*asked(call("look")), answers("look"), *FINISHED, StepContinued(), INTERRUPTION)
    step = step_of(state)
    assert (step.step_number, step.new_messages) == (2, ())
    assert (step.tool_calls, step.tool_results) == (None, None)


def test_a_run_without_a_definition_has_no_checkpoint():
    with pytest.raises(ValueError, match="no definition"):
        checkpoint_of(blank("job-1", "run-1"))
