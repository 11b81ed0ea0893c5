"""`stream`, listeners, cancellation: who watches a job cannot harm it, who leaves it stops it."""

import asyncio
import json
import subprocess
import sys
import threading

import anyio
import pytest

from cli.process import QUIET
from cli.server import serving
from perstack import ConfigurationError, Expert, MemoryStore, Runtime, UsageError, run, stream
from perstack.embedding import hearing
from perstack.embedding.mailbox import Mailbox
from perstack.providers import Reply, TextDelta
from perstack.schema.event import ReasoningStreamed, RunResultStreamed, RunStoppedByError
from perstack.schema.message import TextPart
from perstack.testing import ScriptedModel, call, say, together

pytestmark = pytest.mark.anyio

GREETER = Expert("greeter", "Greet whoever asks.")
FINISH = call("attemptCompletion")
PIECES = ["Hel", "lo", "."]
TOLD = [*(TextDelta(text=piece) for piece in PIECES), Reply(contents=(TextPart(text="Hello."),))]


def types(events) -> list[str]:
    return [event.type for event in events]


async def test_events_come_in_order_and_the_result_at_the_end(tmp_path):
    asked = ScriptedModel(
        [say("", thinking="Hm.") and call("healthCheck", thinking="Hm."), FINISH, TOLD]
    )
    async with stream(GREETER, "Hi", provider=asked, workspace=tmp_path) as events:
        with pytest.raises(UsageError, match="no result yet"):
            _ = events.result
        seen = [event async for event in events]
    assert types(seen)[:4] == [
        "initializeRuntime",
        "startRun",
        "startGeneration",
        "startStreamingReasoning",
    ]
    assert types(seen)[-1] == "completeRun"
    told = [event.detail.delta for event in seen if isinstance(event.detail, RunResultStreamed)]
    assert "".join(told) == "Hello."
    assert events.result.text == "Hello."
    recorded = [event for event in seen if event.is_recorded]
    assert types(recorded) == types(events.result.events)


async def test_an_event_is_the_line_that_the_command_line_writes(tmp_path):
    asked = ScriptedModel([call("healthCheck"), say("Hello.")])
    async with stream(GREETER, "Hi", provider=asked, workspace=tmp_path) as events:
        lines = [json.loads(event.to_json()) async for event in events]
    stored = [json.loads(event.to_json("stored")) for event in events.result.events]
    log = next(tmp_path.glob("perstack/jobs/*/runs/*/events.jsonl")).read_text().splitlines()
    assert stored == [json.loads(line) for line in log]
    assert [line["type"] for line in lines if "seq" in line] == [line["type"] for line in stored]
    assert "checkpoint" in lines[-1]
    full = [event.to_json("full") for event in events.result.events]
    assert b"" in full  # the reference has no startToolCall


async def test_leaving_a_stream_interrupts_the_job_and_it_goes_on_later(tmp_path):
    asked = ScriptedModel([call("healthCheck"), call("healthCheck"), say("Hello.")])
    async with stream(GREETER, "Hi", provider=asked, workspace=tmp_path) as events:
        async for event in events:
            if event.type == "completeToolCall":
                break
    left = events.result
    assert left.status == "interrupted"
    later = await run(GREETER, provider=asked, workspace=tmp_path, continue_job=left.job_id)
    assert (later.status, later.text) == ("completed", "Hello.")


async def test_what_a_job_raises_the_iteration_raises(tmp_path):
    async def read() -> None:
        async with stream(GREETER, "Hi", workspace=tmp_path, env={}) as events:
            async for _ in events:
                pytest.fail("nothing can have happened")

    with pytest.raises(ConfigurationError, match="ANTHROPIC_API_KEY"):
        await read()


async def test_a_stream_nobody_reads_raises_at_its_end(tmp_path):
    with pytest.raises(ConfigurationError, match="ANTHROPIC_API_KEY"):
        async with stream(GREETER, "Hi", workspace=tmp_path, env={}):
            await anyio.wait_all_tasks_blocked()


