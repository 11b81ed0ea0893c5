"""Stored, lean and full: one sequence of events in three forms."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import get_args

import msgspec
import pytest
from msgspec import Raw

from perstack.schema.event import (
    Fact,
    RunEvent,
    Shown,
    SkillReported,
    ToolCallCompleted,
    ToolCallStarted,
)
from perstack.views.event_schema import tag_of
from perstack.views.reference import OURS
from perstack.views.wire import Form, Seen, full_line, lean_line, shown_line, wire_line
from views.played import (
    TRICKY,
    WORLDS,
    Played,
    play,
    play_forks,
    play_interrupted,
    runtime_facts,
    steps,
    thoughtful,
)

pytestmark = pytest.mark.anyio

HEADER = {"type", "id", "timestamp", "jobId", "runId"}
RUN_HEADER = HEADER | {"expertKey", "stepNumber"}
CLOSING = {"checkpoint", "step"}
REFERENCE = {
    "startRun": {"initialCheckpoint", "inputMessages"},
    "startGeneration": {"messages"},
    "callTools": {"newMessage", "toolCalls", "usage"},
    "resolveToolResults": {"toolResults"},
    "attemptCompletion": {"toolResult"},
    "finishToolCall": {"newMessages"},
    "finishAllToolCalls": {"newMessages"},
    "resumeToolCalls": {"pendingToolCalls", "partialToolResults"},
    "callDelegate": {"newMessage", "toolCalls", "usage"},
    "callInteractiveTool": {"newMessage", "toolCall", "usage"},
    "continueToNextStep": {"checkpoint", "step", "nextCheckpoint"},
    "retry": {"reason", "newMessages", "usage"},
    "completeRun": {"checkpoint", "step", "text", "usage"},
    "stopRunByDelegate": CLOSING,
    "stopRunByInteractiveTool": CLOSING,
    "stopRunByExceededMaxSteps": CLOSING,
    "stopRunByError": {"checkpoint", "step", "error"},
}
"""What the reference's events hold beside the header, every one of them always."""

PLAYS: dict[str, Callable[[], object]] = {
    **{name: lambda world=world: play(world()) for name, world in WORLDS.items()},
    "forks": play_forks,
    "interrupted": play_interrupted,
}


async def played(name: str) -> Played:
    return await PLAYS[name]()  # type: ignore[no-any-return, misc]


def forms(seen: Seen) -> dict[Form, bytes | None]:
    return {form: wire_line(form, seen) for form in get_args(Form)}


def top(line: bytes) -> dict[str, bytes]:
    return {
        name: bytes(raw) for name, raw in msgspec.json.decode(line, type=dict[str, Raw]).items()
    }


def pairs_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    assert len(dict(pairs)) == len(pairs), pairs
    return dict(pairs)


@pytest.mark.parametrize("name", PLAYS)
async def test_lines_are_the_same_live_and_read_back(name: str) -> None:
    job = await played(name)
    again = {seen.fact.id: seen for seen in job.read_back}
    assert len(again) == len(job.live)
    for seen in job.live:
        assert forms(seen) == forms(again[seen.fact.id])


@pytest.mark.parametrize("name", PLAYS)
async def test_lean_is_the_stored_line_and_more(name: str) -> None:
    for seen in (await played(name)).live:
        stored, lean = top(seen.line), top(lean_line(seen))
        assert lean | stored == lean
        assert list(lean)[: len(stored)] == list(stored)


@pytest.mark.parametrize("name", PLAYS)
async def test_full_agrees_with_lean_on_all_they_share(name: str) -> None:
    for seen in (await played(name)).live:
        full = full_line(seen)
        if full is not None:
            assert_same(lean_line(seen), full, "")


OUR_NAMES = {"seq", *(name for names in OURS.values() for name in names)}


def assert_same(lean: bytes, full: bytes, where: str) -> None:
    """Equal bytes; or objects and arrays that are so, but for what either form leaves out."""
    if lean == full:
        return
    if lean.startswith(b"{"):
        ours, theirs = top(lean), top(full)
        assert set(theirs) - set(ours) <= {"messages"}, where
        assert set(ours) - set(theirs) <= OUR_NAMES, where
        for name in set(ours) & set(theirs):
            assert_same(ours[name], theirs[name], f"{where}.{name}")
    else:
        assert lean.startswith(b"["), (where, lean, full)
        items = [msgspec.json.decode(line, type=list[Raw]) for line in (lean, full)]
        assert len(items[0]) == len(items[1]), where
        for index, (mine, other) in enumerate(zip(*items, strict=True)):
            assert_same(bytes(mine), bytes(other), f"{where}[{index}]")


@pytest.mark.parametrize("name", PLAYS)
async def test_no_line_names_a_field_twice(name: str) -> None:
    for seen in (await played(name)).live:
        for line in forms(seen).values():
            if line is not None:
                assert b"\n" not in line
                json.loads(line, object_pairs_hook=pairs_once)


@pytest.mark.parametrize("name", PLAYS)
async def test_full_has_the_fields_of_the_reference_and_no_others(name: str) -> None:
    for seen in (await played(name)).live:
        line = full_line(seen)
        if isinstance(seen.fact, ToolCallStarted | ToolCallCompleted):
            assert line is None
        elif isinstance(seen.fact, RunEvent):
            assert line is not None
            assert set(top(line)) == RUN_HEADER | REFERENCE[tag_of(type(seen.fact))]


