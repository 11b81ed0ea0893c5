"""The law of the house: a run that crashed anywhere and was carried on is the same run."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest

from perstack.kernel.apply import OUTCOME_UNKNOWN
from perstack.kernel.state import RunState
from perstack.runtime.job import OpenJob
from perstack.runtime.replay import read_job
from perstack.schema.event import (
    RunStarted,
    ToolCallCompleted,
    ToolsCalled,
)
from perstack.schema.message import (
    ExpertMessage,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolMessage,
    UserMessage,
)
from perstack.storage.memory import MemoryStore
from perstack.testing.crashing_store import Crash, CrashingStore
from properties.corpus import CORPUS
from worlds import JOB, World

pytestmark = pytest.mark.anyio

UNKNOWN = OUTCOME_UNKNOWN[:40]


@dataclass
class Outcome:
    """A job without what may differ: ids, times, and what a killed call answered."""

    status: object
    texts: list[str]
    conversations: list[object]
    todos: list[object]
    steps: int
    runs: int


def normal(state: RunState) -> object:
    """A conversation without ids. An answer that says "unknown" stands for any answer."""
    said: list[object] = []
    for message in state.messages:
        match message:
            case UserMessage():
                said.append(("user", [p.text for p in message.contents if isinstance(p, TextPart)]))
            case ExpertMessage():
                parts: list[object] = []
                for part in message.contents:
                    match part:
                        case TextPart():
                            parts.append(part.text)
                        case ThinkingPart():
                            parts.append(("thinking", part.thinking))
                        case ToolCallPart():
                            parts.append(("call", part.tool_name, part.args))
                said.append(("expert", parts))
            case ToolMessage():
                said.append(("tool", [part.tool_name for part in message.contents]))
            case _:
                raise AssertionError(message)
    return said


async def outcome(job: OpenJob, store: MemoryStore) -> Outcome:
    states = await read_job(store, JOB)
    assert states == job.states, "replaying the log gives the states that the process had"
    record = await store.get_job(JOB)
    assert record is not None
    keyed = sorted(states.values(), key=lambda state: (state.expert_key, str(normal(state))))
    return Outcome(
        status=record.status,
        texts=[state.text for state in keyed],
        conversations=[normal(state) for state in keyed],
        todos=[state.todos for state in keyed],
        steps=sum(state.steps_taken for state in states.values()),
        runs=len(states),
    )


async def facts_of(store: MemoryStore) -> list[object]:
    return [fact for run in await store.runs(JOB) async for fact in store.events(JOB, run)]


def unknown_answers(facts: list[object]) -> int:
    return sum(
        isinstance(fact, ToolCallCompleted) and UNKNOWN in fact.tool_result.text for fact in facts
    )


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

        _assert_same(again, whole, where)
        _assert_no_call_repeated(kept, world, where)
        _assert_effects_once(world, whole_world, facts, where)
        _assert_no_extra_run(facts, where)
        unknown += unknown_answers(facts)
    if when == "after" and whole_world.witness.effects:
        assert unknown > 0, "a corpus without an unknown outcome proves nothing"


def _assert_same(again: Outcome, whole: Outcome, where: str) -> None:
    assert again.status == whole.status, where
    assert again.runs == whole.runs, where
    assert again.todos == whole.todos, where
    if whole.status != "stoppedByMaxSteps":
        assert again.texts == whole.texts, where
        assert again.conversations == whole.conversations, where
    else:
        assert again.steps == whole.steps, where


def _assert_no_call_repeated(kept: list[object], world: World, where: str) -> None:
    """A call that had its answer on record before the crash is not made again after it."""
    answered = {
        (fact.run_id, fact.tool_result.id) for fact in kept if isinstance(fact, ToolCallCompleted)
    }
    named = Counter(
        (part.tool_name, str(part.args))
        for fact in kept
        if isinstance(fact, ToolsCalled)
        for part in fact.new_message.calls
        if (fact.run_id, part.tool_call_id) in answered
    )
    open_calls = Counter(
        (part.tool_name, str(part.args))
        for fact in kept
        if isinstance(fact, ToolsCalled)
        for part in fact.new_message.calls
        if (fact.run_id, part.tool_call_id) not in answered
    )
    made = Counter(
        (name, str(args)) for tools in world.made for name, args in tools.calls if name != "todo"
    )
    for call, count in made.items():
        assert call not in named or count <= open_calls[call], f"{where}: {call} was made again"


def _assert_effects_once(world: World, whole: World, facts: list[object], where: str) -> None:
    """Nothing that changes the world is done twice; it is missing only where that was said."""
    assert all(count == 1 for count in world.witness.effects.values()), where
    missing = Counter(whole.witness.effects) - Counter(world.witness.effects)
    if "step_limit" not in where:
        assert missing.total() <= unknown_answers(facts), where


def _assert_no_extra_run(facts: list[object], where: str) -> None:
    first = [fact for fact in facts if isinstance(fact, RunStarted) and fact.definition]
    assert len(first) == len({fact.run_id for fact in first}), where
