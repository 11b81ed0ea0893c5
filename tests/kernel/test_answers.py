"""What a person answers to interactive calls."""

from __future__ import annotations

import pytest

from kernel.playbook import asked, call, play, returns
from perstack.errors import CannotContinue
from perstack.kernel.answers import check_answers, describe, results_of
from perstack.kernel.apply import result_of
from perstack.kernel.plan import pending_questions
from perstack.schema.event import InteractiveToolCalled, RunStoppedByInteractiveTool

ASKING = play(
    *asked(call("askUser", "a"), call("look"), call("askUser", "b")),
    returns("look"),
    InteractiveToolCalled(),
    RunStoppedByInteractiveTool(),
)
PENDING = pending_questions(ASKING)


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("Ann", [("a", "Ann")]),
        ("", [("a", "")]),
        ('{"toolCallId":"b","text":"44"}', [("b", "44")]),
        (
            ' [{"toolCallId":"b","text":"44"},{"toolCallId":"a","text":"Ann"}]',
            [("b", "44"), ("a", "Ann")],
        ),
        ("[]", [("a", "[]")]),
        ('{"name":"Ann"}', [("a", '{"name":"Ann"}')]),
        ("{not JSON", [("a", "{not JSON")]),
        ("[" * 100_000, [("a", "[" * 100_000)]),
    ],
    ids=["text", "nothing", "one", "several", "no one", "other JSON", "no JSON", "a bomb"],
)
def test_text_answers_the_first_call_and_json_the_calls_it_names(text, given):
    assert [(result.id, result.text) for result in results_of(text, PENDING)] == given


def test_a_call_that_is_not_asked_cannot_be_answered():
    with pytest.raises(CannotContinue, match=r"Waiting: askUser \(a\), askUser \(b\)"):
        results_of('{"toolCallId":"look","text":"x"}', PENDING)
    with pytest.raises(CannotContinue, match="Nothing waits"):
        results_of("Ann", ())
    assert describe(PENDING) == "askUser (a), askUser (b)"


def test_answers_are_checked_against_what_the_run_asks():
    good = result_of(PENDING[1], "44")
    check_answers(ASKING, (good,))
    with pytest.raises(CannotContinue, match="was given no answer"):
        check_answers(ASKING, ())
    with pytest.raises(CannotContinue, match="waits for an answer"):
        check_answers(ASKING, (good, result_of(ASKING.turn.calls[1], "x")))
    moved = play(returns("a"), state=ASKING)
    with pytest.raises(CannotContinue, match="waits for an answer"):
        check_answers(moved, (good,))
