"""Rows 70, 71 and 75: logs that were edited, logs that are too much, and clocks that lie."""

from __future__ import annotations

import os
import resource
import time
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from perstack.errors import CorruptLog
from perstack.schema.event import RuntimeInitialized
from perstack.schema.settings import Settings
from perstack.storage import log
from perstack.storage.files import FilesStore
from storage.facts import fact, job, keep, kept, line, log_path

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.anyio, pytest.mark.hostile]

CANARY = "canary-in-the-log"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "perstack"


async def begun(root: Path, *run_ids: str) -> FilesStore:
    store = FilesStore(root, durable=False)
    await store.claim("j1")
    for run_id in run_ids or ("r1",):
        await store.open_run("j1", run_id, Settings())
    return store


def edited(old: bytes, new: bytes):
    def edit(lines: list[bytes]) -> list[bytes]:
        assert old in lines[2]
        return [*lines[:2], lines[2].replace(old, new), *lines[3:]]

    return edit


def replaced(new: bytes):
    return lambda lines: [*lines[:2], new, *lines[3:]]


DAMAGE = {
    "another job's": edited(b'"j1"', b'"j2"'),
    "another run's": edited(b'"runId":"r1"', b'"runId":"r2"'),
    "a huge seq": edited(b'"seq":3', b'"seq":1000000000000000000000000000000'),
    "a negative seq": edited(b'"seq":3', b'"seq":-3'),
    "a seq that is text": edited(b'"seq":3', b'"seq":"3"'),
    "a seq that is a fraction": edited(b'"seq":3', b'"seq":3.5'),
    "a seq that is not a number": edited(b'"seq":3', b'"seq":NaN'),
    "an unknown field": edited(b'"seq":3', b'"seq":3,"extra":1'),
    "an unknown field that a terminal obeys": edited(
        b'"seq":3', b'"seq":3,"\x1b]0;x\x07\xc2\x9b2J":1'
    ),
    "a field of enormous name": edited(b'"seq":3', b'"seq":3,"' + b"x" * 100_000 + b'":1'),
    "a class": edited(b'"seq":3', b'"seq":3,"__class__":"os.system"'),
    "a missing field": edited(b'"seq":3,', b""),
    "an unknown event": edited(b'"skillStderr"', b'"trustMe"'),
    "a display event": edited(b'"skillStderr"', b'"streamRunResult"'),
    "a lone surrogate": edited(b"some-skill", b"\\ud800"),
    "text that is not UTF-8": edited(b"some-skill", b"\xff\xfe"),
    "pickle": replaced(b"\x80\x04\x95\x10\x00\x00\x00\x8c\x05posix\x94."),
    "a list": replaced(b"[]"),
    "null": replaced(b"null"),
    "nothing": replaced(b""),
    "zeros": replaced(b"\0" * 300),
    "half a line": lambda lines: [*lines[:2], lines[2][:40], *lines[3:]],
    "two events on one line": lambda lines: [*lines[:2], lines[2] + lines[3], *lines[4:]],
    "deep arrays": replaced(b"[" * 200_000),
    "swapped lines": lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]],
    "a missing line": lambda lines: [*lines[:2], *lines[3:]],
    "a line twice": lambda lines: [*lines[:2], lines[1], *lines[2:]],
    "a damaged last line": lambda lines: [*lines[:2], lines[2][:-1]],
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
async def test_row_70_an_edited_log_is_refused_by_file_and_line(root, damage):
    store = await begun(root)
    events = [fact(seq, text=CANARY) for seq in range(1, 6)]
    await keep(store, *events)
    path = log_path(root)
    path.write_bytes(b"".join(one + b"\n" for one in damage([line(event) for event in events])))
    with pytest.raises(CorruptLog) as caught:
        await kept(store)
    message = caught.value.message
    assert f"{path}, line 3: " in message
    assert CANARY not in message
    assert message.isprintable()
    assert len(message) < 300 + len(str(path))


async def test_row_70_another_runs_log_is_refused_under_this_name(root):
    store = await begun(root, "r1", "r2")
    await keep(store, fact(1), fact(1, "r2"))
    log_path(root, "r2").replace(log_path(root))
    with pytest.raises(CorruptLog, match="line 1: it belongs to another run"):
        await kept(store)


