"""SIGTERM and SIGINT: a halt within seconds, nothing left running, and a job that goes on."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from conftest import gone_within
from crash.policy import result_of
from crash.process import logged
from crash.world import World, open_ports

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from crash.world import Ports

pytestmark = pytest.mark.anyio

SECONDS = 5.0
"""How long the halt may take."""

PLACES = {
    "generation": ("solo", "model:solo:1:half"),
    "last-generation": ("solo", "model:solo:4:half"),
    "exec": ("solo", "exec:d:about"),
    "delegation": ("lead", "exec:l1:about"),
    "two-delegates": ("lead", "model:right:0:asked"),
}


@pytest.fixture
async def ports() -> AsyncGenerator[Ports]:
    async with open_ports() as ports:
        yield ports


def stops(world: World) -> dict[str, Any]:
    """The last event of each run, by Expert."""
    logs = logged(world.folder).values()
    return {log[-1].get("expertKey", ""): log[-1] for log in logs}


async def all_gone(world: World) -> None:
    for pid in world.pids:
        assert await anyio.to_thread.run_sync(gone_within, 1.0, pid)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("place", PLACES)
async def test_a_signal_halts_every_running_run_and_the_job_can_go_on(
    tmp_path, ports, place, number
):
    role, point = PLACES[place]
    world = ports.world(tmp_path / "w", role)
    world.arm(point)
    async with world.runtime("Do it.") as runtime:
        await world.hit(runtime)
        runtime.signal(number)
        assert await runtime.ended(SECONDS) == 128 + number
        await all_gone(world)
        assert "perstack run" in runtime.errors
        assert "--continue" in runtime.errors
    for key, event in stops(world).items():
        if key == "lead":
            assert event["type"] == "stopRunByDelegate"
        elif event["type"] != "completeRun":
            assert event["type"] == "stopRunByError"
            assert event["error"]["name"] == "Interrupted"
            assert event["error"]["isRetryable"] is True
    assert [event["type"] for event in stops(world).values()].count("stopRunByError") >= 1
    assert runtime.lines[-1]["type"] in ("stopRunByError", "completeRun")
    assert await world.finishes() == result_of(role)
    assert set(world.effects.values()) == {1}


@pytest.mark.slow
async def test_an_interrupted_delegate_is_no_answer_for_its_parent(tmp_path, ports):
    world = ports.world(tmp_path / "w", "lead")
    world.arm("exec:r1:about")
    async with world.runtime("Do it.") as runtime:
        await world.hit(runtime)
        runtime.signal(signal.SIGTERM)
        assert await runtime.ended(SECONDS) == 143
    assert await world.finishes() == result_of("lead")
    results = [
        event["toolResults"]
        for log in logged(world.folder).values()
        for event in log
        if event["type"] == "startRun" and event.get("toolResults")
    ]
    assert len(results) == 1
    assert "Interrupted" not in str(results)
    assert "Delegation failed" not in str(results)


async def test_a_call_that_a_signal_cut_off_is_left_started_and_unanswered(tmp_path, ports):
    world = ports.world(tmp_path / "w", "solo")
    world.arm("exec:a:done")
    async with world.runtime("Do it.") as runtime:
        await world.hit(runtime)
        runtime.signal(signal.SIGTERM)
        await runtime.ended(SECONDS)
    (log,) = logged(world.folder).values()
    assert [event["type"] for event in log[-3:]] == ["callTools", "startToolCall", "stopRunByError"]
    assert await world.finishes() == result_of("solo")
    assert world.told_unknown() == {"do a": 1}
    assert world.effects["a"] == 1


@pytest.mark.slow
async def test_while_a_model_is_waited_for_a_signal_ends_the_wait(tmp_path, ports):
    world = ports.world(tmp_path / "w", "solo")
    world.url = "http://127.0.0.1:1"  # nothing listens there
    async with world.runtime("--max-retries", "20", "Do it.") as runtime:
        await runtime.until(lambda line: line["type"] == "retry" and line["waitMs"] >= 2000)
        runtime.signal(signal.SIGINT)
        assert await runtime.ended(1.5) == 130
    (log,) = logged(world.folder).values()
    assert log[-1]["error"]["name"] == "Interrupted"