async def test_an_error_of_the_readers_own_is_raised_as_it_is(tmp_path):
    asked = ScriptedModel([call("healthCheck"), say("Hello.")])
    streams = []

    async def read() -> None:
        async with stream(GREETER, "Hi", provider=asked, workspace=tmp_path) as events:
            streams.append(events)
            async for _ in events:
                _ = 1 / 0

    with pytest.raises(ZeroDivisionError):
        await read()
    assert streams[0].result.status == "interrupted"


async def test_a_stream_is_entered_before_it_is_read(tmp_path):
    async with Runtime(provider=ScriptedModel(), workspace=tmp_path) as runtime:
        events = runtime.stream(GREETER, "Hi")
        with pytest.raises(UsageError, match="async with"):
            await anext(events)


async def test_a_slow_reader_holds_nothing_up_and_loses_nothing(tmp_path):
    deltas = [TextDelta(text=f"{number} ") for number in range(1_000)]
    whole = "".join(delta.text for delta in deltas)
    asked = ScriptedModel([FINISH, [*deltas, Reply(contents=(TextPart(text=whole),))]])
    store = MemoryStore()
    async with stream(GREETER, "Hi", provider=asked, workspace=tmp_path, store=store) as events:
        with anyio.fail_after(10):
            while not (jobs := await store.jobs()) or jobs[0].status == "running":
                await anyio.lowlevel.checkpoint()
        seen = [event async for event in events]
    told = [event.detail.delta for event in seen if isinstance(event.detail, RunResultStreamed)]
    assert told == [whole]  # what piled up was joined
    assert types(seen)[-1] == "completeRun"


async def test_listeners_hear_everything_in_order_sync_or_async(tmp_path):
    plain, slow = [], []

    async def listen(event) -> None:
        await anyio.lowlevel.checkpoint()
        slow.append(event.type)

    asked = ScriptedModel([call("healthCheck"), say("Hello.")])
    result = await run(
        GREETER,
        "Hi",
        provider=asked,
        workspace=tmp_path,
        listener=[lambda event: plain.append(event.type), listen],
    )
    assert plain == slow == types(result.events)
    assert result.listener_errors == ()


async def test_a_listener_that_raises_is_dropped_and_told_of(tmp_path):
    heard, other = [], []

    def listen(event) -> None:
        heard.append(event.type)
        raise ValueError("not for me")

    asked = ScriptedModel([call("healthCheck"), say("Hello.")])
    result = await run(
        GREETER,
        "Hi",
        provider=asked,
        workspace=tmp_path,
        listener=[listen, lambda event: other.append(event.type)],
    )
    assert result.status == "completed"
    assert heard == ["initializeRuntime"]
    assert other == types(result.events)
    assert [str(error) for error in result.listener_errors] == ["not for me"]


async def test_a_listener_that_hangs_is_given_up_when_its_patience_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(hearing, "PATIENCE_SECONDS", 0.05)

    async def hang(_event) -> None:
        await anyio.sleep_forever()

    asked = ScriptedModel([call("healthCheck"), say("Hello.")])
    with anyio.fail_after(10):
        result = await run(GREETER, "Hi", provider=asked, workspace=tmp_path, listener=hang)
    assert result.status == "completed"
    assert [type(error) for error in result.listener_errors] == [TimeoutError]


async def test_a_cancelled_job_writes_down_that_it_was_and_goes_on_later(tmp_path):
    begun = anyio.Event()
    heard = []

    async def wait() -> str:
        begun.set()
        await anyio.sleep_forever()
        return "never"

    expert = Expert("waiter", "Wait.", tools=[wait])
    asked = ScriptedModel([call("wait"), say("It was cut short.")])
    options = {"provider": asked, "workspace": tmp_path}
    async with anyio.create_task_group() as tasks:

        async def job() -> None:
            await run(expert, "Go", job_id="j1", listener=heard.append, **options)

        tasks.start_soon(job)
        await begun.wait()
        tasks.cancel_scope.cancel()
    stopped = heard[-1].detail
    assert isinstance(stopped, RunStoppedByError)
    assert stopped.error.name == "Interrupted"
    later = await run(expert, continue_job="j1", **options)
    assert later.text == "It was cut short."
    assert "unknown" in str(asked.requests[-1].messages[-1])  # the call is not made twice


