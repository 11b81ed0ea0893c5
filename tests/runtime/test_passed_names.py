"""A tool's name that belongs to another skill when its run goes on."""

from __future__ import annotations

import pytest

from perstack.providers import GenerateRequest
from perstack.runtime.environment import Published
from perstack.runtime.job import open_job
from perstack.schema.event import ToolCallCompleted, ToolsCalled
from perstack.storage.memory import MemoryStore
from perstack.testing import call, say
from perstack.testing.fake_tools import FakeTools
from worlds import JOB, Log, World, expert, replies

pytestmark = pytest.mark.anyio


def tools_of(skill: str, made: list[str]) -> FakeTools:
    def search(_: object) -> str:
        made.append(skill)
        return skill

    return FakeTools({"search": search}, {"search": "none"}, skill_name=skill)


@pytest.mark.parametrize(("later", "made"), [("web", ["web"]), ("other", [])])
async def test_a_call_goes_to_the_skill_it_was_recorded_for_or_to_none(later: str, made: list[str]):
    calls: list[str] = []
    skill = "web"

    def model(request: GenerateRequest):
        return say("Done.") if replies(request) else call("search")

    world = World({"lead": expert("lead")}, model, more_tools=lambda: tools_of(skill, calls))
    store = MemoryStore()

    class Stopping(Log):
        async def recorded(self, published: Published) -> None:
            if isinstance(published.fact, ToolsCalled):
                env.stop.set()

    env = world.environment(store, Stopping())
    async with open_job(JOB, env) as job:
        await job.ask(world.experts["lead"], "Begin.")
        await job.carry_on()
    assert calls == []

    skill = later
    log = Log()
    await world.play(store, log)
    [answer] = [fact for fact in log.facts if isinstance(fact, ToolCallCompleted)]
    assert calls == made
    assert answer.tool_result.is_error == (made == [])
    assert answer.tool_result.skill_name == "web"
