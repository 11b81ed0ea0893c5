"""In whatever order calls and delegates come back, the conversation is the same."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from perstack.kernel.state import RunState
from perstack.providers import GenerateRequest, Reply
from perstack.runtime.environment import Environment, Listener, Published
from perstack.schema.event import RunCompleted, ToolCallCompleted
from perstack.schema.message import Json, ToolMessage
from perstack.testing import ScriptedModel, call, say, together
from perstack.testing.fake_tools import FakeTools
from properties.laws import normal
from runtime.stage import Stage
from worlds import World, expert, replies, role

COUNT = 5
ORDERS = st.permutations(range(COUNT))


class Turnstile(Listener):
    """Lets those who wait at it through one by one, in an order, each when the last is on record.

    `who` says whom a fact is about, where it is about one who waited.
    """

    def __init__(self, order: Sequence[int]) -> None:
        self.gates = [anyio.Event() for _ in order]
        self.order = list(order)
        self.came_back: list[int] = []
        self._arrived = 0

    async def wait(self, number: int) -> None:
        self._arrived += 1
        if self._arrived == len(self.order):
            self.gates[self.order[0]].set()
        await self.gates[number].wait()

    async def recorded(self, published: Published) -> None:
        fact = published.fact
        if isinstance(fact, ToolCallCompleted) and fact.tool_result.tool_name.startswith("t"):
            self._through(int(fact.tool_result.tool_name[1:]))
        elif isinstance(fact, RunCompleted) and fact.expert_key.startswith("d"):
            self._through(int(fact.expert_key[1:]))

    def _through(self, number: int) -> None:
        self.came_back.append(number)
        if len(self.came_back) < len(self.order):
            self.gates[self.order[len(self.came_back)]].set()


def texts(state: RunState) -> list[object]:
    answers = [message for message in state.messages if isinstance(message, ToolMessage)]
    return [
        (part.tool_call_id, part.contents, part.is_error)
        for message in answers
        for part in message.contents
    ]


def unnamed(answers: list[object]) -> str:
    """Without ids, which are made by chance."""
    import re

    return re.sub(r"id='[^']*'", "", repr(answers))


async def tools_in(order: Sequence[int]) -> tuple[object, str]:
    turnstile = Turnstile(order)

    def tool(number: int):
        async def wait(_: Json) -> str:
            await turnstile.wait(number)
            if number == 2:
                raise ValueError("two is broken")
            return f"answer {number}"

        return wait

    def model(request: GenerateRequest) -> Reply:
        if replies(request):
            return say("Done.")
        return together(*(call(f"t{number}", id=f"c{number}") for number in range(COUNT)))

    stage = Stage(World({"lead": expert("lead")}, model))
    stage.world.more_tools = lambda: FakeTools({f"t{n}": tool(n) for n in range(COUNT)})
    await begin(stage, turnstile)
    state = await stage.only("lead")
    return normal(state), unnamed(texts(state))


async def delegates_in(order: Sequence[int]) -> tuple[object, str]:
    turnstile = Turnstile(order)
    names = [f"d{number}" for number in range(COUNT)]

    async def hold(request: GenerateRequest) -> None:
        if role(request) in names:
            await turnstile.wait(int(role(request)[1:]))

    def model(request: GenerateRequest) -> Reply:
        if role(request) != "lead" or replies(request):
            return say(f"{role(request)} is done.")
        return together(*(call(name, {"query": "go"}, id=f"c-{name}") for name in names))

    experts = {"lead": expert("lead", delegates=names), **{name: expert(name) for name in names}}
    stage = Stage(World(experts, model))
    stage.world.provider = ScriptedModel(model, before=hold)
    await begin(stage, turnstile)
    state = await stage.only("lead")
    return normal(state), unnamed(texts(state))


async def begin(stage: Stage, turnstile: Turnstile) -> None:
    def change(env: Environment) -> None:
        env.listeners.append(turnstile)

    with anyio.fail_after(10):
        async with stage.opened(change) as job:
            await job.ask(stage.lead, "Begin.")
            assert (await job.carry_on()).status == "completed"
    assert turnstile.came_back == turnstile.order


@settings(max_examples=30, deadline=None)
@given(ORDERS)
def test_tools_may_come_back_in_any_order(order: Sequence[int]) -> None:
    assert anyio.run(tools_in, order) == anyio.run(tools_in, range(COUNT))


@settings(max_examples=30, deadline=None)
@given(ORDERS)
def test_delegates_may_come_back_in_any_order(order: Sequence[int]) -> None:
    assert anyio.run(delegates_in, order) == anyio.run(delegates_in, range(COUNT))