@pytest.mark.parametrize("depth", [20_000, 200_000])
async def test_row_71_deep_json_is_refused(root, depth):
    store = await begun(root)
    deep = RuntimeInitialized(
        id="x",
        seq=1,
        timestamp=1,
        job_id="j1",
        run_id="r1",
        runtime_version="1",
        runtime="local",
        expert_name="x",
        experts=(),
        model="m",
        max_steps=1,
        max_retries=1,
        timeout=1,
        interactive_tool_call={"a": 1},
    )
    nested = b'{"a":' * depth + b"1" + b"}" * depth
    log_path(root).write_bytes(line(deep).replace(b'{"a":1}', nested) + b"\n")
    with pytest.raises(CorruptLog, match="line 1: it is nested too deeply"):
        await kept(store)


@pytest.mark.parametrize("size", [1 << 30, 1 << 40])
async def test_row_71_a_sparse_log_is_refused_at_the_line_limit(root, size):
    store = await begun(root)
    await keep(store, fact(1))
    os.truncate(log_path(root), size)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CorruptLog, match="line 2: it is longer than 67108864 bytes"):
        await kept(store)
    store.let_go(store._held["j1"])
    await store.claim("j1")
    with pytest.raises(CorruptLog, match="longer than 67108864 bytes"):
        await keep(store, fact(2))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak
    assert grown < 6 * log.MAX_LINE // 1024


async def test_row_71_a_long_log_is_read_in_pieces(root):
    count = 30_000
    store = await begun(root)
    with log_path(root).open("wb") as file:
        for seq in range(1, count + 1):
            file.write(line(fact(seq, text="x" * 400)) + b"\n")
    tracemalloc.start()
    try:
        seen = 0
        async for event in store.events("j1", "r1"):
            seen += 1
            assert event.seq == seen
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert seen == count
    assert peak < 8 * 1024 * 1024 < log_path(root).stat().st_size


async def test_row_71_a_line_without_end_costs_linear_time(root, monkeypatch):
    monkeypatch.setattr(log, "CHUNK", 4096)
    store = await begun(root)
    long = fact(1, text="x" * (16 * 1024 * 1024))
    await keep(store, long)
    started = time.process_time()
    assert await kept(store) == [long]
    store.let_go(store._held["j1"])
    await store.claim("j1")
    await keep(store, fact(2))
    assert time.process_time() - started < 5


CLOCKS = {
    "back": [5_000, 4_000, 3_000, 1],
    "before the epoch": [0, -1, -(10**12)],
    "past 2038": [2**31 * 1000 - 1, 2**31 * 1000, 2**31 * 1000 + 1],
    "past every calendar": [1, 10**18, 2],
    "stopped": [7, 7, 7],
    "an hour twice": [3_600_000, 7_200_000, 3_600_000, 7_200_000],
}


@pytest.mark.parametrize("times", CLOCKS.values(), ids=CLOCKS)
async def test_row_75_events_keep_their_order_whatever_the_clock_says(root, times):
    store = await begun(root)
    events = [fact(seq, timestamp=at or -5) for seq, at in enumerate(times, 1)]
    await keep(store, *events)
    assert await kept(store) == events


async def test_row_75_runs_keep_their_order_whatever_the_clocks_say(root):
    store = await begun(root, "late", "early", "middle")
    for run_id, at in (("late", 3 * 10**12), ("early", 1), ("middle", 10**12)):
        await keep(store, fact(1, run_id, timestamp=at))
        for path in log_path(root, run_id).parent.iterdir():
            os.utime(path, (at / 1000, at / 1000))
    assert await store.runs("j1") == ["late", "early", "middle"]


async def test_row_75_jobs_of_strange_times_are_listed_all_the_same(root):
    store = FilesStore(root)
    for name, at in (("a", -(10**15)), ("b", 10**18), ("c", 0)):
        await store.put_job(job(name, started_at=at))
    assert [found.id for found in await store.jobs()] == ["b", "c", "a"]
