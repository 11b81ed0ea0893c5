"""What survives the machine, and from when on."""

from __future__ import annotations

import pytest

from perstack.providers import GenerateRequest, Reply
from perstack.runtime.environment import Listener, Published
from perstack.schema.event import GenerationStarted, RunStarted
from perstack.schema.message import Json
from perstack.storage.memory import MemoryStore
from perstack.testing import call, say, together
from perstack.testing.fake_tools import FakeTools
from runtime.stage import Stage, solo
from worlds import World, expert, replies, role, wire_name

pytestmark = pytest.mark.anyio


class Sync(MemoryStore):
    """A store that says how many events of all runs are durable."""

    durable = 0

    @property
    def kept(self) -> int:
        return sum(map(len, self.lines.values()))

    async def flush(self, job_id: str) -> None:
        await super().flush(job_id)
        self.durable = self.kept


def on_sync(stage: Stage) -> tuple[Stage, Sync]:
    stage.store = store = Sync()
    return stage, store


@pytest.mark.parametrize(("effect", "is_durable"), [("unknown", True), ("none", False)])
async def test_a_call_is_durable_before_it_may_change_something(effect, is_durable):
    seen: list[bool] = []

    def tool(_: Json) -> str:
        seen.append(store.durable == store.kept)
        return "done"

    stage, store = on_sync(solo(call("tool"), say("Result.")))
    stage.world.more_tools = lambda: FakeTools({"tool": tool}, {"tool": effect})
    await stage.begin()
    assert seen == [is_durable]


class Looks(Listener):
    """At each fact of a kind: how many events were kept before it and not durable."""

    def __init__(self, store: Sync, kind: type[object]) -> None:
        self.owed: list[int] = []
        self._store, self._kind = store, kind

    async def recorded(self, published: Published) -> None:
        if isinstance(published.fact, self._kind):
            self.owed.append(self._store.kept - 1 - self._store.durable)


async def test_a_step_is_durable_before_the_next_one_begins():
    stage, store = on_sync(solo(call("look"), call("look"), say("Result.")))
    looks = Looks(store, GenerationStarted)
    async with stage.opened(lambda env: env.listeners.append(looks)) as job:
        await job.ask(stage.lead, "Begin.")
        await job.carry_on()
    assert looks.owed[1:] == [0, 0]


async def test_a_run_at_rest_is_durable_and_so_is_a_parent_before_its_delegates_start():
    def model(request: GenerateRequest) -> Reply:
        if role(request) == "lead" and not replies(request):
            return together(call("helper", {"query": "go"}))
        return say("Done.")

    experts = {"lead": expert("lead", delegates=("helper",)), "helper": expert("helper")}
    stage, store = on_sync(Stage(World(experts, model)))
    looks = Looks(store, RunStarted)
    async with stage.opened(lambda env: env.listeners.append(looks)) as job:
        await job.ask(stage.lead, "Begin.")
        await job.carry_on()
    assert looks.owed[1:] == [0, 0], "the delegate's start and the parent's return"
    assert store.durable == store.kept
    assert wire_name(stage.log.facts[-1]) == "completeRun"
