"""Trouble inside a run is a value; trouble with the store is raised as what it is."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import anyio
import anyio.abc
import pytest
from msgspec.structs import replace

from perstack.errors import (
    ConfigurationError,
    CorruptLog,
    StorageError,
    UnknownExpert,
    UsageError,
)
from perstack.providers import Failure, GenerateRequest, Reply, TextDelta
from perstack.runtime.environment import Environment, Listener, Published
from perstack.runtime.job import open_job
from perstack.runtime.replay import read_job, state_at
from perstack.schema.checkpoint import BaseRef, RunError
from perstack.schema.event import (
    Fact,
    RunStarted,
    Shown,
    TextStreamed,
    ToolCallCompleted,
    ToolCallStarted,
    ToolsCalled,
)
from perstack.schema.line import json_line
from perstack.schema.message import Json, TextPart, ToolCallPart
from perstack.schema.settings import Settings
from perstack.schema.tool import ToolOutput
from perstack.storage.memory import MemoryStore
from perstack.testing import call, say, together
from perstack.testing.crashing_store import Crash, CrashingStore
from perstack.testing.fake_tools import FakeTools
from runtime.stage import STEP, Stage, listed, solo
from worlds import JOB, World, expert, replies, role

pytestmark = pytest.mark.anyio


def answers(stage: Stage) -> dict[str, str]:
    facts = [fact for fact in stage.log.facts if isinstance(fact, ToolCallCompleted)]
    return {fact.tool_result.id: fact.tool_result.text for fact in facts}


# Tools


class Raising(FakeTools):
    """Breaks the contract of a ToolSource: it raises."""

    async def call(self, name: str, args: Json) -> ToolOutput:
        raise RuntimeError("the pipe burst")


async def test_a_tool_that_raises_is_an_answer_and_the_others_go_on():
    stage = solo(together(call("bad"), call("effect", {"name": "x"})), say("Result."))
    stage.world.more_tools = lambda: Raising({"bad": lambda _: ""})
    assert (await stage.begin()).status == "completed"
    assert "bad failed: RuntimeError: the pipe burst" in answers(stage)["call-1-0"]
    assert stage.world.witness.effects == {"x": 1}


async def test_an_answer_that_cannot_be_written_down_is_an_error_for_the_model():
    def half(_: Json) -> str:
        return "half a character: \ud83d"

    stage = solo(call("half"), say("Result."))
    stage.world.more_tools = lambda: FakeTools({"half": half})
    assert (await stage.begin()).status == "completed"
    assert "The answer of half cannot be kept" in answers(stage)["call-1-0"]
    assert await stage.types() == ["startRun", *STEP, "startGeneration", "completeRun"]


async def test_tools_that_cannot_be_opened_stop_the_run_with_an_event():
    class Broken(FakeTools):
        async def __aenter__(self) -> Self:
            raise ConfigurationError("skill web needs WEB_KEY")

    stage = solo(say("Result."))
    stage.world.more_tools = lambda: Broken({})
    job = await stage.begin()
    assert job.status == "stoppedByError"
    assert await stage.types() == ["startRun", "startGeneration", "stopRunByError"]
    error = (await stage.only("lead")).error
    assert error == RunError(
        name="ConfigurationError", message="skill web needs WEB_KEY", is_retryable=False
    )


class Grouped(FakeTools):
    """Keeps a task group open, as clients of servers do: it must be left in its own task."""

    living = 0
    most = 0

    async def __aenter__(self) -> Self:
        self.tasks: anyio.abc.TaskGroup = anyio.create_task_group()
        await self.tasks.__aenter__()
        self.tasks.start_soon(anyio.sleep_forever)
        Grouped.living += 1
        Grouped.most = max(Grouped.most, Grouped.living)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        Grouped.living -= 1
        self.tasks.cancel_scope.cancel()
        await self.tasks.__aexit__(None, None, None)


def chain(length: int) -> Stage:
    """Each Expert asks the next; the last one looks."""
    names = [f"e{n}" for n in range(length)]

    def model(request: GenerateRequest) -> Reply:
        name = role(request)
        if replies(request):
            return say(f"{name} is done.")
        return call(f"e{int(name[1:]) + 1}", {"query": "go"}) if name != names[-1] else call("look")

    experts = {name: expert(name, delegates=names[n + 1 : n + 2]) for n, name in enumerate(names)}
    return Stage(World(experts, model, coordinator="e0"))


async def test_tools_live_from_a_runs_first_stretch_to_its_end_each_in_a_task_of_its_own():
    Grouped.living = Grouped.most = 0
    stage = chain(4)
    stage.world.more_tools = lambda: Grouped({})
    async with stage.opened() as job:
        await job.ask(stage.lead, "Begin.")
        assert (await job.carry_on()).status == "completed"
        with anyio.fail_after(5):
            while Grouped.living:
                await anyio.lowlevel.checkpoint()
        assert Grouped.most == 4, "a resting run keeps its tools"
        assert len(stage.world.made) == 4, "and has them again when it moves"


async def test_tools_are_closed_when_the_block_of_the_job_raises_and_it_raises_what_it_raised():
    Grouped.living = 0
    stage = solo(call("look"), max_steps=1)
    stage.world.more_tools = lambda: Grouped({})

    async def block() -> None:
        async with stage.opened() as job:
            await job.ask(stage.lead, "Begin.")
            await job.carry_on()
            assert Grouped.living == 1
            raise UsageError("mine")

    with pytest.raises(UsageError, match="mine"):
        await block()
    assert Grouped.living == 0


async def test_a_run_at_the_step_limit_opens_no_tools():
    stage = solo(say("Result."), max_steps=0)
    assert (await stage.begin()).status == "stoppedByMaxSteps"
    assert stage.world.made == []


async def test_calls_of_one_reply_are_bounded_in_number_at_any_time():
    now = most = 0

    async def count(_: Json) -> str:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()
        now -= 1
        return "counted"

    stage = solo(together(*(call("count") for _ in range(300))), say("Result."))
    stage.world.more_tools = lambda: FakeTools({"count": count}, {"count": "none"})
    assert (await stage.begin()).status == "completed"
    assert 2 <= most <= 64


# Calls as a model may make them


async def test_calls_that_share_an_id_are_told_apart_and_each_has_its_answer():
    same = together(
        call("look", {"name": "one"}, id="x"),
        call("look", {"name": "two"}, id="x"),
        call("look", {"name": "three"}, id="x"),
    )
    stage = solo(same, say("Result."))
    await stage.begin()
    assert sorted(answers(stage).values()) == ["saw one", "saw three", "saw two"]
    (asked,) = [fact for fact in stage.log.facts if isinstance(fact, ToolsCalled)]
    ids = [part.tool_call_id for part in asked.new_message.calls]
    assert ids[0] == "x"
    assert len(set(ids)) == 3


async def test_a_problem_of_an_id_that_several_calls_have_is_a_problem_of_each():
    parts = (
        ToolCallPart(tool_call_id="x", tool_name="effect", args={"name": "good"}),
        ToolCallPart(tool_call_id="x", tool_name="effect", args={}),
        ToolCallPart(tool_call_id="", tool_name="look", args={}),
    )
    bad = Reply(contents=parts, problems={"x": "the arguments are no JSON", "": "no JSON"})
    requests = iter([bad, say("Result.")])

    class Raw:
        async def generate(self, request: GenerateRequest):
            yield next(requests)

        async def aclose(self) -> None:
            """Nothing to close."""

    stage = solo(say("Result."))
    stage.world.provider = Raw()
    assert (await stage.begin()).status == "completed"
    assert stage.world.witness.effects.total() == 0
    assert all("no JSON" in text for text in answers(stage).values())
    assert len(answers(stage)) == 3


# Providers


async def test_a_vendors_error_of_our_own_name_for_being_stopped_ends_the_run_for_good():
    error = RunError(name="Interrupted", message="The vendor's word.", is_retryable=False)
    stage = listed(Failure(error=error))
    assert (await stage.begin()).status == "stoppedByError"
    state = await stage.only("lead")
    assert state.error == replace(error, name="ProviderInterrupted")
    assert state.is_answer
    assert not state.is_interrupted


async def test_a_provider_that_raises_or_says_nothing_stops_the_run_with_an_event():
    class Silent:
        async def generate(self, request: GenerateRequest):
            for piece in ():
                yield piece

        async def aclose(self) -> None:
            """Nothing to close."""

    class Raises(Silent):
        async def generate(self, request: GenerateRequest):
            raise RuntimeError("a bug")
            yield

    stage = solo(say("never asked"), max_retries=1)
    stage.world.provider = Silent()
    await stage.begin()
    assert (await stage.types())[1:] == ["startGeneration", "retry", "stopRunByError"]
    broken = solo(say("never asked"))
    broken.world.provider = Raises()
    await broken.begin()
    assert await broken.types() == ["startRun", "startGeneration", "stopRunByError"]
    error = (await broken.only("lead")).error
    assert error == RunError(name="RuntimeError", message="a bug", is_retryable=False)


async def test_a_stream_is_closed_by_the_run_that_read_it():
    closed: list[str] = []

    class Streams:
        async def generate(self, request: GenerateRequest):
            try:
                yield say("Result.")
                await anyio.sleep_forever()
            finally:
                closed.append("closed")

        async def aclose(self) -> None:
            """Nothing to close."""

    stage = solo(say("never asked"))
    stage.world.provider = Streams()

    class Hears(Listener):
        async def recorded(self, published: Published) -> None:
            if published.after.status == "completed":
                closed.append("completed")

    async with stage.opened(lambda env: env.listeners.append(Hears())) as job:
        await job.ask(stage.lead, "Begin.")
        await job.carry_on()
    assert closed == ["closed", "completed"]


# Delegates


def asks_helper() -> Stage:
    def model(request: GenerateRequest) -> Reply:
        if role(request) == "lead" and not replies(request):
            return call("helper", {"query": "go"})
        return say("Done.")

    experts = {"lead": expert("lead", delegates=("helper",)), "helper": expert("helper")}
    return Stage(World(experts, model))


async def crash_after(stage: Stage, appends: int) -> None:
    try:
        await stage.world.play(CrashingStore(stage.store, after=appends))
    except* Crash:
        pass


async def appends_until(stage: Stage, kind: str, name: str) -> int:
    """How many appends a whole job takes up to the first `kind` of the Expert `name`."""
    whole = Stage(stage.world)
    await whole.begin()
    for number, fact in enumerate(whole.log.facts, 1):
        if type(fact).__struct_config__.tag == kind and getattr(fact, "expert_key", "") == name:
            return number
    raise AssertionError(f"{name} has no {kind}")


@pytest.mark.parametrize("kind", ["callDelegate", "stopRunByDelegate"])
async def test_a_crash_around_a_delegating_runs_rest_names_no_second_child(kind):
    stage = asks_helper()
    await crash_after(stage, await appends_until(stage, kind, "lead"))
    assert (await stage.go_on()).status == "completed"
    assert len([start for start in stage.starts() if start.definition]) == 1
    assert len(await stage.states()) == 2


async def test_a_delegate_that_is_gone_when_its_run_would_start_is_an_answer():
    stage = asks_helper()
    await crash_after(stage, await appends_until(stage, "stopRunByDelegate", "lead"))
    del stage.world.experts["helper"]
    assert (await stage.go_on()).status == "completed"
    back = stage.starts()[-1].tool_results[0]
    assert (back.text, back.is_error) == ("Delegation failed: There is no Expert helper", True)


async def test_a_run_whose_expert_was_gone_is_never_driven_without_an_instruction():
    stage = asks_helper()
    known = stage.world.experts["helper"]
    await crash_after(stage, await appends_until(stage, "stopRunByDelegate", "lead"))
    del stage.world.experts["helper"]
    await crash_after(stage, 1)
    assert (await stage.only("helper")).status == "proceeding", "it has begun and not stopped"
    stage.world.experts["helper"] = known
    assert (await stage.go_on()).status == "completed"
    assert await stage.types("helper") == ["startGeneration", "stopRunByError"]
    error = (await stage.only("helper")).error
    assert error is not None
    assert error.name == UnknownExpert.__name__


async def test_a_refused_delegate_is_started_once_however_often_the_process_dies():
    def model(request: GenerateRequest) -> Reply:
        if not replies(request):
            return call("helper", {"query": "  "})
        return say("Done.")

    stage = Stage(World({"lead": expert("lead", delegates=("helper",))}, model))
    await crash_after(stage, await appends_until(stage, "startToolCall", "lead"))
    await stage.go_on()
    facts = [fact async for fact in stage.store.events(JOB, (await stage.only("lead")).run_id)]
    assert sum(isinstance(fact, ToolCallStarted) for fact in facts) == 1
    assert "must be a text that says what to do" in answers(stage)["call-1-0"]


# The store


class Full(MemoryStore):
    """A store with no room for the events of one Expert."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.others = anyio.Event()

    async def append(self, event: Fact, line: bytes) -> None:
        if getattr(event, "expert_key", "") == self.name and not isinstance(event, RunStarted):
            raise StorageError("No space left on device")
        await super().append(event, line)


