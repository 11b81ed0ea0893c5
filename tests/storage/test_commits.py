"""Many jobs of one process share the ways to the disk, and none of them is promised less."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec
import pytest

from perstack.errors import StorageError
from perstack.schema.settings import Settings
from perstack.storage import commits
from perstack.storage.files import FilesStore
from storage.facts import fact, job, keep, kept

pytestmark = pytest.mark.anyio


class Disk:
    """Notes what is synced, as paths below the root, and by which threads.

    With `is_slow`, the first sync waits for `may_go_on`. The path `broken` fails.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
        self.synced: list[str] = []
        self.threads: list[int] = []
        self.broken = ""
        self.is_slow = False
        self.may_go_on = threading.Event()
        self._root = root.parent
        for name in ("fdatasync", "fsync"):
            monkeypatch.setattr(os, name, self._noting(getattr(os, name)))

    def _noting(self, real):
        def sync(descriptor: int) -> None:
            if self.is_slow:
                assert self.may_go_on.wait(10)
            path = str(Path(f"/proc/self/fd/{descriptor}").readlink().relative_to(self._root))
            self.threads.append(threading.get_ident())
            if path == self.broken:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            real(descriptor)
            self.synced.append(path)

        return sync


@pytest.fixture
def hops(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pieces of work each batch held."""
    found: list[int] = []
    real = commits._carry_all

    def counted(works) -> None:
        found.append(len(works))
        real(works)

    monkeypatch.setattr(commits, "_carry_all", counted)
    return found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "perstack"


@pytest.fixture
def store(root: Path) -> FilesStore:
    return FilesStore(root)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch, root: Path) -> Disk:
    return Disk(monkeypatch, root)


async def begun(store: FilesStore, *job_ids: str) -> None:
    for job_id in job_ids:
        await store.claim(job_id)
        await store.open_run(job_id, "r1", Settings())
        await keep(store, fact(1, job_id=job_id))


async def flush_all(store: FilesStore, *job_ids: str) -> None:
    async with anyio.create_task_group() as tasks:
        for job_id in job_ids:
            tasks.start_soon(store.flush, job_id)


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def test_the_flushes_of_many_jobs_reach_the_disk_together(store, disk, hops):
    jobs = [f"j{number}" for number in range(20)]
    await begun(store, *jobs)
    await flush_all(store, *jobs)
    assert sum(hops) == len(jobs)
    assert len(hops) <= 2
    for job_id in jobs:
        place = f"perstack/jobs/{job_id}"
        run = f"{place}/runs/r1"
        for path in (place, f"{place}/runs", run, f"{run}/run.json", f"{run}/events.jsonl"):
            assert disk.synced.count(path) == 1, path
    assert 1 <= disk.synced.count("perstack/jobs") <= len(hops)  # what they share, once a hop
    assert threading.get_ident() not in disk.threads


async def test_what_arrives_while_the_disk_is_busy_goes_together_next(store, disk):
    await begun(store, "j1", "j2", "j3")
    disk.is_slow = True
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(store.flush, "j1")
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(store.flush, "j2")
        tasks.start_soon(store.flush, "j3")
        await anyio.wait_all_tasks_blocked()
        await keep(store, fact(2))  # nobody who only appends has to wait
        disk.may_go_on.set()
    assert disk.synced.count("perstack/jobs") == 2


async def test_threads_that_tools_keep_busy_hold_no_flush_up(store):
    may_end = threading.Event()
    limiter = anyio.to_thread.current_default_thread_limiter()
    await begun(store, "j1", "j2")
    async with anyio.create_task_group() as tasks:
        for _ in range(int(limiter.total_tokens)):
            tasks.start_soon(anyio.to_thread.run_sync, may_end.wait)
        await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(10):
            await flush_all(store, "j1", "j2")
        may_end.set()


async def test_a_disk_that_fails_one_job_fails_no_other(store, disk, root):
    await begun(store, "j1", "j2", "j3")
    disk.broken = "perstack/jobs/j2/runs/r1/events.jsonl"
    errors: dict[str, str] = {}

    async def flush(job_id: str) -> None:
        try:
            await store.flush(job_id)
        except StorageError as error:
            errors[job_id] = error.message

    async with anyio.create_task_group() as tasks:
        for job_id in ("j1", "j2", "j3"):
            tasks.start_soon(flush, job_id)
    assert errors.keys() == {"j2"}
    assert "j2 could not be carried to the disk: Input/output" in errors["j2"]
    disk.broken = ""
    with pytest.raises(StorageError, match="carried to the disk"):
        await keep(store, fact(2, job_id="j2"))
    for job_id in ("j1", "j3"):
        await keep(store, fact(2, job_id=job_id))
        await store.flush(job_id)


async def test_a_shared_folder_that_cannot_be_synced_fails_every_new_job(store, disk):
    await begun(store, "j1", "j2")
    disk.broken = "perstack/jobs"
    for job_id in ("j1", "j2"):
        with pytest.raises(StorageError, match=f"{job_id} could not be carried"):
            await store.flush(job_id)


async def test_without_a_thread_nobody_is_told_that_anything_is_safe(store, monkeypatch):
    def no_thread(*_given) -> None:
        raise RuntimeError("can't start new thread")

    await begun(store, "j1", "j2", "j3")
    monkeypatch.setattr(threading.Thread, "start", no_thread)
    errors: list[str] = []

    async def flush(job_id: str) -> None:
        with pytest.raises(StorageError) as caught:
            await store.flush(job_id)
        errors.append(caught.value.message)

    async with anyio.create_task_group() as tasks:
        for job_id in ("j1", "j2", "j3"):
            tasks.start_soon(flush, job_id)
    assert len(errors) == 3
    assert all("carried to the disk: can't start new thread" in error for error in errors)
    monkeypatch.undo()
    with pytest.raises(StorageError, match="carried to the disk"):
        await keep(store, fact(2))


async def test_a_flush_that_is_cancelled_is_carried_out_all_the_same(store, disk):
    await begun(store, "j1", "j2")
    disk.is_slow = True
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(store.flush, "j1")
        await anyio.wait_all_tasks_blocked()
        async with anyio.create_task_group() as inner:
            inner.start_soon(store.flush, "j2")
            await anyio.wait_all_tasks_blocked()
            inner.cancel_scope.cancel()
            disk.may_go_on.set()
    for job_id in ("j1", "j2"):
        assert f"perstack/jobs/{job_id}/runs/r1/events.jsonl" in disk.synced
        await keep(store, fact(2, job_id=job_id))


async def test_the_records_of_jobs_at_rest_reach_the_disk_in_a_thread(store, disk, root):
    await begun(store, "j1", "j2")
    rests = msgspec.structs.replace(job(), status="completed")
    async with anyio.create_task_group() as tasks:
        for job_id in ("j1", "j2"):
            tasks.start_soon(store.put_job, msgspec.structs.replace(rests, id=job_id))
    for job_id in ("j1", "j2"):
        place = f"perstack/jobs/{job_id}"
        assert [path for path in disk.synced if path.startswith(place)] == [
            f"{place}/.job.json.new",
            place,
        ]
        assert (await FilesStore(root).get_job(job_id)) == msgspec.structs.replace(rests, id=job_id)
    assert threading.get_ident() not in disk.threads


async def test_a_batch_holds_so_much_and_no_more(store, disk, hops, monkeypatch):
    monkeypatch.setattr(commits, "MOST_AT_ONCE", 4)
    jobs = [f"j{number}" for number in range(30)]
    await begun(store, *jobs)
    await flush_all(store, *jobs)
    assert (sum(hops), max(hops)) == (30, 4)


async def test_a_log_on_its_way_to_the_disk_stays_open_and_the_others_make_room(
    store, disk, monkeypatch
):
    await begun(store, "j1", "j2", "j3", "j4")
    await flush_all(store, "j1", "j2", "j3", "j4")
    disk.synced.clear()
    monkeypatch.setattr("perstack.storage.files.most_open_logs", lambda: 1)
    await keep(store, fact(2))
    disk.is_slow = True
    before = open_descriptors()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(store.flush, "j1")
        await anyio.wait_all_tasks_blocked()
        for seq in (1, 2, 3):
            for job_id in ("j2", "j3", "j4"):
                await store.open_run(job_id, "r2", Settings())
                await keep(store, fact(seq, "r2", job_id=job_id))
        assert open_descriptors() <= before + 1
        disk.may_go_on.set()
    assert disk.synced == ["perstack/jobs/j1/runs/r1/events.jsonl"]
    await keep(store, fact(3))
    assert await kept(store) == [fact(1), fact(2), fact(3)]


async def test_a_job_at_work_holds_three_descriptors(store):
    before = open_descriptors()
    await begun(store, "j1")
    assert open_descriptors() == before + 3


async def test_a_run_that_is_opened_again_as_it_was_is_not_written_again(store, root, disk):
    await begun(store, "j1")
    await store.flush("j1")
    record = root / "jobs/j1/runs/r1/run.json"
    written, synced = record.stat().st_ino, len(disk.synced)
    await store.open_run("j1", "r1", Settings())
    await store.flush("j1")
    assert record.stat().st_ino == written
    assert len(disk.synced) == synced
    await store.open_run("j1", "r1", Settings(max_steps=7))
    await store.flush("j1")
    assert record.stat().st_ino != written
    assert "perstack/jobs/j1/runs/r1/run.json" in disk.synced[synced:]
