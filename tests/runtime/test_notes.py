"""What a run's tools tell its log, also while the run rests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from perstack.providers import GenerateRequest
from perstack.runtime.environment import Environment
from perstack.runtime.job import open_job
from perstack.runtime.replay import read_job
from perstack.schema.event import RuntimeEvent, SkillDisconnected, SkillStderr
from perstack.schema.expert import Definition
from perstack.schema.message import Json
from perstack.skills import ToolSource
from perstack.storage.memory import MemoryStore
from perstack.testing import call, say
from perstack.testing.fake_tools import FakeTools
from worlds import JOB, Log, World, expert, replies, role

pytestmark = pytest.mark.anyio

Notes = dict[str, Callable[[RuntimeEvent], Awaitable[None]]]


def listening(env: Environment) -> Notes:
    """How each Expert's tools write to its run's log, once they are opened."""
    notes: Notes = {}
    opened = env.open_toolbox

    def open_toolbox(definition: Definition, state: Any, *, note: Any, **more: Any) -> ToolSource:
        notes[definition.expert.key] = note
        return opened(definition, state, note=note, **more)

    env.open_toolbox = open_toolbox
    return notes


async def test_a_note_while_its_run_rests_has_its_place_in_the_log():
    notes: Notes = {}

    async def chatter(_: Json) -> str:
        """Called by the delegate while the run that asked it rests."""
        await notes["lead"](SkillStderr(skill_name="web", message="Still here."))
        return "told"

    def model(request: GenerateRequest):
        if role(request) == "lead":
            return say("Led.") if replies(request) else call("helper", {"query": "Go"})
        return say("Helped.") if replies(request) else call("chatter")

    experts = {"lead": expert("lead", delegates=["helper"]), "helper": expert("helper")}
    world = World(experts, model, more_tools=lambda: FakeTools({"chatter": chatter}))
    store, log = MemoryStore(), Log()
    env = world.environment(store, log)
    notes = listening(env)
    async with open_job(JOB, env) as job:
        await job.ask(experts["lead"], "Begin.")
        await job.carry_on()
        assert job.coordinator is not None
        assert job.coordinator.text == "Led."
        await notes["lead"](SkillDisconnected(skill_name="web"))
        assert job.states == await read_job(store, JOB)
    for run_id in job.states:
        counted = [fact.seq for fact in log.facts if fact.run_id == run_id]
        assert counted == list(range(1, len(counted) + 1))


async def test_a_lost_skill_is_told_to_the_model_and_a_later_start_takes_it_back():
    prompts: list[str] = []

    def model(request: GenerateRequest):
        prompts.append(request.instruction)
        return call("lose") if not replies(request) else say("Done.")

    notes: Notes = {}

    async def lose(_: Json) -> str:
        """The server of a skill ends for good in the middle of the run."""
        lost = SkillDisconnected(skill_name="web", reason="It ended.", tools_lost=True)
        await notes["lead"](lost)
        return "lost"

    world = World({"lead": expert("lead")}, model, more_tools=lambda: FakeTools({"lose": lose}))
    env = world.environment(MemoryStore())
    notes = listening(env)
    async with open_job(JOB, env) as job:
        await job.ask(world.experts["lead"], "Begin.")
        await job.carry_on()
    first, second = prompts
    assert (
        second
        == f"{first}\n# Skills that are not running\n\n- web: It ended. Its tools cannot be used.\n"
    )