async def test_a_store_that_fails_in_the_middle_of_parallel_delegates_raises_as_what_it_is():
    def model(request: GenerateRequest) -> Reply:
        if role(request) == "lead" and not replies(request):
            return together(*(call(name, {"query": "go"}) for name in ("a", "b", "c")))
        return call("look") if role(request) == "c" and not replies(request) else say("Done.")

    experts = {
        "lead": expert("lead", delegates=("a", "b", "c")),
        **{name: expert(name) for name in ("a", "b", "c")},
    }
    stage = Stage(World(experts, model))
    stage.store = full = Full("b")
    with pytest.raises(StorageError, match="No space left"):
        await stage.begin()
    assert (await stage.only("b")).phase == "ready"
    full.name = "nobody"
    assert (await stage.go_on()).status == "completed"
    assert len(await stage.states()) == 4


async def test_a_job_goes_on_in_the_same_hands_after_it_was_cancelled():
    reached = anyio.Event()

    async def slow(_: Json) -> str:
        if not reached.is_set():
            reached.set()
            await anyio.sleep_forever()
        return "slow is done"

    stage = solo(call("slow"), say("Result."))
    stage.world.more_tools = lambda: FakeTools({"slow": slow}, {"slow": "none"})
    async with stage.opened() as job:
        await job.ask(stage.lead, "Begin.")
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(job.carry_on)
                await reached.wait()
                tasks.cancel_scope.cancel()
        assert (await job.carry_on()).status == "completed"
    assert await stage.types() == ["startRun", *STEP, "startGeneration", "completeRun"]


