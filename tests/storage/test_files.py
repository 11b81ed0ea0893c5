"""What FilesStore promises beyond the contract of every Store."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import tempfile
import threading
from pathlib import Path

import anyio
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perstack.errors import CorruptLog, LeaseLost, StorageError
from perstack.schema.settings import ProviderSettings, Settings
from perstack.storage import files, log
from perstack.storage.files import FilesStore
from storage.facts import fact, job, keep, kept, line, log_path

pytestmark = pytest.mark.anyio


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "perstack"


@pytest.fixture
def store(root: Path) -> FilesStore:
    return FilesStore(root)


async def begun(store: FilesStore, *run_ids: str) -> None:
    await store.claim("j1")
    for run_id in run_ids or ("r1",):
        await store.open_run("j1", run_id, Settings())


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


class Disk:
    """Notes which paths are synced, and by which thread; fails when told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.synced: list[str] = []
        self.threads: set[int] = set()
        self.failure: OSError | None = None
        for name in ("fdatasync", "fsync"):
            monkeypatch.setattr(os, name, self._noting(getattr(os, name)))

    def _noting(self, real):
        def sync(descriptor: int) -> None:
            self.threads.add(threading.get_ident())
            self.synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
            if self.failure is not None:
                raise self.failure
            real(descriptor)

        return sync


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


async def test_what_lies_on_disk_is_for_this_user_alone(store, root):
    await begun(store)
    await keep(store, fact(1))
    await store.put_job(job())
    found = {
        str(path.relative_to(root)): stat.S_IMODE(path.lstat().st_mode)
        for path in (root, *root.rglob("*"))
    }
    assert found == {
        ".": 0o700,
        "jobs": 0o700,
        "jobs/j1": 0o700,
        "jobs/j1/job.json": 0o600,
        "jobs/j1/lock": 0o600,
        "jobs/j1/runs": 0o700,
        "jobs/j1/runs/r1": 0o700,
        "jobs/j1/runs/r1/run.json": 0o600,
        "jobs/j1/runs/r1/events.jsonl": 0o600,
    }


async def test_reading_makes_nothing(store, root):
    assert await store.jobs() == []
    assert await kept(store) == []
    assert not root.exists()


async def test_a_log_is_the_lines_that_were_appended(store, root):
    await begun(store)
    await keep(store, fact(1), fact(2))
    assert log_path(root).read_bytes() == line(fact(1)) + b"\n" + line(fact(2)) + b"\n"


async def test_another_store_reads_while_the_first_one_writes(store, root):
    await begun(store)
    await keep(store, fact(1))
    await store.put_job(job())
    reader = FilesStore(root)
    assert await kept(reader) == [fact(1)]
    assert await reader.runs("j1") == ["r1"]
    assert await reader.jobs() == [job()]


