"""A job read back from its files is what was seen while it ran."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from assembly.past import fail, written
from perstack.assembly.job_events import Chosen, JobEvents, Wanted, span_of
from perstack.assembly.job_past import JobPast
from perstack.errors import CorruptLog, NoSuchCheckpoint, UsageError
from perstack.schema.event import StepContinued
from perstack.storage.job_log import JobLog
from perstack.views.fold import STOPS, RunFold
from perstack.views.log.filter import parse_filter
from perstack.views.log.selection import Selection
from perstack.views.summary import SummaryFold, summary_of
from perstack.views.wire import lean_line
from views.played import Played, play, play_all, play_forks, steps, thoughtful
from worlds import JOB

pytestmark = pytest.mark.anyio


def chosen(log: JobLog, **options) -> list[Chosen]:
    wanted = Wanted(run_ids=tuple(log.runs), **options)
    return [one for one, _ in JobEvents(log, wanted).now()]


async def test_every_lean_line_is_the_one_that_was_written_live(tmp_path: Path) -> None:
    for name, played in (await play_all()).items():
        live = {seen.fact.id: lean_line(seen) for seen in played.live}
        log = written(played, tmp_path / name)
        for take in (None, 10_000):
            read = chosen(JobLog(log.root, JOB, fail), take=take, is_lean=True)
            assert {one.entry.head.id: one.lean for one in read} == live, name
            assert len(read) == len(live)


async def test_some_lines_of_some_runs_are_the_same_lines(tmp_path: Path) -> None:
    for name, played in (await play_all()).items():
        live = {seen.fact.id: lean_line(seen) for seen in played.live}
        log = written(played, tmp_path / name)
        for run_id in log.runs:
            wanted = Wanted(run_ids=(run_id,), take=3, is_lean=True)
            events = JobEvents(JobLog(log.root, JOB, fail), wanted)
            for one, _ in events.now():
                assert one.lean == live[one.entry.head.id], name


async def test_events_come_in_an_order_in_which_they_can_have_happened(tmp_path: Path) -> None:
    for name, played in (await play_all()).items():
        begun: set[str] = set()
        stopped: set[str] = set()
        for one in chosen(written(played, tmp_path / name), take=None, is_lean=True):
            fact = one.fact(JobLog(tmp_path / name, JOB, fail))
            assert fact is not None
            if one.entry.head.is_restart and one.seen is not None:
                children = {child.run_id for child in one.seen.before.turn.children}
                assert children <= stopped, name
            parent = one.seen.after.delegated_by if one.seen else None
            if parent is not None:
                assert parent.run_id in begun
            begun.add(fact.run_id)
            if isinstance(fact, STOPS):
                stopped.add(fact.run_id)


async def test_a_fold_of_a_run_lets_go_of_what_is_over() -> None:
    played = await play(steps(30))
    [facts] = played.facts_by_run.values()
    fold = RunFold(played.live[0].before)
    for fact in facts:
        fold.feed(fact)
        assert len(fold.state.messages) <= 4


async def test_a_conversation_is_all_that_was_said_up_to_its_checkpoint(tmp_path: Path) -> None:
    for name, played in (await play_all()).items():
        past = JobPast(written(played, tmp_path / name))
        for seen in played.live:
            if isinstance(seen.fact, (StepContinued, *STOPS)):
                state = seen.before if isinstance(seen.fact, StepContinued) else seen.after
                found = past.conversation(state.run_id, state.checkpoint_id)
                assert found.all_messages == state.all_messages, name
        last = {seen.fact.run_id: seen.after for seen in played.live}
        for run_id, state in last.items():
            assert past.conversation(run_id, None).all_messages == state.all_messages


async def test_a_summary_of_what_is_followed_is_the_summary(tmp_path: Path) -> None:
    for name, played in (await play_all()).items():
        log = written(played, tmp_path / name)
        past, sums = JobPast(log), SummaryFold()
        for run_id in log.runs:
            for entry in log.runs[run_id].newer():
                seen = past.seen(entry)
                assert seen is not None
                sums.feed(seen.fact, seen.after)
        assert sums.summary == summary_of(played.facts_by_run), name


async def test_the_coordinators_last_run_is_the_main_one(tmp_path: Path) -> None:
    log = written(await play_forks(), tmp_path)
    assert JobPast(log).main_run(tuple(log.runs)) == [*log.runs][-1]
    with pytest.raises(UsageError, match="before its first event"):
        JobPast(log).main_run(())


async def test_a_checkpoint_is_its_events_from_the_first_to_the_last(tmp_path: Path) -> None:
    for name, played in (await play_all()).items():
        log = written(played, tmp_path / name)
        opened = {seen.after.checkpoint_id for seen in played.live if seen.after.checkpoint_id}
        for checkpoint_id in opened:
            span = span_of(log, checkpoint_id, log.runs)
            around = [
                seen
                for seen in played.live
                if seen.fact.run_id == span.run_id and span.first <= seen.fact.seq <= span.last
            ]
            assert around[0].fact.id == checkpoint_id
            assert all(seen.before.checkpoint_id == checkpoint_id for seen in around[1:]), name


async def test_a_checkpoint_that_no_run_has_is_refused(tmp_path: Path) -> None:
    log = written(await play(thoughtful()), tmp_path)
    with pytest.raises(NoSuchCheckpoint, match="no checkpoint nothing"):
        span_of(log, "nothing", log.runs)


async def two_ways(played: Played, root: Path, **options) -> tuple[list[str], list[str]]:
    """Ids of the events that are chosen: all of them, and those that the live lines say fit."""
    log = written(played, root)
    found = [one.entry.head.id for one in chosen(log, take=None, **options)]
    assert [one.entry.head.id for one in chosen(JobLog(root, JOB, fail), **options)] == found
    where = options["where"]
    return found, [
        seen.fact.id for seen in played.live if where.matches(json.loads(lean_line(seen)))
    ]


@pytest.mark.parametrize(
    "text",
    [
        '.toolCalls[].skillName == "@perstack/delegate"',
        ".toolResults[].isError == true",
        '.checkpoint.status == "completed"',
        ".stepNumber > 1",
        '.type == "callTools" and .usage.inputTokens >= 10',
    ],
)
async def test_a_filter_sees_lean_events(tmp_path: Path, text: str) -> None:
    found, fit = await two_ways(await play(thoughtful()), tmp_path, where=parse_filter(text))
    assert found
    assert sorted(found) == sorted(fit)


async def test_behind_damage_events_are_shown_as_they_are_stored(tmp_path: Path) -> None:
    log = written(await play(steps(5)), tmp_path)
    [reader] = log.runs.values()
    lines = reader.path.read_bytes().splitlines()
    reader.path.write_bytes(b"\n".join([*lines[:15], b"{}", *lines[16:]]) + b"\n")
    told: list[str] = []
    wanted = Wanted(run_ids=tuple(log.runs), is_lean=True)
    found = [one for one, _ in JobEvents(JobLog(tmp_path, JOB, told.append), wanted).now()]
    assert len(found) == len(lines) - 1
    assert [one.seen is None for one in found] == [False] * 15 + [True] * (len(lines) - 16)
    assert all(one.lean == one.entry.line for one in found[15:])
    assert {message.partition(": ")[0] for message in told} == {f"{reader.path}, line 16"}


async def test_a_run_that_goes_on_from_itself_is_refused(tmp_path: Path) -> None:
    log = written(await play_forks(), tmp_path)
    first, *_, fork = log.runs.values()
    path = fork.path
    path.write_bytes(
        path.read_bytes().replace(
            f'"base":{{"runId":"{first.run_id}"'.encode(),
            f'"base":{{"runId":"{fork.run_id}"'.encode(),
        )
    )
    past = JobPast(JobLog(tmp_path, JOB, fail))
    with pytest.raises(CorruptLog, match="goes on from itself"):
        past.conversation(fork.run_id, None)


async def test_the_newest_events_are_chosen_without_reading_or_following_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = written(await play(steps(400)), tmp_path)
    [reader] = log.runs.values()
    heads: list[int] = []
    whole = reader._entry

    def counted(line: bytes, number: int | None, place: int = 0):
        heads.append(place)
        return whole(line, number, place)

    reader._entry = counted  # type: ignore[method-assign]
    reader.newer = fail  # type: ignore[assignment, method-assign]
    monkeypatch.setattr("perstack.kernel.apply.apply", fail)
    monkeypatch.setattr("perstack.views.fold.apply", fail)
    found = chosen(log, take=100, has_all=False, selection=Selection(tools=True))
    assert len(found) == 100
    assert len(heads) < 500
