"""A job that was cancelled or stopped at any moment and carried on is the same job."""

from __future__ import annotations

from typing import Literal

import anyio
import anyio.lowlevel
import pytest

from perstack.providers import GenerateRequest
from perstack.runtime.environment import Environment
from perstack.runtime.job import open_job
from perstack.schema.checkpoint import Job
from perstack.schema.event import Fact, RunEvent
from perstack.schema.settings import Settings
from perstack.storage.memory import MemoryStore
from perstack.testing import ScriptedModel
from properties.corpus import CORPUS
from properties.laws import (
    STOPS,
    assert_effects_once,
    assert_no_call_repeated,
    assert_no_extra_run,
    assert_same,
    assert_stretches,
    facts_of,
    outcome,
    unknown_answers,
)
from worlds import JOB, World

pytestmark = pytest.mark.anyio


class SlowStore(MemoryStore):
    """A store that lets the world turn around everything it does."""

    async def append(self, event: Fact, line: bytes) -> None:
        await anyio.lowlevel.checkpoint()
        await super().append(event, line)
        await anyio.lowlevel.checkpoint()

    async def flush(self, job_id: str) -> None:
        await anyio.lowlevel.checkpoint()
        await super().flush(job_id)

    async def open_run(self, job_id: str, run_id: str, settings: Settings) -> None:
        await super().open_run(job_id, run_id, settings)
        await anyio.lowlevel.checkpoint()

    async def put_job(self, job: Job) -> None:
        await anyio.lowlevel.checkpoint()
        await super().put_job(job)


async def turn(_: GenerateRequest) -> None:
    await anyio.lowlevel.checkpoint()


async def cut_short(
    world: World, store: MemoryStore, moment: int, how: Literal["cancel", "stop"]
) -> bool:
    """Play until that many turns of the event loop; False when the job was over before that."""
    world.provider = ScriptedModel(world.model, before=turn)
    env = world.environment(store)
    was_cut = False

    async def cut() -> None:
        nonlocal was_cut
        for _ in range(moment):
            await anyio.lowlevel.checkpoint()
        was_cut = True
        if how == "stop":
            env.stop.set()
        else:
            plays.cancel()

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cut)
            with anyio.CancelScope() as plays:
                await play(world, env)
            tasks.cancel_scope.cancel()
    world.provider = None
    return was_cut


async def play(world: World, env: Environment) -> None:
    async with open_job(JOB, env) as job:
        while not env.stop.is_set and await world.next(job):
            await job.carry_on()
        if env.stop.is_set:
            await job.carry_on()


@pytest.mark.parametrize("name", CORPUS)
@pytest.mark.parametrize("how", ["cancel", "stop"])
async def test_a_job_that_was_cut_short_at_any_moment_and_carried_on_is_the_same_job(
    name: str, how: Literal["cancel", "stop"]
) -> None:
    whole_world, whole_store = CORPUS[name](), MemoryStore()
    whole = await outcome(await whole_world.play(whole_store), whole_store)

    unknown = moment = 0
    while True:
        moment += 1
        world, store = CORPUS[name](), SlowStore()
        was_cut = await cut_short(world, store, moment, how)
        kept = await facts_of(store)
        where = f"{name}, {how} at moment {moment}"
        if how == "stop":
            _assert_every_run_says_so(kept, where)
        world.made.clear()
        job = await world.play(store)
        facts = await facts_of(store)
        assert_same(await outcome(job, store), whole, where)
        assert_no_call_repeated(kept, world, where)
        assert_effects_once(world, whole_world, facts, where)
        assert_no_extra_run(facts, where)
        assert_stretches(facts, where)
        unknown += unknown_answers(facts)
        if not was_cut:
            break
    assert moment > 20
    if whole_world.witness.effects and how == "cancel":
        assert unknown > 0, "a corpus without an unknown outcome proves nothing"


def _assert_every_run_says_so(facts: list[object], where: str) -> None:
    last = {fact.run_id: fact for fact in facts if isinstance(fact, RunEvent)}
    assert all(isinstance(fact, STOPS) for fact in last.values()), where