# Listeners


async def test_pieces_of_a_reply_are_told_to_those_alone_who_want_them():
    class Hears(Listener):
        text = ""

        async def said(self, event: TextStreamed) -> None:
            assert event.run_id
            self.text += event.delta

    class Pieces:
        async def generate(self, request: GenerateRequest):
            for piece in ("I ", "looked."):
                yield TextDelta(text=piece)
            yield say("I looked.")

        async def aclose(self) -> None:
            """Nothing to close."""

    stage = solo(say("never asked"))
    stage.world.provider = Pieces()

    class Listens(Hears):
        hears_text = True

    hears, is_deaf = Listens(), Hears()
    async with stage.opened(lambda env: env.listeners.extend([hears, is_deaf])) as job:
        await job.ask(stage.lead, "Begin.")
        await job.carry_on()
    assert (hears.text, is_deaf.text) == ("I looked.", "")
    assert await stage.types() == ["startRun", "startGeneration", "completeRun"]


async def test_a_listener_that_raises_is_dropped_and_stops_nothing():
    class Raises(Listener):
        heard = 0

        async def recorded(self, published: Published) -> None:
            self.heard += 1
            raise UsageError("even one of ours")

        async def shown(self, event: Shown) -> None:
            raise AssertionError("it was dropped before")

    stage, raises, told = solo(call("look"), say("Result.")), Raises(), list[Exception]()

    def change(env: Environment) -> None:
        env.listeners.insert(0, raises)
        env.on_listener_error = lambda _, error: told.append(error)

    async with stage.opened(change) as job:
        await job.ask(stage.lead, "Begin.")
        assert (await job.carry_on()).status == "completed"
    assert raises.heard == 1
    assert [str(error) for error in told] == ["even one of ours"]
    assert (await stage.types())[-1] == "completeRun"


