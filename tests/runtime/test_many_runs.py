"""Many delegates at once: all are asked, and not all at the same time."""

import anyio
import pytest

from perstack.providers import GenerateRequest, Reply
from perstack.runtime.environment import Environment
from perstack.runtime.job import MOST_AT_ONCE
from perstack.testing import ScriptedModel, call, say, together
from runtime.stage import Stage
from worlds import World, expert, replies, role

pytestmark = pytest.mark.anyio

DELEGATES = MOST_AT_ONCE + 40


async def test_runs_beyond_what_may_move_at_once_begin_as_others_come_to_rest() -> None:
    asking = most = 0

    def model(request: GenerateRequest) -> Reply:
        if role(request) == "bee":
            return say("Buzz.")
        if replies(request):
            return say("All came back.")
        return together(*(call("bee", {"query": str(n)}) for n in range(DELEGATES)))

    async def before(request: GenerateRequest) -> None:
        nonlocal asking, most
        asking += 1
        most = max(most, asking)
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        asking -= 1

    world = World({"lead": expert("lead", delegates=("bee",)), "bee": expert("bee")}, model)
    world.max_steps = 1_000
    world.provider = ScriptedModel(model, before=before)
    stage = Stage(world)

    def change(env: Environment) -> None:
        env.max_width = DELEGATES

    async with stage.opened(change) as job:
        await job.ask(stage.lead, "Begin.")
        record = await job.carry_on()
        assert len(job.states) == DELEGATES + 1
    assert record.status == "completed"
    assert 8 < most <= MOST_AT_ONCE
