"""How full a model's context is stands in every checkpoint, whichever models a job runs on."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from perstack.providers import GenerateRequest, Reply
from perstack.runtime.job import open_job
from perstack.schema.checkpoint import Checkpoint
from perstack.schema.event import RunStarted, decode_fact
from perstack.schema.message import ExpertMessage
from perstack.schema.usage import Usage
from perstack.storage.memory import MemoryStore
from perstack.testing import call, say
from perstack.views.derived import added_to
from perstack.views.wire import full_line, lean_line
from views.played import Played, seen_of
from worlds import JOB, Log, World, expert, role

pytestmark = pytest.mark.anyio


def usage(total: int) -> Usage:
    return Usage(input_tokens=total - 10, output_tokens=10, total_tokens=total)


def world(window: int | None, *, said: Sequence[str] = ("Begin.",)) -> World:
    """The lead looks, asks its helper and is done; each reply counts 100 tokens more."""

    def model(request: GenerateRequest) -> Reply:
        if role(request) == "helper":
            return say("Helped.", usage=usage(50))
        count = sum(isinstance(message, ExpertMessage) for message in request.messages)
        told = usage(100 * (count + 1))
        if count == 0:
            return call("look", usage=told)
        return (
            call("helper", {"query": "Help."}, usage=told) if count == 1 else say("D", usage=told)
        )

    experts = {"lead": expert("lead", delegates=("helper",)), "helper": expert("helper")}
    return World(experts, model, said=tuple(said), context_window=window)


async def play(*worlds: World, stop_first: bool = False) -> Played:
    """One job, in one process after another. The first one may stop after its first step."""
    played = Played(Log(), MemoryStore())
    first, *rest = worlds
    if stop_first:
        env = first.environment(played.store, played.log)
        env.should_continue = lambda _: False
        async with open_job(JOB, env) as job:
            await job.ask(first.experts["lead"], "Begin.")
            await job.carry_on()
    else:
        await first.play(played.store, played.log)
    for world in rest:
        await world.play(played.store, played.log)
    return played


def windows(played: Played, name: str = "lead") -> list[tuple[str, int | None, float | None]]:
    """What each event of an Expert's runs says of the checkpoint it closes or opens."""
    found: list[tuple[str, int | None, float | None]] = []
    for seen in played.live:
        added = added_to(seen.fact, seen.before, seen.after)
        checkpoint = getattr(added, "checkpoint", None) or getattr(
            added, "initial_checkpoint", None
        )
        if isinstance(checkpoint, Checkpoint) and checkpoint.expert.name == name:
            tag = type(seen.fact).__struct_config__.tag
            found.append((str(tag), checkpoint.context_window, checkpoint.context_window_usage))
    return found


async def test_each_checkpoint_tells_how_much_of_the_window_the_last_reply_took():
    played = await play(world(1000))
    assert windows(played) == [
        ("startRun", 1000, 0.0),
        ("continueToNextStep", 1000, 0.1),
        ("stopRunByDelegate", 1000, 0.2),
        ("startRun", 1000, 0.2),
        ("continueToNextStep", 1000, 0.2),
        ("completeRun", 1000, 0.3),
    ]
    assert windows(played, "helper") == [("startRun", 1000, 0.0), ("completeRun", 1000, 0.05)]


async def test_where_the_window_is_not_known_nothing_is_said_of_it():
    played = await play(world(None))
    assert {(window, used) for _, window, used in windows(played)} == {(None, None)}
    assert not any(b"contextWindow" in lean_line(seen) for seen in played.live)


async def test_a_run_carried_on_with_another_model_tells_of_that_one_from_its_next_reply():
    played = await play(world(1000), world(400), stop_first=True)
    assert windows(played) == [
        ("startRun", 1000, 0.0),
        ("continueToNextStep", 1000, 0.1),
        ("stopRunByError", 1000, 0.1),
        ("stopRunByDelegate", 400, 0.5),
        ("startRun", 400, 0.5),
        ("continueToNextStep", 400, 0.5),
        ("completeRun", 400, 0.75),
    ]


async def test_a_run_carried_on_with_an_unknown_model_forgets_the_window():
    played = await play(world(1000), world(None), stop_first=True)
    assert windows(played)[-1] == ("completeRun", None, None)


async def test_a_run_on_top_of_another_begins_with_that_ones_context_in_its_own_window():
    played = await play(world(1000), world(600, said=("Begin.", "And now?")))
    assert windows(played)[6:] == [("startRun", 600, 0.5), ("completeRun", 600, 400 / 600)]


async def test_a_run_that_was_answered_goes_on_in_the_window_of_the_model_in_use():
    def asking(window: int, *said: str) -> World:
        def model(request: GenerateRequest) -> Reply:
            is_first = not any(isinstance(one, ExpertMessage) for one in request.messages)
            return call("askUser", usage=usage(100)) if is_first else say("D", usage=usage(200))

        return World({"lead": expert("lead", asks=True)}, model, said=said, context_window=window)

    played = await play(asking(1000, "Begin."), asking(400, "Begin.", "answer"))
    assert windows(played) == [
        ("startRun", 1000, 0.0),
        ("stopRunByInteractiveTool", 1000, 0.1),
        ("startRun", 400, 0.25),
        ("continueToNextStep", 400, 0.25),
        ("completeRun", 400, 0.5),
    ]


async def test_the_forms_live_and_read_back_agree_and_full_has_nothing_of_ours():
    played = await play(world(1000), world(400), stop_first=True)
    back = played.read_back
    assert {seen.line for seen in back} == {seen.line for seen in played.live}
    assert {lean_line(seen) for seen in back} == {lean_line(seen) for seen in played.live}
    for seen in back:
        lean = json.loads(lean_line(seen))
        whole = full_line(seen)
        full = json.loads(whole) if whole else {}
        assert "contextWindow" not in full
        for name in ("initialCheckpoint", "checkpoint", "nextCheckpoint"):
            if name in full:
                assert full[name]["contextWindow"] == lean[name]["contextWindow"]
                assert full[name]["contextWindowUsage"] == lean[name]["contextWindowUsage"]


async def test_a_log_from_before_the_window_was_recorded_is_still_read():
    played = await play(world(1000))
    lines: list[dict[str, object]] = [json.loads(seen.line) for seen in played.live]
    for line in lines:
        line.pop("contextWindow", None)
    seen = seen_of(decode_fact(json.dumps(line).encode()) for line in lines)
    assert seen[-1].after.status == "completed"
    assert isinstance(seen[0].fact, RunStarted) or seen[0].after.context_window is None
    assert not any(b"contextWindow" in lean_line(one) for one in seen)
