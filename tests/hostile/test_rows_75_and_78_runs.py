"""Clocks that jump, and Experts that delegate without end, through the real runtime."""

from __future__ import annotations

from itertools import cycle

import pytest

from perstack.providers import GenerateRequest, Reply
from perstack.runtime.environment import Environment
from perstack.schema.event import DelegatesCalled, RunStarted, ToolCallCompleted
from perstack.testing import call, fail, say, together
from runtime.stage import Stage, solo
from worlds import World, expert, replies, role

pytestmark = [pytest.mark.anyio, pytest.mark.hostile]

HOUR = 3_600_000
JUMPS = (
    1_700_000_000_000,
    1_700_000_000_000 - 24 * HOUR,
    2**31 * 1000 + 5,
    1_700_000_000_000 + HOUR,
    1_700_000_000_000,
    0,
    2**32 * 1000,
)


async def test_row_75_a_clock_that_jumps_changes_neither_order_nor_durations_nor_waits():
    def jumps(env: Environment) -> None:
        times, ticks = cycle(JUMPS), iter(range(10**6))
        env.now_ms = lambda: next(times)
        env.monotonic_ms = lambda: 7 * next(ticks)
        env.sleep = sleep

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    async def play(jump: bool) -> tuple[list[str], Stage]:
        attempts = iter(
            [
                fail("overloaded_error", 529, retryable=True, retry_after=1500),
                together(call("look"), call("effect", {"name": "x"})),
                call("attemptCompletion"),
                say("Result."),
            ]
        )
        stage = solo(say("never asked"))
        stage.world.model = lambda _: next(attempts)
        async with stage.opened(jumps if jump else lambda _: None) as job:
            await job.ask(stage.lead, "Begin.")
            assert (await job.carry_on()).status == "completed"
        return await stage.types(), stage

    waits: list[float] = []
    steady, _ = await play(jump=False)
    jumped, stage = await play(jump=True)
    assert jumped == steady
    assert [fact.seq for fact in stage.log.facts] == list(range(1, len(stage.log.facts) + 1))
    assert len({fact.timestamp for fact in stage.log.facts}) == len(set(JUMPS))
    answers = [fact for fact in stage.log.facts if isinstance(fact, ToolCallCompleted)]
    assert all(fact.duration_ms > 0 for fact in answers)
    assert waits == [1.5]


def mirror(max_steps: int = 100) -> Stage:
    """Two Experts that do nothing but delegate to each other."""

    def model(request: GenerateRequest) -> Reply:
        me = role(request)
        other = "b" if me == "a" else "a"
        return say(f"{me} gives up.") if replies(request) else call(other, {"query": "you do it"})

    experts = {"a": expert("a", delegates=("b",)), "b": expert("b", delegates=("a",))}
    return Stage(World(experts, model, coordinator="a", max_steps=max_steps))


async def test_row_78_delegates_that_delegate_to_each_other_end_at_the_depth_cap():
    stage = mirror()
    job = await stage.begin()
    assert job.status == "completed"
    states = await stage.states()
    assert len(states) == 9, "the coordinator and eight generations"
    refusals = [
        fact.tool_result.text
        for fact in stage.log.facts
        if isinstance(fact, ToolCallCompleted) and fact.tool_result.is_error
    ]
    assert len(refusals) == 1
    assert "delegate too deep" in refusals[0]


async def test_row_78_the_depth_cap_counts_from_the_coordinator_in_a_new_process_too():
    stage = mirror(max_steps=4)
    assert (await stage.begin()).status == "stoppedByMaxSteps"
    stage.world.max_steps = 100
    assert (await stage.go_on()).status == "completed"
    assert len(await stage.states()) == 9


async def test_row_78_ten_thousand_delegates_of_one_reply_are_refused_but_for_the_first():
    many = together(*(call("b", {"query": "go"}) for _ in range(10_000)))

    def model(request: GenerateRequest) -> Reply:
        return many if role(request) == "a" and not replies(request) else say("Done.")

    experts = {"a": expert("a", delegates=("b",)), "b": expert("b")}
    stage = Stage(World(experts, model, coordinator="a"))
    assert (await stage.begin()).status == "completed"
    (named,) = [fact for fact in stage.log.facts if isinstance(fact, DelegatesCalled)]
    assert len(named.children) == 32
    assert len(await stage.states()) == 33
    refused = [fact for fact in stage.log.facts if isinstance(fact, ToolCallCompleted)]
    assert len(refused) == 9968
    assert all("at most 32 delegates" in fact.tool_result.text for fact in refused)


async def test_row_78_delegates_that_multiply_end_at_the_step_limit_and_open_no_tools_there():
    def model(request: GenerateRequest) -> Reply:
        return together(*(call("a", {"query": "more"}) for _ in range(32)))

    experts = {"a": expert("a", delegates=("a",))}
    stage = Stage(World(experts, model, coordinator="a", max_steps=20))
    job = await stage.begin()
    assert (job.status, job.total_steps) == ("stoppedByMaxSteps", 20)
    assert len(await stage.states()) == 1 + 20 * 32
    assert len(stage.world.made) <= 21


async def test_row_78_an_expert_that_is_not_among_the_delegates_is_an_unknown_tool():
    def model(request: GenerateRequest) -> Reply:
        if replies(request):
            return say("Done.")
        return together(
            *(call(name, {"query": "go"}) for name in ("stranger", "@team/stranger", "a"))
        )

    experts = {"a": expert("a", delegates=("b",)), "b": expert("b"), "stranger": expert("stranger")}
    stage = Stage(World(experts, model, coordinator="a"))
    assert (await stage.begin()).status == "completed"
    answers = [fact for fact in stage.log.facts if isinstance(fact, ToolCallCompleted)]
    assert all("There is no tool named" in fact.tool_result.text for fact in answers)
    assert len(answers) == 3
    assert len([fact for fact in stage.log.facts if isinstance(fact, RunStarted)]) == 1
