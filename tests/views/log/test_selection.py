"""Which events are meant."""

from __future__ import annotations

import pytest

from perstack.errors import UsageError
from perstack.schema.head import decode_head
from perstack.schema.line import json_line
from perstack.views.log.selection import BOOKKEEPING, EVENT_TYPES, TOOL_EVENTS, Selection
from perstack.views.log.steps import parse_steps
from views.played import Played, play, play_all, thoughtful

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("5", [5]),
        (">5", [6, 7, 8, 9]),
        (">=5", [5, 6, 7, 8, 9]),
        ("<3", [0, 1, 2]),
        ("<=3", [0, 1, 2, 3]),
        ("2-4", [2, 3, 4]),
        (" 3-3 ", [3]),
        ("0", [0]),
    ],
)
def test_steps_are_named_in_six_ways(text: str, steps: list[int]) -> None:
    assert [number for number in range(10) if number in parse_steps(text)] == steps
    assert None not in parse_steps(text)


@pytest.mark.parametrize(
    "text", ["", "x", "-5", "5-", "-", "=5", "1-2-3", "> 5", "5.0", "\u0665", "4-2"]
)
def test_what_names_no_steps_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--step"):
        parse_steps(text)


def chosen(played: Played, selection: Selection) -> list[str]:
    heads = [(decode_head(seen.line), seen.line) for seen in played.read_back]
    return [head.type for head, line in heads if selection.matches(head, line)]


async def test_errors_are_all_that_failed() -> None:
    played = await play(thoughtful())
    failed = chosen(played, Selection(errors=True))
    assert failed == ["completeToolCall", "completeToolCall"]
    assert all(
        b'"isError":true' in seen.line
        for seen in played.read_back
        if Selection(errors=True).matches(decode_head(seen.line), seen.line)
    )


async def test_delegations_are_questions_beginnings_and_answers() -> None:
    played = await play(thoughtful())
    assert chosen(played, Selection(delegations=True)) == [
        "callDelegate",
        "stopRunByDelegate",
        "startRun",
        "startRun",
    ]


async def test_all_of_a_selection_must_fit() -> None:
    played = await play(thoughtful())
    selection = Selection(tools=True, errors=True, types=frozenset({"completeToolCall", "retry"}))
    assert chosen(played, selection) == ["completeToolCall", "completeToolCall"]
    assert chosen(played, Selection(step=parse_steps("99"))) == []


async def test_every_event_has_a_head_that_says_what_its_line_says() -> None:
    for played in (await play_all()).values():
        for seen in played.read_back:
            head, fact = decode_head(seen.line), seen.fact
            assert (head.id, head.seq, head.timestamp) == (fact.id, fact.seq, fact.timestamp)
            assert (head.job_id, head.run_id) == (fact.job_id, fact.run_id)
            assert EVENT_TYPES[head.type] is type(fact)
            assert head.expert_key == getattr(fact, "expert_key", None)
            assert head.step_number == getattr(fact, "step_number", None)


def test_what_is_named_is_an_event() -> None:
    assert {*BOOKKEEPING, *TOOL_EVENTS} <= {*EVENT_TYPES}


def test_a_line_that_is_no_event_after_all_did_not_fail() -> None:
    line = json_line({"type": "completeToolCall", "seq": 1, "toolResult": "?"})
    assert not Selection(errors=True).matches(decode_head(line), line)
