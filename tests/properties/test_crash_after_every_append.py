"""The law of the house: a run that crashed anywhere and was carried on is the same run."""

from __future__ import annotations

import pytest

from perstack.storage.memory import MemoryStore
from perstack.testing.crashing_store import Crash, CrashingStore
from properties.corpus import CORPUS
from properties.laws import (
    assert_effects_once,
    assert_no_call_repeated,
    assert_no_extra_run,
    assert_same,
    assert_stretches,
    facts_of,
    outcome,
    unknown_answers,
)
from worlds import World

pytestmark = pytest.mark.anyio


async def crash(world: World, store: MemoryStore, **when: int) -> bool:
    """Play until the store crashes; False when it never did."""
    crashed = False
    try:
        await world.play(CrashingStore(store, **when))
    except* Crash:
        crashed = True
    return crashed


@pytest.mark.parametrize("name", CORPUS)
@pytest.mark.parametrize("when", ["after", "before"])
async def test_a_run_that_crashed_anywhere_and_was_carried_on_is_the_same_run(
    name: str, when: str
) -> None:
    whole_store = MemoryStore()
    whole_world = CORPUS[name]()
    whole = await outcome(await whole_world.play(whole_store), whole_store)
    total = len(await facts_of(whole_store))
    assert total > 8

    unknown = 0
    for k in range(1, total + 1):
        world, store = CORPUS[name](), MemoryStore()
        if not await crash(world, store, **{when: k}):
            # A world that fails at random points may need fewer events than the whole one.
            break
        kept = await facts_of(store)
        world.made.clear()
        job = await world.play(store)
        again = await outcome(job, store)
        facts = await facts_of(store)
        where = f"{name}, {when} append {k} of {total}"

        assert_same(again, whole, where)
        assert_no_call_repeated(kept, world, where)
        assert_effects_once(world, whole_world, facts, where)
        assert_no_extra_run(facts, where)
        assert_stretches(facts, where)
        unknown += unknown_answers(facts)
    if when == "after" and whole_world.witness.effects:
        assert unknown > 0, "a corpus without an unknown outcome proves nothing"


@pytest.mark.parametrize("name", CORPUS)
async def test_a_job_that_lost_power_does_nothing_twice_and_ends_the_same(name: str) -> None:
    """What was not flushed is gone, and what was done in the world is not."""
    whole_store = MemoryStore()
    whole_world = CORPUS[name]()
    whole = await outcome(await whole_world.play(whole_store), whole_store)
    total = len(await facts_of(whole_store))

    for k in range(1, total + 1):
        world, store = CORPUS[name](), MemoryStore()
        if not await crash(world, store, after=k):
            break
        store.lose_power()
        job = await world.play(store)
        again = await outcome(job, store)
        facts = await facts_of(store)
        where = f"{name}, power lost after append {k} of {total}"

        assert_same(again, whole, where)
        assert_effects_once(world, whole_world, facts, where)
        assert_no_extra_run(facts, where)