async def test_a_deadline_around_a_job_works_as_around_anything(tmp_path):
    async def wait() -> str:
        await anyio.sleep_forever()
        return "never"

    expert = Expert("waiter", "Wait.", tools=[wait])
    with anyio.move_on_after(0.05) as scope:
        await run(expert, "Go", provider=ScriptedModel([call("wait")]), workspace=tmp_path)
    assert scope.cancelled_caught


async def test_one_of_many_jobs_can_be_cancelled_alone(tmp_path):
    begun = anyio.Event()

    async def wait() -> str:
        begun.set()
        await anyio.sleep_forever()
        return "never"

    waiter = Expert("waiter", "Wait.", tools=[wait])
    results = []

    def script(request):
        return call("wait") if "Wait." in request.instruction else say("Hello.")

    async with (
        Runtime(provider=ScriptedModel(script), workspace=tmp_path) as runtime,
        anyio.create_task_group() as tasks,
    ):
        with anyio.CancelScope() as scope:

            async def other() -> None:
                await begun.wait()
                scope.cancel()
                results.append(await runtime.run(GREETER, "Hi"))

            tasks.start_soon(other)
            await runtime.run(waiter, "Go")
    assert [result.status for result in results] == ["completed"]


async def test_deltas_that_pile_up_are_joined_and_nothing_changes_place():
    mailbox = Mailbox()
    for run_id, kind, delta in [
        ("a", RunResultStreamed, "1"),
        ("a", RunResultStreamed, "2"),
        ("b", RunResultStreamed, "3"),
        ("b", ReasoningStreamed, "4"),
        ("b", ReasoningStreamed, "5"),
        ("a", RunResultStreamed, "6"),
        ("a", RunResultStreamed, "7"),
    ]:
        await mailbox.shown(kind(run_id=run_id, delta=delta))
    mailbox.close()
    seen = []
    while (event := await mailbox.next()) is not None:
        assert isinstance(event.detail, RunResultStreamed | ReasoningStreamed)
        seen.append((event.run_id, event.type, event.detail.delta))
    assert seen == [
        ("a", "streamRunResult", "12"),
        ("b", "streamRunResult", "3"),
        ("b", "streamReasoning", "45"),
        ("a", "streamRunResult", "67"),
    ]


async def test_parallel_delegates_stream_side_by_side(tmp_path):
    one = Expert("one", "You are one.", description="1")
    two = Expert("two", "You are two.", description="2")
    lead = Expert("lead", "You lead.", delegates=[one, two])

    def script(request):
        if "You lead." not in request.instruction:
            return say("Part.")
        if len(request.messages) == 1:
            return together(call("one", {"query": "?"}), call("two", {"query": "?"}))
        return say("Whole.")

    async with stream(lead, "Go", provider=ScriptedModel(script), workspace=tmp_path) as events:
        seen = [event async for event in events]
    assert len({event.run_id for event in seen}) == 3
    assert events.result.text == "Whole."


async def test_a_stream_knows_its_job_from_the_start(tmp_path):
    asked = ScriptedModel([say("Hello.")])
    async with stream(GREETER, "Hi", provider=asked, workspace=tmp_path) as events:
        known = events.job_id
        seen = [event async for event in events]
    assert {event.job_id for event in seen} == {known, events.result.job_id}


async def test_an_expert_without_tools_streams_its_reply(tmp_path):
    expert = Expert("talker", "Talk.", base_tools=[])
    asked = ScriptedModel([TOLD])
    async with stream(expert, "Hi", provider=asked, workspace=tmp_path) as events:
        seen = [event async for event in events]
    told = [event.detail.delta for event in seen if isinstance(event.detail, RunResultStreamed)]
    assert "".join(told) == "Hello."
    assert types(seen)[-1] == "completeRun"
    assert len(asked.requests) == 1