async def test_a_slow_listener_hears_everything_in_the_order_of_the_log():
    class Slow(Listener):
        def __init__(self) -> None:
            self.seen: list[Fact | Shown] = []

        async def recorded(self, published: Published) -> None:
            await self._hear(published.fact)

        async def shown(self, event: Shown) -> None:
            await self._hear(event)

        async def _hear(self, event: Fact | Shown) -> None:
            for _ in range(len(self.seen) % 5):
                await anyio.lowlevel.checkpoint()
            self.seen.append(event)

    slow = Slow()
    replies_ = together(*(call("look") for _ in range(7)))
    stage = solo(replies_, call("attemptCompletion"), say("Result.", thinking="Hm."))
    async with stage.opened(lambda env: env.listeners.insert(0, slow)) as job:
        await job.ask(stage.lead, "Begin.")
        await job.carry_on()
    assert slow.seen == stage.log.seen
    seqs = [event.seq for event in slow.seen if hasattr(event, "seq")]  # type: ignore[union-attr]
    assert seqs == list(range(1, len(seqs) + 1))


# Logs that nobody could have written


async def written(*facts: Fact) -> MemoryStore:
    store = MemoryStore()
    await store.claim(JOB)
    await store.open_run(JOB, "r1", Settings())
    for number, fact in enumerate(facts, 1):
        fact = replace(fact, id=f"e{number}", seq=number, job_id=JOB, run_id="r1")  # noqa: PLW2901
        await store.append(fact, json_line(fact))
    return store


