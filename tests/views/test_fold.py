"""Reading a job back gives the states that its process had."""

from __future__ import annotations

import pytest

from perstack.schema.event import RunEvent
from perstack.views.wire import Seen
from views.played import WORLDS, Played, play, play_forks, play_interrupted, seen_of

pytestmark = pytest.mark.anyio


def assert_same_states(played: Played) -> None:
    live = from_start(played.live)
    assert from_start(seen_of(seen.fact for seen in played.live)) == live
    again = sorted(from_start(played.read_back), key=lambda seen: seen.fact.run_id)
    assert again == sorted(live, key=lambda seen: seen.fact.run_id)


def from_start(seens: list[Seen]) -> list[Seen]:
    """Without what was noted before a run's first `startRun`."""
    return [seen for seen in seens if seen.after.definition and isinstance(seen.fact, RunEvent)]


@pytest.mark.parametrize("name", WORLDS)
async def test_states_read_back_are_those_of_the_process(name: str) -> None:
    assert_same_states(await play(WORLDS[name]()))


async def test_a_run_that_goes_on_from_a_checkpoint_is_read_back_from_there() -> None:
    played = await play_forks()
    forks = {seen.after.run_id for seen in played.live if seen.after.base is not None}
    assert len(forks) == 2
    assert_same_states(played)


async def test_an_interrupted_run_is_read_back() -> None:
    played = await play_interrupted()
    assert any(seen.after.is_interrupted for seen in played.live)
    assert_same_states(played)


async def test_a_run_whose_base_was_not_fed_starts_from_nothing() -> None:
    played = await play_forks()
    forked = [f for fs in played.facts_by_run.values() for f in fs if getattr(f, "base", None)]
    for fact in forked:
        (seen,) = seen_of([fact])
        assert len(seen.before.messages) == 0
        assert seen.after.base == fact.base  # type: ignore[union-attr]
