"""What holds for a job that was cut short anywhere and carried on."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

from perstack.kernel.state import RunState
from perstack.runtime.job import OpenJob
from perstack.runtime.replay import read_job
from perstack.schema.event import (
    RunCompleted,
    RunEvent,
    RunStarted,
    RunStoppedByDelegate,
    RunStoppedByError,
    RunStoppedByExceededMaxSteps,
    RunStoppedByInteractiveTool,
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
from perstack.schema.tool import OUTCOME_UNKNOWN
from perstack.storage.memory import MemoryStore
from worlds import JOB, World

UNKNOWN = OUTCOME_UNKNOWN[:40]
STOPS = (
    RunCompleted,
    RunStoppedByDelegate,
    RunStoppedByError,
    RunStoppedByExceededMaxSteps,
    RunStoppedByInteractiveTool,
)


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


def assert_same(again: Outcome, whole: Outcome, where: str) -> None:
    assert again.status == whole.status, where
    assert again.runs == whole.runs, where
    assert again.todos == whole.todos, where
    if whole.status != "stoppedByMaxSteps":
        assert again.texts == whole.texts, where
        assert again.conversations == whole.conversations, where
    else:
        assert again.steps == whole.steps, where


def assert_no_call_repeated(kept: list[object], world: World, where: str) -> None:
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


def assert_effects_once(world: World, whole: World, facts: list[object], where: str) -> None:
    """Nothing that changes the world is done twice; it is missing only where that was said."""
    assert all(count == 1 for count in world.witness.effects.values()), where
    missing = Counter(whole.witness.effects) - Counter(world.witness.effects)
    if "step_limit" not in where:
        assert missing.total() <= unknown_answers(facts), where


def assert_no_extra_run(facts: list[object], where: str) -> None:
    first = [fact for fact in facts if isinstance(fact, RunStarted) and fact.definition]
    assert len(first) == len({fact.run_id for fact in first}), where


def assert_stretches(facts: list[object], where: str) -> None:
    """Every stretch of a run ends with exactly one stop event, and nothing follows the last."""
    by_run: dict[str, list[RunEvent]] = {}
    for fact in facts:
        if isinstance(fact, RunEvent):
            by_run.setdefault(fact.run_id, []).append(fact)
    for own in by_run.values():
        assert isinstance(own[-1], STOPS), f"{where}: the last stretch has no stop event"
        for one, following in pairwise(own):
            moved = isinstance(one, RunStoppedByError)  # then the next stretch may end at once
            both = isinstance(one, STOPS) and isinstance(following, STOPS)
            assert moved or not both, f"{where}: a stretch ended twice"
