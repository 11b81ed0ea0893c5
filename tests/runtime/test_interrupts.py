"""Stopping a job from outside, wherever it is, and carrying it on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import anyio
import pytest

from perstack.kernel.state import RunState
from perstack.providers import GenerateRequest, Reply
from perstack.runtime.environment import Environment, Listener, Published, Stop
from perstack.runtime.job import OpenJob
from perstack.schema.checkpoint import Job
from perstack.schema.event import GenerationStarted, RunStoppedByError, ToolCallCompleted
from perstack.schema.message import Json
from perstack.schema.tool import OUTCOME_UNKNOWN, ToolOutput
from perstack.testing import ScriptedModel, call, fail, say, together
from perstack.testing.fake_tools import FakeTools
from runtime.stage import FIN, STEP, Stage, solo
from worlds import World, expert, replies, role

pytestmark = pytest.mark.anyio


class Gate:
    """Holds what comes to it, from the first on, and lets a test wait for that."""

    def __init__(self, when: Callable[[GenerateRequest], bool] = lambda _: True) -> None:
        self.reached = anyio.Event()
        self.is_open = False
        self._when = when

    async def hold(self, request: GenerateRequest | None = None) -> None:
        if not self.is_open and (request is None or self._when(request)):
            self.reached.set()
            await anyio.sleep_forever()


async def interrupted(
    stage: Stage,
    gate: Gate,
    change: Callable[[Environment], object] = lambda _: None,
    *,
    begins: bool = True,
) -> Job:
    """The job, stopped once something came to the gate. The gate is open from then on."""
    stop, jobs = Stop(), list[Job]()

    def stoppable(env: Environment) -> None:
        env.stop = stop
        change(env)

    async def carry_on(job: OpenJob) -> None:
        jobs.append(await job.carry_on())

    async with stage.opened(stoppable) as job:
        if begins:
            await job.ask(stage.lead, "Begin.")
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(carry_on, job)
                await gate.reached.wait()
                stop.set()
    gate.is_open = True
    return jobs[0]


def held(stage: Stage, gate: Gate) -> Stage:
    stage.world.provider = ScriptedModel(stage.world.model, before=gate.hold)
    return stage


def interruptions(stage: Stage) -> list[str]:
    facts = [fact for fact in stage.log.facts if isinstance(fact, RunStoppedByError)]
    assert all(fact.error.name == "Interrupted" and fact.error.is_retryable for fact in facts)
    return [fact.expert_key for fact in facts]


async def test_a_run_stopped_while_generating_is_carried_on_without_a_second_start():
    gate = Gate()
    stage = held(solo(call("attemptCompletion"), say("Result.")), gate)
    job = await interrupted(stage, gate)
    assert job.status == "stoppedByError"
    assert await stage.types() == ["startRun", "startGeneration", "stopRunByError"]
    assert (await stage.only("lead")).is_interrupted

    job = await stage.go_on()
    assert await stage.types() == [
        "startRun",
        "startGeneration",
        "stopRunByError",
        *FIN[1:],
    ]
    assert (job.status, job.total_steps) == ("completed", 1)


@pytest.mark.parametrize(("effect", "made"), [("unknown", 1), ("idempotent", 2), ("none", 2)])
async def test_a_tool_cut_short_is_left_unanswered_and_repeated_only_where_that_is_harmless(
    effect, made
):
    gate, calls = Gate(), list[Json]()

    async def slow(args: Json) -> str:
        calls.append(args)
        await gate.hold()
        return "slow is done"

    stage = solo(together(call("slow"), call("look")), say("Result."))
    stage.world.more_tools = lambda: FakeTools({"slow": slow}, {"slow": effect})
    await interrupted(stage, gate)
    state = await stage.only("lead")
    assert [call.tool_name for call in state.turn.unanswered] == ["slow"]
    assert (await stage.types())[-1] == "stopRunByError"

    await stage.go_on()
    answers = [f.tool_result.text for f in stage.log.facts if isinstance(f, ToolCallCompleted)]
    assert len(calls) == made
    assert any("slow is done" in text for text in answers) == (made == 2)
    assert any(OUTCOME_UNKNOWN.split(":")[0] in text for text in answers) == (made == 1)
    assert (await stage.only("lead")).status == "completed"


async def test_a_file_tool_finishes_and_is_answered_and_the_next_one_is_not_begun():
    reached, finish, begun = anyio.Event(), anyio.Event(), list[object]()

    async def write(args: Json) -> str:
        begun.append(args["n"])
        reached.set()
        with anyio.CancelScope(shield=True):
            await finish.wait()
        return "written"

    stage = solo(
        together(call("writeTextFile", {"n": 1}), call("writeTextFile", {"n": 2})), say("Result.")
    )
    stage.world.more_tools = lambda: FakeTools(
        {"writeTextFile": write}, skill_name="@perstack/base"
    )
    stop = Stop()
    async with stage.opened(lambda env: setattr(env, "stop", stop)) as job:
        await job.ask(stage.lead, "Begin.")
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(job.carry_on)
                await reached.wait()
                stop.set()
                finish.set()
    assert begun == [1]
    assert (await stage.types())[-3:] == ["startToolCall", "completeToolCall", "stopRunByError"]
    await stage.go_on()
    assert begun == [1, 2]


async def test_a_tool_that_breaks_because_it_is_cut_short_is_left_unanswered():
    gate = Gate()

    class Breaks(FakeTools):
        async def call(self, name: str, args: Json) -> ToolOutput:
            try:
                await gate.hold()
            except BaseException as error:
                raise RuntimeError("the pipe broke") from error
            raise AssertionError("it is made once")

    stage = solo(call("slow"), say("Result."))
    stage.world.more_tools = lambda: Breaks({"slow": lambda _: ""})
    await interrupted(stage, gate)
    assert (await stage.types())[-2:] == ["startToolCall", "stopRunByError"]
    assert interruptions(stage) == ["lead"]


async def test_a_model_that_breaks_because_it_is_cut_short_is_no_reason_to_stop_for_good():
    gate = Gate()

    async def breaks(request: GenerateRequest) -> None:
        try:
            await gate.hold()
        except BaseException as error:
            raise RuntimeError("the connection broke") from error

    stage = solo(say("Result."))
    stage.world.provider = ScriptedModel(stage.world.model, before=breaks)
    await interrupted(stage, gate)
    assert interruptions(stage) == ["lead"]
    assert (await stage.go_on()).status == "completed"


def family() -> Stage:
    """A lead with two delegates: `quick` ends at once, `slow` takes a step."""

    def model(request: GenerateRequest) -> Reply:
        match role(request), replies(request):
            case "lead", 0:
                return together(call("quick", {"query": "go"}), call("slow", {"query": "go"}))
            case "slow", 0:
                return call("look")
            case name, _:
                return say(f"{name} is done.")

    return Stage(
        World(
            {
                "lead": expert("lead", delegates=("quick", "slow")),
                "quick": expert("quick"),
                "slow": expert("slow"),
            },
            model,
        )
    )


async def test_stopped_while_delegates_work_only_those_that_run_are_interrupted():
    gate = Gate(lambda request: role(request) == "slow" and replies(request) == 1)
    stage = held(family(), gate)
    job = await interrupted(stage, gate)
    assert job.status == "stoppedByError"
    assert interruptions(stage) == ["slow"]
    assert (await stage.only("quick")).status == "completed"
    lead = await stage.only("lead")
    assert lead.status == "stoppedByDelegate"

    job = await stage.go_on()
    assert job.status == "completed"
    assert (await stage.types("slow")).count("startRun") == 1
    assert (await stage.types("quick")).count("startRun") == 1
    assert (await stage.types("lead")).count("startRun") == 2
    back = stage.starts()[-1]
    assert [result.text for result in back.tool_results] == ["quick is done.", "slow is done."]


async def test_every_running_run_records_one_interruption():
    names = {"quick", "slow"}
    waiting: set[str] = set()
    gate = Gate()

    async def hold(request: GenerateRequest) -> None:
        if role(request) in names and not gate.is_open:
            waiting.add(role(request))
            if waiting == names:
                gate.reached.set()
            await anyio.sleep_forever()

    stage = family()
    stage.world.provider = ScriptedModel(stage.world.model, before=hold)
    await interrupted(stage, gate)
    assert sorted(interruptions(stage)) == ["quick", "slow"]
    assert (await stage.go_on()).status == "completed"


async def test_a_job_stopped_between_a_delegates_end_and_its_parents_return_is_no_step_limit():
    stage, stop = family(), Stop()

    class StopsAtTheLastEnd(Listener):
        def __init__(self) -> None:
            self.ended = 0

        async def recorded(self, published: Published) -> None:
            self.ended += published.after.phase == "done"
            if self.ended == 2:
                stop.set()

    def change(env: Environment) -> None:
        env.stop = stop
        env.listeners.append(StopsAtTheLastEnd())

    async with stage.opened(change) as job:
        await job.ask(stage.lead, "Begin.")
        record = await job.carry_on()
    assert interruptions(stage) == []
    assert record.status == "stoppedByError"
    assert (await stage.go_on()).status == "completed"


async def test_a_retrys_wait_is_cut_short_at_once():
    gate = Gate()
    busy = fail("overloaded_error", 529, retryable=True, retry_after=600_000)
    asked: list[int] = []
    stage = solo(say("Result."))
    stage.world.model = lambda _: busy if (asked.append(1), len(asked))[1] == 1 else say("Result.")
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await gate.hold()

    await interrupted(stage, gate, lambda env: setattr(env, "sleep", sleep))
    assert slept == [600.0]
    assert (await stage.types())[-2:] == ["retry", "stopRunByError"]
    assert len(asked) == 1
    job = await stage.go_on()
    assert job.status == "completed"
    assert (await stage.only("lead")).retry_count == 0


async def test_stopped_before_its_first_command_a_run_says_so_and_takes_no_step():
    stage, stop = solo(say("Result.")), Stop()
    stop.set()
    async with stage.opened(lambda env: setattr(env, "stop", stop)) as job:
        await job.ask(stage.lead, "Begin.")
        record = await job.carry_on()
    assert await stage.types() == ["startRun", "stopRunByError"]
    assert (record.status, record.total_steps) == ("stoppedByError", 0)
    assert stage.world.made == [], "no tool was opened for it"
    assert (await stage.go_on()).status == "completed"


async def test_a_job_that_is_stopped_already_says_nothing_more_when_it_is_stopped_again():
    gate = Gate()
    stage = held(solo(say("Result.")), gate)
    await interrupted(stage, gate)
    stop = Stop()
    stop.set()
    async with stage.opened(lambda env: setattr(env, "stop", stop)) as job:
        await job.carry_on()
    assert await stage.types() == ["startRun", "startGeneration", "stopRunByError"]


async def test_interrupted_twice_it_is_still_the_same_run():
    stage = solo(call("look"), say("Result."))
    first, second = Gate(), Gate(lambda request: replies(request) == 1)
    held(stage, first)
    await interrupted(stage, first)
    held(stage, second)
    await interrupted(stage, second, begins=False)
    await stage.go_on()
    assert await stage.types() == [
        "startRun",
        "startGeneration",
        "stopRunByError",
        *STEP[1:],
        "startGeneration",
        "stopRunByError",
        "completeRun",
    ]
    assert (await stage.only("lead")).steps_taken == 2


async def test_tools_that_are_still_being_opened_are_given_up():
    gate = Gate()
    left: list[str] = []

    class Slow(FakeTools):
        async def __aenter__(self) -> Self:
            try:
                await gate.hold()
            finally:
                left.append("given up")
            return self

    stage = solo(say("Result."))
    stage.world.more_tools = lambda: Slow({})
    await interrupted(stage, gate)
    assert left == ["given up"]
    assert await stage.types() == ["startRun", "startGeneration", "stopRunByError"]
    assert (await stage.go_on()).status == "completed"


@pytest.mark.parametrize("is_async", [False, True])
async def test_who_embeds_a_run_may_stop_it_at_a_steps_end(is_async):
    seen: list[int] = []

    def should_continue(state: RunState) -> bool:
        seen.append(state.step_number)
        return len(seen) < 2

    async def later(state: RunState) -> bool:
        return should_continue(state)

    stage = solo(call("look"), call("look"), call("look"), say("Result."))
    hook = later if is_async else should_continue
    async with stage.opened(lambda env: setattr(env, "should_continue", hook)) as job:
        await job.ask(stage.lead, "Begin.")
        record = await job.carry_on()
    assert record.status == "stoppedByError"
    assert await stage.types() == ["startRun", *STEP, *STEP, "stopRunByError"]
    assert interruptions(stage) == ["lead"]
    assert (await stage.go_on()).status == "completed"
    assert (await stage.types()).count("startRun") == 1
    assert len([f for f in stage.log.facts if isinstance(f, GenerationStarted)]) == 4