@pytest.mark.parametrize("trouble", ["second start", "no start", "answers first", "foreign child"])
async def test_a_log_that_no_run_could_have_written_is_corrupt(trouble):
    from kernel.playbook import GenerationStarted, delegates, returns, start

    facts: list[Fact] = {
        "second start": [start(), start()],
        "no start": [GenerationStarted()],
        "answers first": [returns("x")],
        "foreign child": [start(), GenerationStarted(), delegates(x="r2")],
    }[trouble]
    with pytest.raises(CorruptLog, match="cannot be followed after event"):
        await read_job(await written(*facts), JOB)


@pytest.mark.parametrize(
    ("base", "message"),
    [("r1", "goes on from itself"), ("r9", "it is missing")],
)
async def test_a_run_on_a_base_that_cannot_be_is_corrupt(base, message):
    from kernel.playbook import start

    store = await written(replace(start(), base=BaseRef(run_id=base, checkpoint_id="e1")))
    with pytest.raises(CorruptLog, match=message):
        await read_job(store, JOB)


async def test_a_job_of_a_thousand_continuations_is_read_in_one_pass_over_each_log():
    class Counting(MemoryStore):
        reads = 0

        def events(self, job_id: str, run_id: str):
            Counting.reads += 1
            return super().events(job_id, run_id)

    stage = solo(say("Result."), max_steps=5000)
    stage.store = store = Counting()
    async with open_job(JOB, stage.world.environment(store)) as job:
        await job.ask(stage.lead, "Query 0.")
        await job.carry_on()
        for number in range(1, 1200):
            last = job.coordinator
            assert last is not None
            base = BaseRef(run_id=last.run_id, checkpoint_id=last.checkpoint_id)
            await job.ask(stage.lead, f"Query {number}.", base)
            await job.carry_on()
        live = job.states
    Counting.reads = 0
    states = await read_job(store, JOB)
    assert Counting.reads == 2400
    assert list(states) == list(live)
    last = list(states.values())[-1]
    assert len(last.messages) == 2400
    assert last == live[last.run_id]
    again = await state_at(
        store, JOB, BaseRef(run_id=last.run_id, checkpoint_id=last.checkpoint_id)
    )
    assert again.messages == last.messages
    text = last.messages[-2].contents[0]
    assert isinstance(text, TextPart)
    assert text.text == "Query 1199."
