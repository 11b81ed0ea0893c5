"""`kill -9` of `perstack run`: what was done stays done, and the job comes to the same end."""

from __future__ import annotations

import json
import signal
from collections import Counter
from random import Random  # noqa: TID251 - seeded: the same kills every time
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from conftest import gone_within
from crash.policy import effects_of, result_of
from crash.process import logged
from crash.world import World, open_ports

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from crash.process import Runtime

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

AT_ONCE = 3
STEPS = {"solo": 4, "lead": 9}
RUNS = {"solo": 1, "lead": 3}
FIRST_WORDS = {"careful": "Do it.", "careless": "Do it, and be careless."}


async def die(world: World, runtime: Runtime) -> None:
    """Kill the runtime, and find everything in the log that it had said before."""
    runtime.signal(signal.SIGKILL)
    assert await runtime.ended() == -signal.SIGKILL
    world.kills += 1
    told_is_kept(world)
    world.release()


def told_is_kept(world: World) -> None:
    kept = {
        (run_id, event["seq"]): (event["type"], event["id"])
        for run_id, log in logged(world.folder).items()
        for event in log
    }
    for event in world.output:
        if "seq" in event:
            assert kept.get((event["runId"], event["seq"])) == (event["type"], event["id"])


async def play(world: World, kills: Sequence[str], kind: str = "careful") -> None:
    """Run the job, killed at each of the points in turn, to its end."""
    told = [FIRST_WORDS[kind]]
    for point in kills:
        world.arm(point)
        async with world.runtime(*told) as runtime:
            await world.hit(runtime)
            if point.endswith(":half"):
                await runtime.until(lambda line: line["type"] == "streamReasoning")
            await die(world, runtime)
        told = ["--continue"]
    assert await world.finishes() == result_of(world.role)
    nothing_was_lost_or_repeated(world, kind)


def nothing_was_lost_or_repeated(world: World, kind: str) -> None:
    told_is_kept(world)
    logs = logged(world.folder)
    assert len(logs) == RUNS[world.role]
    for log in logs.values():
        assert [event["seq"] for event in log] == list(range(1, len(log) + 1))
        assert len({event["id"] for event in log}) == len(log)
        happened = Counter(map(unrepeatable, log))
        del happened[""]
        assert set(happened.values()) == {1}, happened
        assert log[-1]["type"] == "completeRun"
    unknown = world.told_unknown()
    for name in effects_of(world.role):
        limit = 1 + (unknown[f"do {name}"] if kind == "careless" else 0)
        assert 1 <= world.effects[name] <= limit, (name, world.effects, unknown)
    steps = types(logs)["startGeneration"]
    assert steps == STEPS[world.role] if not unknown else steps > STEPS[world.role]
    job = json.loads(next(world.folder.glob("perstack/jobs/*/job.json")).read_bytes())
    assert (job["status"], job["totalSteps"]) == ("completed", steps)
    replies = types(logs)["callTools"] + types(logs)["completeRun"]
    assert sum(world.requests.values()) <= replies + world.kills * len(logs)


def unrepeatable(event: Any) -> str:
    """A name for what may be recorded only once in a run."""
    match event["type"]:
        case "startRun" if "definition" in event:
            return "startRun"
        case "startGeneration" | "callTools" | "continueToNextStep" | "resolveToolResults" as kind:
            return f"{kind} {event['stepNumber']}"
        case "startToolCall":
            return f"startToolCall {event['toolCallId']}"
        case "completeToolCall":
            return f"completeToolCall {event['toolResult']['id']}"
        case "callDelegate" | "stopRunByDelegate" | "attemptCompletion" | "completeRun" as kind:
            return str(kind)
        case _:
            return ""


def types(logs: dict[str, list[Any]]) -> Counter[str]:
    return Counter(event["type"] for log in logs.values() for event in log)


async def corpus(folder: Path, jobs: Sequence[tuple[str, str, Sequence[str]]]) -> list[World]:
    """Play each (role, kind, kill points) in a workspace of its own, a few at once."""
    slots = anyio.CapacityLimiter(AT_ONCE)
    worlds: list[World] = []
    async with open_ports() as ports, anyio.create_task_group() as tasks:
        worlds += [ports.world(folder / f"w{i}", role) for i, (role, _, _) in enumerate(jobs)]

        async def one(world: World, kind: str, kills: Sequence[str]) -> None:
            async with slots:
                await play(world, kills, kind)

        for world, (_, kind, kills) in zip(worlds, jobs, strict=True):
            tasks.start_soon(one, world, kind, kills)
    return worlds


