"""What every Store promises, asked of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from perstack.errors import JobInUse, LeaseLost, StorageError, UsageError
from perstack.schema.settings import Settings
from perstack.storage.files import FilesStore
from perstack.storage.memory import MemoryStore
from perstack.testing.crashing_store import CrashingStore
from storage.facts import fact, job, keep, kept, line

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from perstack.storage import Store

pytestmark = pytest.mark.anyio

MAKERS: dict[str, Callable[[Path], Store]] = {
    "files": FilesStore,
    "files, not durable": lambda root: FilesStore(root, durable=False),
    "memory": lambda root: MemoryStore(),
    "crashing, around files": lambda root: CrashingStore(FilesStore(root)),
    "crashing, around memory": lambda root: CrashingStore(MemoryStore()),
}


@pytest.fixture(params=MAKERS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return MAKERS[request.param](tmp_path / "perstack")


async def opened(store: Store, *run_ids: str) -> None:
    for run_id in run_ids or ("r1",):
        await store.open_run("j1", run_id, Settings())


async def test_events_come_back_as_they_were_appended(store):
    await store.claim("j1")
    await opened(store)
    events = [fact(n, text=f"line\nbreak, \0, ü, 𝄞 and {n}") for n in range(1, 40)]
    await keep(store, *events)
    assert await kept(store) == events


async def test_events_are_there_before_and_after_a_flush_and_after_the_release(store):
    lease = await store.claim("j1")
    await opened(store)
    await keep(store, fact(1))
    assert await kept(store) == [fact(1)]
    await store.flush("j1")
    await lease.release()
    assert await kept(store) == [fact(1)]


async def test_what_is_not_there_reads_as_nothing(store):
    assert await kept(store) == []
    assert await store.runs("j1") == []
    assert await store.get_job("j1") is None
    assert await store.jobs() == []


async def test_a_run_that_was_opened_and_has_no_event_reads_as_nothing(store):
    await store.claim("j1")
    await opened(store)
    assert await kept(store) == []
    assert await store.runs("j1") == ["r1"]


async def test_each_run_has_its_own_log(store):
    await store.claim("j1")
    await opened(store, "r1", "r2")
    await keep(store, fact(1), fact(1, "r2"), fact(2, "r2"), fact(2))
    assert await kept(store, "r1") == [fact(1), fact(2)]
    assert await kept(store, "r2") == [fact(1, "r2"), fact(2, "r2")]


async def test_a_second_claim_is_refused_and_names_the_job(store):
    await store.claim("j1")
    with pytest.raises(JobInUse, match="j1"):
        await store.claim("j1")
    await store.claim("j2")


async def test_a_released_job_can_be_claimed_again_and_goes_on_where_it_was(store):
    lease = await store.claim("j1")
    await opened(store)
    await keep(store, fact(1))
    await lease.release()
    await store.claim("j1")
    await keep(store, fact(2))
    assert await kept(store) == [fact(1), fact(2)]


async def test_releasing_twice_does_not_take_the_next_owners_lease(store):
    first = await store.claim("j1")
    await first.release()
    await store.claim("j1")
    await first.release()
    with pytest.raises(JobInUse):
        await store.claim("j1")
    await opened(store)
    await keep(store, fact(1))


async def test_only_the_owner_appends_opens_runs_and_flushes(store):
    with pytest.raises(LeaseLost):
        await keep(store, fact(1))
    lease = await store.claim("j1")
    await opened(store)
    await keep(store, fact(1))
    await lease.release()
    with pytest.raises(LeaseLost):
        await keep(store, fact(2))
    with pytest.raises(LeaseLost):
        await store.flush("j1")
    with pytest.raises(LeaseLost):
        await opened(store, "r2")
    assert await kept(store) == [fact(1)]


async def test_an_event_out_of_its_place_is_refused_and_nothing_changes(store):
    await store.claim("j1")
    await opened(store)
    await keep(store, fact(1))
    for seq in (0, 1, 3, -1, 10**18):
        with pytest.raises(StorageError, match="cannot follow"):
            await keep(store, fact(seq))
    await keep(store, fact(2))
    assert await kept(store) == [fact(1), fact(2)]


async def test_an_event_of_a_run_that_was_never_opened_is_refused(store):
    await store.claim("j1")
    with pytest.raises(StorageError, match="never opened"):
        await keep(store, fact(1))
    assert await store.runs("j1") == []


async def test_a_line_that_would_be_two_is_refused(store):
    await store.claim("j1")
    await opened(store)
    with pytest.raises(StorageError, match="one line"):
        await store.append(fact(1), line(fact(1)) + b"\n" + line(fact(2)))
    assert await kept(store) == []


async def test_runs_are_named_in_the_order_they_began(store):
    await store.claim("j1")
    await opened(store, "z", "a", "m")
    await opened(store, "a", "z")
    assert await store.runs("j1") == ["z", "a", "m"]


async def test_runs_keep_their_order_across_owners(store):
    lease = await store.claim("j1")
    await opened(store, "z", "y")
    await lease.release()
    await store.claim("j1")
    await opened(store, "y", "b", "a")
    assert await store.runs("j1") == ["z", "y", "b", "a"]


async def test_a_job_record_is_replaced_as_a_whole(store):
    await store.claim("j1")
    await store.put_job(job(started_at=1))
    await store.put_job(job(started_at=2))
    assert await store.get_job("j1") == job(started_at=2)


async def test_a_job_record_can_be_kept_without_a_lease(store):
    await store.put_job(job())
    assert await store.get_job("j1") == job()
    await store.claim("j1")


async def test_jobs_are_listed_newest_first(store):
    for name, started_at in (("b", 5), ("c", 9), ("a", 5), ("d", 1)):
        await store.put_job(job(name, started_at=started_at))
    assert [found.id for found in await store.jobs()] == ["c", "b", "a", "d"]


async def test_flushing_a_claimed_job_with_nothing_new_is_fine(store):
    await store.claim("j1")
    await store.flush("j1")
    await opened(store)
    await keep(store, fact(1))
    await store.flush("j1")
    await store.flush("j1")


async def test_tasks_may_append_and_flush_at_once(store):
    runs = [f"r{n}" for n in range(8)]
    await store.claim("j1")
    await opened(store, *runs)

    async def work(run_id: str) -> None:
        for seq in range(1, 11):
            await keep(store, fact(seq, run_id))
            await anyio.lowlevel.checkpoint()
            await store.flush("j1")

    async with anyio.create_task_group() as tasks:
        for run_id in runs:
            tasks.start_soon(work, run_id)
    for run_id in runs:
        assert await kept(store, run_id) == [fact(seq, run_id) for seq in range(1, 11)]


async def test_a_cancelled_append_is_whole_or_absent(store):
    await store.claim("j1")
    await opened(store)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await keep(store, fact(1))
    found = await kept(store)
    assert found in ([], [fact(1)])
    await keep(store, fact(len(found) + 1))
    assert len(await kept(store)) == len(found) + 1


async def test_a_cancelled_flush_leaves_the_job_writable(store):
    await store.claim("j1")
    await opened(store)
    await keep(store, fact(1))
    with anyio.CancelScope() as scope:
        scope.cancel()
        await store.flush("j1")
    await keep(store, fact(2))
    await store.flush("j1")
    assert await kept(store) == [fact(1), fact(2)]


async def test_a_reader_sees_the_log_as_it_was_when_it_began(store):
    await store.claim("j1")
    await opened(store)
    await keep(store, fact(1), fact(2))
    reading = store.events("j1", "r1")
    seen = [await anext(reading)]
    await keep(store, fact(3))
    seen += [event async for event in reading]
    assert seen == [fact(1), fact(2)]


@pytest.mark.parametrize("bad", ["", "../up", "a/b", "a\0b", ".", "x" * 129, "ä"])
async def test_malformed_ids_are_refused_at_every_entrance(store, bad):
    await store.claim("j1")
    await opened(store)
    attempts = (
        lambda: store.claim(bad),
        lambda: store.open_run(bad, "r1", Settings()),
        lambda: store.open_run("j1", bad, Settings()),
        lambda: keep(store, fact(1, job_id=bad)),
        lambda: keep(store, fact(1, bad)),
        lambda: store.flush(bad),
        lambda: kept(store, job_id=bad),
        lambda: kept(store, bad),
        lambda: store.runs(bad),
        lambda: store.put_job(job(bad)),
        lambda: store.get_job(bad),
    )
    for attempt in attempts:
        with pytest.raises(UsageError, match=r"is not a (job|run) id"):
            await attempt()