async def test_a_relative_root_stays_where_it_was(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = FilesStore(Path("perstack"))
    monkeypatch.chdir("/")
    await begun(store)
    assert (tmp_path / "perstack/jobs/j1").is_dir()


async def test_the_path_to_the_root_may_lead_through_links(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    store = FilesStore(tmp_path / "link/deep/perstack")
    await begun(store)
    await keep(store, fact(1))
    assert log_path(tmp_path / "real/deep/perstack").exists()


async def test_every_descriptor_is_given_back(store):
    before = open_descriptors()
    lease = await store.claim("j1")
    for run_id in ("r1", "r2", "r3"):
        await store.open_run("j1", run_id, Settings())
        await keep(store, fact(1, run_id))
    await store.flush("j1")
    await kept(store)
    await store.jobs()
    with pytest.raises(StorageError):
        await store.claim("j1")
    await lease.release()
    assert open_descriptors() == before


# Durability


async def test_a_flush_syncs_a_new_job_from_its_events_to_the_folder_it_lies_in(store, root, disk):
    await begun(store)
    await keep(store, fact(1))
    await store.flush("j1")
    assert disk.synced[0] == "events.jsonl"
    folders = {"r1", "runs", "j1", "jobs", "perstack", root.parent.name}
    assert set(disk.synced[1:]) == {"run.json"} | folders


async def test_a_step_costs_one_sync_in_the_thread_that_asked(store, disk):
    await begun(store)
    await keep(store, fact(1))
    await store.flush("j1")
    disk.synced.clear()
    disk.threads.clear()
    await keep(store, fact(2), fact(3))
    await store.flush("j1")
    await store.flush("j1")
    assert disk.synced == ["events.jsonl"]
    assert disk.threads == {threading.get_ident()}


async def test_many_syncs_do_not_stop_the_loop(store, disk):
    runs = [f"r{n}" for n in range(5)]
    await begun(store, *runs)
    await keep(store, *(fact(1, run_id) for run_id in runs))
    await store.flush("j1")
    assert threading.get_ident() not in disk.threads


async def test_the_record_of_a_job_at_rest_survives_the_machine(store, disk):
    await begun(store)
    await store.put_job(job())
    assert disk.synced == []
    await store.put_job(msgspec.structs.replace(job(), status="completed"))
    assert disk.synced == [".job.json.new", "j1"]


async def test_durable_false_never_syncs(root, disk):
    store = FilesStore(root, durable=False)
    await begun(store)
    await keep(store, fact(1))
    await store.flush("j1")
    assert disk.synced == []


async def test_after_a_failed_flush_the_job_takes_no_more_events(store, root, disk):
    await begun(store)
    await keep(store, fact(1))
    disk.failure = OSError(errno.EIO, os.strerror(errno.EIO))
    with pytest.raises(StorageError, match="j1 could not be carried to the disk: Input/output"):
        await store.flush("j1")
    disk.failure = None
    for attempt in (lambda: keep(store, fact(2)), lambda: store.flush("j1")):
        with pytest.raises(StorageError, match="carried to the disk"):
            await attempt()
    assert await kept(FilesStore(root)) == [fact(1)]


async def test_a_release_waits_for_the_flush_under_way(store, monkeypatch):
    may_end, ended = threading.Event(), []
    real = os.fsync

    def slow(descriptor: int) -> None:
        assert may_end.wait(5)
        ended.append(descriptor)
        real(descriptor)

    lease = await store.claim("j1")
    await store.open_run("j1", "r1", Settings())
    await keep(store, fact(1))
    monkeypatch.setattr(os, "fsync", slow)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(store.flush, "j1")
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(lease.release)
        await anyio.wait_all_tasks_blocked()
        await keep(store, fact(2))  # the lease is still there, and so is the loop
        may_end.set()
    assert ended
    await store.claim("j1")


# More runs than descriptors


async def test_many_runs_share_few_descriptors(store, root, monkeypatch, disk):
    monkeypatch.setattr(files, "most_open_logs", lambda: 3)
    runs = [f"r{n}" for n in range(12)]
    await begun(store, *runs)
    before = open_descriptors()
    for seq in range(1, 6):
        await keep(store, *(fact(seq, run_id) for run_id in runs))
    assert open_descriptors() <= before + 3
    await store.flush("j1")
    assert disk.synced.count("events.jsonl") == len(runs)
    for run_id in runs:
        assert await kept(store, run_id) == [fact(seq, run_id) for seq in range(1, 6)]


async def test_the_log_used_longest_ago_is_closed_first(store, monkeypatch):
    monkeypatch.setattr(files, "most_open_logs", lambda: 2)
    await begun(store, "r1", "r2", "r3")
    await keep(store, fact(1, "r1"), fact(1, "r2"), fact(2, "r1"), fact(1, "r3"))
    logs = store._held["j1"].logs
    assert [run_id for run_id in logs if logs[run_id].descriptor >= 0] == ["r1", "r3"]


async def test_a_log_that_changed_while_it_was_closed_is_not_added_to(store, root, monkeypatch):
    monkeypatch.setattr(files, "most_open_logs", lambda: 1)
    await begun(store, "r1", "r2")
    await keep(store, fact(1), fact(1, "r2"))
    with log_path(root).open("ab") as file:
        file.write(line(fact(2)) + b"\n")
    with pytest.raises(StorageError, match="changed by another program"):
        await keep(store, fact(2))


# Writes that fail


class Full:
    """Writes nine bytes, as a disk does that is nearly full, and then no more."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, can_cut: bool) -> None:
        self.is_on = False
        self.has_room = True
        self.can_cut = can_cut
        self.write, self.truncate = os.write, os.ftruncate
        monkeypatch.setattr(os, "write", self._write)
        monkeypatch.setattr(os, "ftruncate", self._truncate)

    def _write(self, descriptor: int, content: bytes) -> int:
        if not self.is_on:
            return self.write(descriptor, content)
        if self.has_room:
            self.has_room = False
            return self.write(descriptor, content[:9])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _truncate(self, descriptor: int, size: int) -> None:
        if self.is_on and not self.can_cut:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self.truncate(descriptor, size)


async def test_a_write_that_stops_half_way_is_taken_back(store, root, monkeypatch):
    disk = Full(monkeypatch, can_cut=True)
    await begun(store)
    await keep(store, fact(1))
    before = log_path(root).read_bytes()
    disk.is_on = True
    with pytest.raises(StorageError, match=r"Cannot write .*events\.jsonl: the disk is full"):
        await keep(store, fact(2))
    disk.is_on = False
    assert log_path(root).read_bytes() == before
    await keep(store, fact(2))
    assert await kept(store) == [fact(1), fact(2)]


async def test_a_write_that_cannot_be_taken_back_is_left_to_the_next_owner(
    store, root, monkeypatch
):
    disk = Full(monkeypatch, can_cut=False)
    lease = await store.claim("j1")
    await store.open_run("j1", "r1", Settings())
    await keep(store, fact(1))
    disk.is_on = True
    with pytest.raises(StorageError, match="the disk is full"):
        await keep(store, fact(2))
    disk.is_on = False
    with pytest.raises(StorageError, match="in the middle of an event"):
        await keep(store, fact(2))
    assert await kept(store) == [fact(1)]
    await lease.release()
    await store.claim("j1")
    await keep(store, fact(2))
    assert await kept(store) == [fact(1), fact(2)]


async def test_a_short_write_is_finished(store, root, monkeypatch):
    real = os.write
    await begun(store)
    monkeypatch.setattr(os, "write", lambda fd, content: real(fd, content[:7]))
    await keep(store, fact(1), fact(2))
    assert await kept(store) == [fact(1), fact(2)]


# Torn lines


@pytest.mark.parametrize("torn", [b"{", b'{"type":"skillStderr","id":"x', b"\0" * 5000, b"\xff"])
async def test_a_torn_last_line_is_dropped_and_then_cut_off(store, root, torn):
    await begun(store)
    await keep(store, fact(1), fact(2))
    whole = log_path(root).read_bytes()
    log_path(root).write_bytes(whole + torn)
    later = FilesStore(root)
    assert await kept(later) == [fact(1), fact(2)]
    store.let_go(store._held["j1"])
    await later.claim("j1")
    assert await kept(later) == [fact(1), fact(2)]
    await keep(later, fact(3))
    assert log_path(root).read_bytes() == whole + line(fact(3)) + b"\n"


@given(
    texts=st.lists(st.text(max_size=300), max_size=8),
    where=st.floats(0, 1),
    chunk=st.integers(1, 400),
)
@settings(max_examples=40, deadline=None)
def test_wherever_a_log_is_cut_its_whole_lines_are_read_and_it_goes_on(texts, where, chunk):
    events = [fact(seq, text=text) for seq, text in enumerate(texts, 1)]
    content = b"".join(line(event) + b"\n" for event in events)
    cut = content[: round(where * len(content))]
    whole = events[: cut.count(b"\n")]

    async def scenario(root: Path) -> None:
        store = FilesStore(root, durable=False)
        await begun(store)
        log_path(root).write_bytes(cut)
        assert await kept(store) == whole
        following = fact(len(whole) + 1)
        await keep(store, following)
        assert await kept(store) == [*whole, following]
        store.let_go(store._held["j1"])

    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(log, "CHUNK", chunk)
        anyio.run(scenario, Path(folder) / "perstack")


async def test_a_long_event_is_kept_and_a_longer_one_refused(store, root, monkeypatch):
    monkeypatch.setattr(log, "MAX_LINE", 100_000)
    monkeypatch.setattr(log, "CHUNK", 1000)
    await begun(store)
    events = [fact(1), fact(2, text="x" * 99_000), fact(3)]
    await keep(store, *events)
    with pytest.raises(StorageError, match="at most 100000 bytes"):
        await keep(store, fact(4, text="x" * 100_000))
    store.let_go(store._held["j1"])
    await store.claim("j1")
    await keep(store, fact(4))
    assert await kept(store) == [*events, fact(4)]


async def test_a_damaged_last_line_is_never_added_to(store, root):
    await begun(store)
    log_path(root).write_bytes(line(fact(1)) + b'\n{"seq":"two"}\n')
    with pytest.raises(CorruptLog, match=r"events\.jsonl: its last line is no event"):
        await keep(store, fact(2))
    assert log_path(root).read_bytes().endswith(b'{"seq":"two"}\n')


# The lease


@pytest.mark.parametrize("gone", ["jobs/j1/lock", "jobs/j1", "jobs", "."])
@pytest.mark.parametrize("replaced", [False, True])
async def test_the_lease_ends_with_the_place_it_was_for(store, root, tmp_path, gone, replaced):
    await begun(store)
    await keep(store, fact(1))
    (root / gone).rename(tmp_path / "taken-away")
    other = FilesStore(root)
    if replaced:
        await begun(other, "r2")
        await keep(other, fact(1, "r2"))
    for attempt in (
        lambda: keep(store, fact(2)),
        lambda: store.flush("j1"),
        lambda: store.open_run("j1", "r2", Settings()),
        lambda: store.put_job(job()),
    ):
        with pytest.raises(LeaseLost, match="j1"):
            await attempt()
    if replaced:
        assert await kept(other, "r2") == [fact(1, "r2")]


async def test_a_log_that_was_removed_fails_the_next_flush(store, root):
    await begun(store)
    await keep(store, fact(1))
    await store.flush("j1")
    shutil.rmtree(root / "jobs/j1/runs")
    await keep(store, fact(2))
    with pytest.raises(StorageError, match=r"events\.jsonl was removed"):
        await store.flush("j1")
    with pytest.raises(StorageError, match="was removed"):
        await keep(store, fact(3))


async def test_an_owner_who_lost_the_job_can_claim_it_again(store, root):
    first = await store.claim("j1")
    shutil.rmtree(root)
    second = await store.claim("j1")
    await first.release()
    await store.open_run("j1", "r1", Settings())
    await keep(store, fact(1))
    await second.release()


# Records


async def test_run_settings_are_kept_without_their_secrets(store, root):
    await store.claim("j1")
    provider = ProviderSettings(
        provider_name="openai",
        headers={"X-Team-Key": "canary-1"},
        base_url="https://canary-2:canary-3@models.test:8443/v1?key=canary-4#canary-5",
    )
    await store.open_run("j1", "r1", Settings(provider=provider, max_steps=7))
    written = log_path(root).with_name("run.json").read_text()
    assert "canary" not in written
    record = json.loads(written)
    assert record["index"] == 1
    assert record["settings"]["maxSteps"] == 7
    assert record["settings"]["provider"]["headers"] == {"X-Team-Key": ""}
    assert record["settings"]["provider"]["baseUrl"] == "https://models.test:8443/v1"


async def test_settings_of_a_repeated_run_are_replaced(store, root):
    await begun(store, "r1", "r2")
    await store.open_run("j1", "r1", Settings(max_steps=9))
    record = json.loads(log_path(root).with_name("run.json").read_text())
    assert (record["index"], record["settings"]["maxSteps"]) == (1, 9)


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"id":"j2"}', b'{"id":"j1","x":1}'])
async def test_a_damaged_job_record_is_none_and_hides_no_other(store, root, damage):
    await store.put_job(job("j1"))
    await store.put_job(job("j2"))
    (root / "jobs/j1/job.json").write_bytes(damage)
    assert await store.get_job("j1") is None
    assert await store.jobs() == [job("j2")]
    await store.put_job(job("j1", started_at=9))
    assert await store.get_job("j1") == job("j1", started_at=9)


async def test_another_jobs_record_is_none_of_this_one(store, root):
    await store.put_job(job("j1"))
    shutil.copytree(root / "jobs/j1", root / "jobs/j2")
    assert await store.get_job("j2") is None


async def test_a_record_too_large_to_be_one_is_none(store, root):
    await store.put_job(job())
    os.truncate(root / "jobs/j1/job.json", 1 << 40)
    assert await store.get_job("j1") is None


async def test_strays_are_neither_jobs_nor_runs(store, root):
    await begun(store)
    await store.put_job(job())
    for stray in ("jobs/notes.txt", "jobs/README", "jobs/j1/runs/README", "jobs/j1/runs/.x"):
        (root / stray).touch()
    (root / "jobs/empty").mkdir()
    (root / "jobs/j1/runs/empty").mkdir()
    os.mkfifo(root / "jobs/fifo")
    assert await store.jobs() == [job()]
    assert await store.runs("j1") == ["r1"]


async def test_runs_whose_record_is_damaged_come_last_and_are_placed_anew(store, root):
    await begun(store, "a", "b", "c")
    await keep(store, fact(1, "a"))
    for damage in ('{"index":0}', '{"index":9999999999}', "[" * 100_000):
        log_path(root, "a").with_name("run.json").write_text(damage)
        assert await store.runs("j1") == ["b", "c", "a"]
    await store.open_run("j1", "a", Settings())
    await store.open_run("j1", "d", Settings())
    assert await store.runs("j1") == ["b", "c", "a", "d"]


async def test_a_job_killed_before_its_first_record_is_listed_from_its_log(store, root):
    await store.claim("j1")
    await store.open_run("j1", "r1", Settings())
    await keep(store, fact(1), fact(2))

    (found,) = await FilesStore(root).jobs()

    assert (found.id, found.status) == ("j1", "running")
    assert found.started_at == fact(1).timestamp
