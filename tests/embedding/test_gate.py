"""More jobs than there are places for wait their turn, and lose nothing by it."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import anyio
import pytest

from perstack import Expert, MemoryStore, Runtime, UsageError, run
from perstack.embedding import gate
from perstack.providers import Generated, GenerateRequest, Reply
from perstack.schema.message import TextPart
from perstack.testing import ScriptedModel, call, say

pytestmark = pytest.mark.anyio

GREETER = Expert("greeter", "Greet whoever asks.")


class Held:
    """A model that answers when it is let, and knows how many wait for it."""

    def __init__(self) -> None:
        self.let = anyio.Event()
        self.asked = 0
        self.at_once = 0
        self.most = 0

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Generated, None]:
        assert request.messages
        self.asked += 1
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await self.let.wait()
        finally:
            self.at_once -= 1
        yield Reply(contents=(TextPart(text="Hello."),))

    async def aclose(self) -> None:
        """There is nothing to close."""


def test_more_jobs_than_descriptors_all_complete(tmp_path):
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("many_jobs.py"), tmp_path, "200", "256"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["ended"] == {"completed": 200}
    assert told["most"] < 256


async def test_no_more_jobs_work_at_once_than_may(tmp_path):
    asked = Held()
    async with (
        Runtime(provider=asked, workspace=tmp_path, max_jobs=3) as runtime,
        anyio.create_task_group() as tasks,
    ):
        for _ in range(10):
            tasks.start_soon(runtime.run, GREETER, "Hi")
        await anyio.wait_all_tasks_blocked()
        assert asked.asked == 3
        asked.let.set()
    assert (asked.asked, asked.most) == (10, 3)


async def test_runtimes_without_a_number_of_their_own_share_one(tmp_path, monkeypatch):
    monkeypatch.setattr(gate, "most_jobs", lambda: 2)
    asked = Held()
    async with anyio.create_task_group() as tasks:
        for number in range(5):
            (tmp_path / str(number)).mkdir()

            async def one(place: Path = tmp_path / str(number)) -> None:
                await run(GREETER, "Hi", provider=asked, workspace=place)

            tasks.start_soon(one)
        await anyio.wait_all_tasks_blocked()
        assert asked.asked == 2
        asked.let.set()
    assert (asked.asked, asked.most) == (5, 2)


async def test_a_job_cancelled_before_its_turn_was_never_begun(tmp_path):
    asked, store = Held(), MemoryStore()
    async with Runtime(provider=asked, store=store, workspace=tmp_path, max_jobs=1) as runtime:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runtime.run, GREETER, "Hi")
            await anyio.wait_all_tasks_blocked()
            with anyio.move_on_after(0.01) as impatient:
                await runtime.run(GREETER, "Me too")
            assert impatient.cancelled_caught
            assert len(await store.jobs()) == 1
            asked.let.set()
        assert (await runtime.run(GREETER, "And now?")).status == "completed"
    assert len(await store.jobs()) == 2


async def test_a_stream_left_before_its_turn_ends_at_once_and_was_never_begun(tmp_path):
    asked, store = Held(), MemoryStore()
    async with Runtime(provider=asked, store=store, workspace=tmp_path, max_jobs=1) as runtime:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runtime.run, GREETER, "Hi")
            await anyio.wait_all_tasks_blocked()
            with anyio.fail_after(5):
                async with runtime.stream(GREETER, "Me too") as events:
                    await anyio.wait_all_tasks_blocked()
            with pytest.raises(UsageError, match="no result"):
                _ = events.result
            assert len(await store.jobs()) == 1
            asked.let.set()
        async with runtime.stream(GREETER, "And now?") as events:
            assert [event.type async for event in events][-1] == "completeRun"


async def test_a_continuation_waits_its_turn_too(tmp_path):
    asked = Held()
    asked.let.set()
    async with Runtime(provider=asked, workspace=tmp_path, max_jobs=1) as runtime:
        first = await runtime.run(GREETER, "Hi")
        asked.let = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runtime.run, GREETER, "Another")
            await anyio.wait_all_tasks_blocked()

            async def go_on() -> None:
                again = await runtime.run(GREETER, "Again", continue_job=first.job_id)
                assert (again.status, again.steps) == ("completed", 2)

            tasks.start_soon(go_on)
            await anyio.wait_all_tasks_blocked()
            assert asked.asked == 2
            asked.let.set()
    assert asked.asked == 3


async def test_a_tool_may_run_a_job_of_its_own_in_a_full_house(tmp_path):
    model = ScriptedModel([call("ask_another"), say("Hello."), say("It said hello.")])
    async with Runtime(provider=model, workspace=tmp_path, max_jobs=1) as runtime:

        async def ask_another() -> str:
            """What another one says."""
            return (await runtime.run(GREETER, "Hi")).text

        with anyio.fail_after(10):
            result = await runtime.run(GREETER, "Ask around.", tools=[ask_another])
    assert result.text == "It said hello."


async def test_what_a_job_left_behind_waits_again_once_it_is_over(tmp_path):
    asked = Held()
    asked.let.set()
    async with (
        Runtime(provider=asked, workspace=tmp_path, max_jobs=1) as runtime,
        anyio.create_task_group() as tasks,
    ):
        may_begin = anyio.Event()

        async def later() -> None:
            await may_begin.wait()
            await runtime.run(GREETER, "Later")

        def hear(event) -> None:
            if event.type == "completeRun":
                tasks.start_soon(later)

        await runtime.run(GREETER, "Hi", listener=hear)
        asked.let = anyio.Event()
        tasks.start_soon(runtime.run, GREETER, "Another")
        await anyio.wait_all_tasks_blocked()
        may_begin.set()
        await anyio.wait_all_tasks_blocked()
        assert asked.asked == 2
        asked.let.set()
    assert asked.most == 1


@pytest.mark.parametrize(
    ("limit", "jobs"),
    [(4, 1), (256, 32), (1024, 128), (20_000, 2500), (10**6, 4096), (resource.RLIM_INFINITY, 4096)],
)
def test_the_number_follows_from_the_descriptors_a_process_may_have(monkeypatch, limit, jobs):
    monkeypatch.setattr(resource, "getrlimit", lambda _what: (limit, limit))
    assert gate.most_jobs() == jobs


@pytest.mark.parametrize("wrong", [0, -1, True, 10**7])
def test_a_number_that_cannot_be_is_refused(tmp_path, wrong):
    with pytest.raises(UsageError, match="max_jobs"):
        Runtime(workspace=tmp_path, provider="anthropic", max_jobs=wrong)
