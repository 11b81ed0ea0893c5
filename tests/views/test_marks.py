"""The checkpoints that a person may go back to: those that a run can really begin at."""

from __future__ import annotations

import pytest

from perstack.runtime.replay import state_at
from perstack.schema.checkpoint import BaseRef
from perstack.schema.event import Fact, RunStarted
from perstack.views.marks import Mark, Marks, leading_to
from views.played import WORLDS, Played, play, play_forks, play_interrupted
from worlds import JOB

pytestmark = pytest.mark.anyio


def marks_in(played: Played) -> list[Mark]:
    marks = Marks()
    for seen in played.live:
        marks.feed(seen.fact)
    return marks.found


async def played_as(name: str) -> Played:
    match name:
        case "forks":
            return await play_forks()
        case "interrupted":
            return await play_interrupted()
        case _:
            return await play(WORLDS[name]())


@pytest.mark.parametrize("name", [*WORLDS, "forks", "interrupted"])
async def test_a_run_can_begin_at_each_and_it_is_told_as_it_is(name: str) -> None:
    played = await played_as(name)
    marks = marks_in(played)
    assert marks or name == "step_limit", "there a coordinator waits for its delegates to the end"
    for mark in marks:
        base = BaseRef(run_id=mark.run_id, checkpoint_id=mark.id)
        state = await state_at(played.store, JOB, base)
        assert state.delegated_by is None
        assert state.status != "stoppedByDelegate"
        assert (state.step_number, state.status) == (mark.step_number, mark.status)


async def test_what_leads_to_a_mark_ends_there_and_has_the_delegates_before_it() -> None:
    played = await play(WORLDS["thoughtful"]())
    facts = [seen.fact for seen in played.live]
    first, *_, last = marks_in(played)
    delegates = {
        fact.run_id for fact in facts if isinstance(fact, RunStarted) and fact.delegated_by
    }
    assert delegates

    def told(mark: Mark) -> list[Fact]:
        return leading_to(facts, mark, marks_in(played))

    assert told(last) == facts
    before = told(first)
    assert before == facts[: len(before)]
    assert max(fact.seq for fact in before if fact.run_id == first.run_id) == first.seq


async def test_a_fork_is_led_to_past_what_it_left_behind() -> None:
    played = await play_forks()
    facts = [seen.fact for seen in played.live]
    marks = marks_in(played)
    starts = [fact for fact in facts if isinstance(fact, RunStarted) and fact.definition]
    [origin, delegate, beside, latest] = starts
    fork, base = marks[-1], latest.base
    assert (fork.run_id, base is not None) == (latest.run_id, True)
    assert base is not None
    told = leading_to(facts, fork, marks)
    runs = {latest.run_id, origin.run_id, delegate.run_id}
    assert {fact.run_id for fact in told} == runs, f"without {beside.run_id}"
    [left] = [mark for mark in marks if (mark.run_id, mark.id) == (base.run_id, base.checkpoint_id)]
    beyond = [fact for fact in facts if fact.run_id == base.run_id and fact.seq > left.seq]
    assert beyond
    assert not {fact.id for fact in beyond} & {fact.id for fact in told}