async def test_every_run_event_is_played() -> None:
    types = {name for world in PLAYS for name in (await played(world)).log.types()}
    events = {tag_of(kind) for kind in get_args(Fact) if issubclass(kind, RunEvent)}
    assert types == events == set(REFERENCE) | {"startToolCall", "completeToolCall"}


async def test_what_is_ours_inside_values_is_left_out_of_full_and_stays_in_lean() -> None:
    job = await play(thoughtful())
    lean = b"".join(lean_line(seen) for seen in job.live)
    full = b"".join(filter(None, map(full_line, job.live)))
    for ours in (
        b'"problem":"The arguments are no JSON object."',
        b'"thinking":"opaque","redacted":true',
        b'"children":[',
    ):
        assert ours in lean
        assert ours not in full
    assert b'"thinking":"opaque"' in full
    (delegation,) = (s for s in job.live if tag_of(type(s.fact)) == "stopRunByDelegate")
    (named,) = json.loads(lean_line(delegation))["checkpoint"]["delegateTo"]
    (asked,) = json.loads(full_line(delegation) or b"")["checkpoint"]["delegateTo"]
    assert set(named) - set(asked) == {"runId"}


async def test_failed_results_are_marked_in_messages_alone_in_full() -> None:
    job = await play(thoughtful())
    resolved = [s for s in job.live if tag_of(type(s.fact)) == "resolveToolResults"]
    finished = [s for s in job.live if tag_of(type(s.fact)) == "finishToolCall"]
    assert resolved
    assert finished
    for seen in resolved:
        (result,) = json.loads(lean_line(seen))["toolResults"]
        assert result["isError"] is True
        (result,) = json.loads(full_line(seen) or b"")["toolResults"]
        assert "isError" not in result
    for seen in finished:
        (message,) = json.loads(full_line(seen) or b"")["newMessages"]
        assert message["contents"][0]["isError"] is True


async def test_arguments_may_have_the_names_of_our_fields_in_every_form() -> None:
    job = await play(thoughtful())
    (seen,) = (s for s in job.live if tag_of(type(s.fact)) == "callTools" and b'"bad"' in s.line)
    for line in (lean_line(seen), full_line(seen) or b""):
        event = json.loads(line)
        assert event["toolCalls"][0]["args"] == TRICKY
        parts = event["newMessage"]["contents"]
        assert next(p["args"] for p in parts if p["type"] == "toolCallPart") == TRICKY


async def test_full_has_whole_conversations_and_lean_has_none() -> None:
    for seen in (await play(WORLDS["several_queries"]())).live:
        lean, full = json.loads(lean_line(seen)), json.loads(full_line(seen) or b"{}")
        for name in ("checkpoint", "nextCheckpoint", "initialCheckpoint"):
            assert "messages" not in lean.get(name, {})
            if name in full:
                state = seen.before if full["type"] == "continueToNextStep" else seen.after
                state = seen.after if name != "checkpoint" else state
                ids = [message.id for message in state.all_messages]
                assert [message["id"] for message in full[name]["messages"]] == ids
        if "messages" in full:
            assert len(full["messages"]) == len(seen.after.all_messages)


def test_runtime_events_have_what_is_required_and_nothing_of_ours_in_full() -> None:
    for seen in runtime_facts():
        line = full_line(seen)
        if line is None:
            assert isinstance(seen.fact, SkillReported)
            continue
        stored, lean, full = top(seen.line), top(lean_line(seen)), top(line)
        ours = {"seq", "notice", "reason", "toolsLost"}
        assert set(stored) - set(full) <= ours
        assert not ours & set(full)
        assert lean | stored == lean
        if seen.line.startswith(b'{"type": "skillStarting"'):
            assert "args" in lean
            assert "args" in full


async def test_display_events_have_a_whole_header() -> None:
    job = await play(thoughtful())
    done = await play(WORLDS["parallel_tools"]())
    seen: set[str] = set()
    for event in (*job.shown, *done.shown):
        line = top(shown_line(event))
        assert set(line) - RUN_HEADER in ({"delta"}, {"text"}, set())
        assert set(line) >= RUN_HEADER
        seen.add(tag_of(type(event)))
    assert seen == {tag_of(kind) for kind in get_args(Shown)}


@pytest.mark.parametrize("form", ["stored", "lean"])
async def test_stored_and_lean_grow_with_the_steps_alone(form: Form) -> None:
    def size(job: Played) -> int:
        return sum(len(wire_line(form, seen) or b"") for seen in job.live)

    short, middle, long = [size(await play(steps(count))) for count in (10, 30, 70)]
    assert (long - middle) / 40 == pytest.approx((middle - short) / 20, rel=0.01)


async def test_a_message_is_encoded_once_however_often_full_shows_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from perstack.views import reference

    job = await play(steps(30))
    encoded: list[str] = []
    whole = reference.reference_message

    def counting(message: object) -> Raw:
        encoded.append(message.id)  # type: ignore[attr-defined]
        return whole(message)  # type: ignore[arg-type]

    monkeypatch.setattr(reference, "reference_message", counting)
    for seen in job.live:
        full_line(seen)
    history = [message.id for message in job.live[-1].after.messages]
    assert [encoded.count(name) for name in history] == [1] * len(history)