async def test_killed_inside_generations_a_job_asks_again_and_ends_the_same(tmp_path):
    jobs = [
        ("solo", "careful", [f"model:solo:{turn}:{stage}" for turn in turns])
        for stage in ("asked", "half", "last")
        for turns in ((0, 0, 1, 2), (1, 3, 4, 4))
    ]
    worlds = await corpus(tmp_path, jobs)
    assert sum(world.kills for world in worlds) == 24
    for world, (_, _, kills) in zip(worlds, jobs, strict=True):
        asked = Counter(("solo", int(point.split(":")[2])) for point in kills)
        assert world.requests == asked + Counter({("solo", turn): 1 for turn in range(5)})
        assert not world.told_unknown()
        assert set(world.effects.values()) == {1}


async def test_killed_inside_exec_no_effect_happens_twice_behind_the_models_back(tmp_path):
    points = ["exec:a:about", "exec:b:done", "exec:d:about", "exec:d:done"]
    swapped = ["exec:a:done", "exec:c:about", "exec:c:about", "exec:d:about"]
    again = ["exec:a:about", "exec:a:about", "exec:a:done", "exec:d:about", "exec:d:done"]
    jobs = [
        ("solo", "careful", points),
        ("solo", "careful", swapped),
        ("solo", "careful", again),
        ("solo", "careless", points),
        ("solo", "careless", ["exec:a:done", "exec:a:done", "exec:d:done"]),
    ]
    worlds = await corpus(tmp_path, jobs)
    assert sum(world.kills for world in worlds) >= 20
    for world in worlds:
        # Whatever else was cut off, each command that was held at a kill is one unknown outcome.
        assert world.told_unknown().total() >= world.kills
    careless = worlds[-1]
    assert (careless.effects["a"], careless.effects["d"]) == (3, 2)
    assert careless.told_unknown() == Counter({"do a": 2, "do d": 1})


async def test_killed_inside_delegations_children_go_on_as_the_same_runs(tmp_path):
    jobs = [
        ("lead", "careful", ["model:left:0:asked", "exec:l1:about", "exec:l2:done"]),
        ("lead", "careful", ["model:left:0:half", "exec:l1:done", "model:left:*:asked"]),
        ("lead", "careful", ["exec:r1:about", "model:right:*:asked", "model:right:*:last"]),
        ("lead", "careful", ["exec:r1:done", "model:right:*:half", "model:right:*:last"]),
        ("lead", "careful", ["model:right:0:last", "exec:l1:about", "exec:l2:about"]),
        ("lead", "careless", ["exec:l1:done", "exec:l2:done"]),
        ("lead", "careful", ["model:right:0:asked", "model:left:*:half", "exec:l2:done"]),
    ]
    worlds = await corpus(tmp_path, jobs)
    assert sum(world.kills for world in worlds) == 20
    assert sum(world.told_unknown().total() for world in worlds) >= 10
    for world in worlds:
        named = [log for log in logged(world.folder).values() if "delegatedBy" in str(log[:1])]
        assert len(named) == 2


async def test_killed_between_any_two_events_a_job_ends_the_same(tmp_path):
    slots = anyio.CapacityLimiter(AT_ONCE)
    worlds: list[World] = []
    async with open_ports() as ports, anyio.create_task_group() as tasks:
        worlds += [ports.world(tmp_path / f"w{seed}", "lead") for seed in range(10)]

        async def one(world: World, chance: Random) -> None:
            told = [FIRST_WORDS["careful"]]
            async with slots:
                for _ in range(4):
                    count = chance.randint(3, 12)
                    async with world.runtime(*told) as runtime:
                        await runtime.until(lambda _: len(runtime.lines) >= count)  # noqa: B023
                        await die(world, runtime)
                    told = ["--continue"]
                assert await world.finishes() == result_of("lead")
                nothing_was_lost_or_repeated(world, "careful")

        for seed, world in enumerate(worlds):
            tasks.start_soon(one, world, Random(seed))
    assert sum(world.kills for world in worlds) == 40


@pytest.mark.parametrize("point", ["exec:a:about", "exec:a:done"])
async def test_no_command_outlives_a_killed_runtime(tmp_path, point):
    async with open_ports() as ports:
        world = ports.world(tmp_path / "w", "solo")
        world.arm(point)
        async with world.runtime("Do it.") as runtime:
            await world.hit(runtime)
            runtime.signal(signal.SIGKILL)
            await runtime.ended()
            (pid,) = world.pids
            assert await anyio.to_thread.run_sync(gone_within, 3.0, pid)