async def test_two_readers_share_a_streams_events(tmp_path):
    asked = ScriptedModel([call("healthCheck"), say("Hello.")])
    seen: list[str] = []

    async with stream(GREETER, "Hi", provider=asked, workspace=tmp_path) as events:

        async def read() -> None:
            seen.extend([event.id async for event in events])

        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(read)
                tasks.start_soon(read)
    assert sorted(seen) == sorted(event.id for event in events.result.events)


async def test_a_stream_is_entered_once(tmp_path):
    async with Runtime(provider=ScriptedModel([say("Hello.")]), workspace=tmp_path) as runtime:
        events = runtime.stream(GREETER, "Hi")
        async with events:
            assert [event.type async for event in events][-1] == "completeRun"
        with pytest.raises(UsageError, match="entered once"):
            await events.__aenter__()


async def test_a_listener_that_raises_a_cancellation_harms_nobody(tmp_path):
    async def listen(_event) -> None:
        raise asyncio.CancelledError

    asked = ScriptedModel([call("healthCheck"), say("Hello.")])
    with anyio.fail_after(4):
        result = await run(GREETER, "Hi", provider=asked, workspace=tmp_path, listener=listen)
    assert result.status == "completed"
    assert len(result.listener_errors) == 1


TWO_LOOPS = """
import sys
import anyio
from perstack import Expert, Runtime

runtime = Runtime()
for query in ("1", "2"):
    result = anyio.run(runtime.run, Expert("greeter", "Greet."), query)
    print(result.status, result.text)
"""


def test_a_runtime_may_serve_one_event_loop_after_another(tmp_path):
    # In a process of its own: the first loop's connection can no longer be closed.
    with serving({"replies": [{"text": "Hello."}] * 2}, tmp_path) as env:
        ended = subprocess.run(
            [sys.executable, "-c", TWO_LOOPS],
            cwd=tmp_path,
            env=QUIET | env,
            capture_output=True,
            check=True,
            text=True,
        )
    assert ended.stdout == "completed Hello.\n" * 2


def test_a_runtime_serves_one_event_loop_at_a_time(tmp_path):
    begun, over = threading.Event(), threading.Event()
    refused = []

    async def wait() -> str:
        begun.set()
        while not over.is_set():  # noqa: ASYNC110 - set by another thread
            await anyio.sleep(0.005)
        return "done"

    expert = Expert("waiter", "Wait.", tools=[wait])
    runtime = Runtime(provider=ScriptedModel([call("wait"), say("Hello.")]), workspace=tmp_path)

    async def first() -> None:
        await runtime.run(expert, "Go")

    async def second() -> None:
        try:
            await runtime.run(GREETER, "Hi")
        except UsageError as error:
            refused.append(str(error))

    thread = threading.Thread(target=anyio.run, args=(first,))
    thread.start()
    try:
        assert begun.wait(10)
        anyio.run(second)
    finally:
        over.set()
        thread.join(10)
    assert "another event loop" in refused[0]


async def test_a_job_does_not_wait_for_a_thread_that_it_cannot_end(tmp_path):
    begun, over = threading.Event(), threading.Event()

    def block() -> str:
        begun.set()
        over.wait(30)
        return "late"

    expert = Expert("blocker", "Block.", tools=[block])
    asked = ScriptedModel([call("block"), say("It was cut short.")])
    options = {"provider": asked, "workspace": tmp_path}
    try:
        with anyio.fail_after(10):
            async with stream(expert, "Go", **options) as events:
                async for event in events:
                    if event.type == "startToolCall":
                        await anyio.to_thread.run_sync(begun.wait)
                        break
        assert events.result.status == "interrupted"
    finally:
        over.set()
    later = await run(expert, continue_job=events.job_id, **options)
    assert later.text == "It was cut short."
    assert "unknown" in str(asked.requests[-1].messages[-1])
