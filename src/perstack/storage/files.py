"""Jobs as folders and files: what `perstack/` in a workspace holds.

    jobs/{jobId}/job.json                    the job's record, replaced as a whole
    jobs/{jobId}/lock                        locked by the one process that may write
    jobs/{jobId}/runs/{runId}/run.json       the run's place among the runs, and its settings
    jobs/{jobId}/runs/{runId}/events.jsonl   its events, appended

No link is followed below the root, folders are 0700 and files 0600.
"""

from __future__ import annotations

import os
import resource
from collections import OrderedDict
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel

from perstack.errors import LeaseLost, StorageError
from perstack.schema.keys import checked_id
from perstack.storage.commits import Commits, Work
from perstack.storage.folders import folder_descriptor, open_below, open_folder
from perstack.storage.lease import HeldJob
from perstack.storage.listing import kept_facts, kept_job, kept_jobs, kept_runs
from perstack.storage.log import LOG_NAME, RunLog
from perstack.storage.records import (
    UNKNOWN_INDEX,
    index_in,
    keep_job,
    keep_run,
    run_indexes,
    run_record,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from os import PathLike

    from perstack.schema.checkpoint import Job
    from perstack.schema.event import Fact
    from perstack.schema.settings import Settings

MAX_OPEN_LOGS = 4096


def most_open_logs() -> int:
    """Logs whose descriptors are kept; the ones used longest ago are closed.

    An eighth of the descriptors that this process may have, but at least four.
    """
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MAX_OPEN_LOGS if limit < 0 else min(max(4, limit // 8), MAX_OPEN_LOGS)


class FilesLease:
    """The sole right to append to one job, until released or until this process ends."""

    def __init__(self, store: FilesStore, held: HeldJob) -> None:
        self._store = store
        self._held = held

    async def release(self) -> None:
        """Give the right back, after a flush that is under way. May be called twice."""
        with anyio.CancelScope(shield=True):
            async with self._held.turn:
                self._store.let_go(self._held)


class FilesStore:
    """A Store in the folder `root`, which holds `jobs/`; made when the first job is claimed.

    `root` itself must not be a link, though the path to it may lead through some.
    Reading never takes the lock, so it works beside the process that writes.
    `durable=False` keeps everything from the end of this process but not from the
    end of the machine. Also raises `StorageError` for an event that is not the
    next one of its log.
    """

    def __init__(self, root: str | PathLike[str], *, durable: bool = True) -> None:
        self.root = Path(root).absolute()
        self._durable = durable
        self._commits = Commits()
        self._held: dict[str, HeldJob] = {}
        self._open: OrderedDict[RunLog, None] = OrderedDict()  # least recently used first

    async def claim(self, job_id: str) -> FilesLease:
        """Lock the job. Torn last lines are cut off as each log is first appended to."""
        checked_id(job_id, "job id")
        held = self._locked(job_id)
        self._held[job_id] = held
        return FilesLease(self, held)

    def _locked(self, job_id: str) -> HeldJob:
        path = self.root / "jobs" / job_id
        with open_below(self.root, "jobs", make=True) as jobs:
            folder = folder_descriptor(path, jobs, make=True)
        return HeldJob(job_id, path, folder)

    def let_go(self, held: HeldJob) -> None:
        """Close what was open for a job, and unlock it."""
        if self._held.get(held.job_id) is held:
            del self._held[held.job_id]
        for log in held.logs.values():
            self._open.pop(log, None)
        held.close()

    async def open_run(self, job_id: str, run_id: str, settings: Settings) -> None:
        """Make the run's place. Repeated, the run keeps its index and takes these settings.

        Values of headers are left out, and so are a base URL's query and user.
        Needs a lease on the job.
        """
        held = self._held_job(job_id)
        checked_id(run_id, "run id")
        held.check()
        place = held.path / "runs" / run_id
        with held.open_runs() as runs:
            folder = folder_descriptor(place, runs, make=True)
            try:
                known = run_record(place, folder)
                index = index_in(known)
                if index == UNKNOWN_INDEX:
                    index = held.last_index = _last_index(held, runs) + 1
                if keep_run(place, folder, index, settings, known):
                    held.new_runs.add(run_id)
            finally:
                os.close(folder)

    async def append(self, event: Fact, line: bytes) -> None:
        """Write one line. It is written where it stands, with nothing to wait for.

        So a cancelled append is whole or was never begun. The lease is checked
        here, by one look at the lock's name: some 3 of the 7 µs that this takes.
        """
        held = self._held_job(event.job_id)
        held.check()
        log = held.logs.get(event.run_id)
        if log is None or log.descriptor < 0:
            log = self._opened_log(held, event.run_id)
        else:
            self._open.move_to_end(log)
        log.append(event.seq, line)
        held.unsynced[event.run_id] = log

    def _opened_log(self, held: HeldJob, run_id: str) -> RunLog:
        checked_id(run_id, "run id")
        most = most_open_logs()
        while len(self._open) >= most and (idle := self._idle_log()):
            del self._open[idle]
            idle.close()
        place = held.path / "runs" / run_id
        try:
            with held.open_runs() as runs, open_folder(place, runs) as folder:
                log = held.logs.get(run_id)
                if log is not None:
                    log.reopen(folder)
                else:
                    log = held.logs[run_id] = RunLog(place / LOG_NAME, folder)
                    held.new_runs.add(run_id)  # whoever made its place may not have synced it
        except FileNotFoundError as error:
            raise StorageError(f"{place} is missing: the run was never opened there") from error
        self._open[log] = None
        return log

    def _idle_log(self) -> RunLog | None:
        # A descriptor that a thread is syncing must not be closed, nor its number used anew.
        return next((log for log in self._open if not log.in_sync), None)

    async def flush(self, job_id: str) -> None:
        """Sync every log appended to since the last flush, and the folders of new ones.

        One log of the only job at work, the case of most steps, is synced where it
        stands: that takes 0.14 ms of CPU with its append, 0.32 ms through a thread.
        Everything else goes to a thread, several jobs together, and the flushes of
        other runs that arrive meanwhile share the next one.

        Raises:
            LeaseLost: the job is not, or no longer, this process's.
            StorageError: the disk refused. What was appended since the last flush may
                be lost with the machine, and the job takes no more events.
        """
        held = self._held_job(job_id)
        async with held.turn:
            held.check()
            logs, runs, whole = list(held.unsynced.values()), list(held.new_runs), held.is_new
            if not self._durable or not (logs or runs or whole):
                return
            held.unsynced, held.new_runs, held.is_new = {}, set(), False
            work = held.syncing(logs, runs, whole=whole)
            try:
                if runs or whole or len(logs) > 1 or len(self._held) > 1:
                    await self._commits.carry(work)
                else:
                    work.carry()
            except (OSError, StorageError) as error:
                reason = error.strerror if isinstance(error, OSError) else str(error)
                held.broken = f"Job {job_id} could not be carried to the disk: {reason}"
                raise StorageError(held.broken) from error

    def _held_job(self, job_id: str) -> HeldJob:
        held = self._held.get(job_id)
        if held is None:
            checked_id(job_id, "job id")
            raise LeaseLost(f"Job {job_id} is not this process's to write: it was not claimed")
        return held

    def events(self, job_id: str, run_id: str) -> AsyncIterator[Fact]:
        """The run's events, as far as its log reached when the first one was asked for.

        Nothing where there is no such run. A line that is damaged, edited, out of
        order or another run's is `CorruptLog`, unless it is the last and unfinished.
        """
        checked_id(job_id, "job id")
        checked_id(run_id, "run id")
        return self._events(job_id, run_id)

    async def _events(self, job_id: str, run_id: str) -> AsyncIterator[Fact]:
        with closing(kept_facts(self.root, job_id, run_id)) as batches:
            for batch in batches:
                for fact in batch:
                    yield fact
                await anyio.lowlevel.checkpoint()  # a long log must not stop the others

    async def runs(self, job_id: str) -> list[str]:
        """Ids by the order of `open_run`. Runs whose run.json is damaged come last."""
        checked_id(job_id, "job id")
        return kept_runs(self.root, job_id)

    async def put_job(self, job: Job) -> None:
        """Replace job.json; of a job at rest, so that it survives the machine.

        Without a lease, one is taken for as long as this lasts. Raises `JobInUse`.
        """
        checked_id(job.id, "job id")
        durable = self._durable and job.status != "running"
        held = self._held.get(job.id)
        if held is None:
            held = self._locked(job.id)
            try:
                keep_job(held.path, held.folder, job, durable=durable)
            finally:
                held.close()
            return
        async with held.turn:
            held.check()
            work = Work(lambda: keep_job(held.path, held.folder, job, durable=durable))
            if durable and len(self._held) > 1:
                await self._commits.carry(work)
            else:
                work.carry()

    async def get_job(self, job_id: str) -> Job | None:
        """The job's record; where it is missing or damaged, what the logs say of it."""
        checked_id(job_id, "job id")
        return kept_job(self.root, job_id)

    async def jobs(self) -> list[Job]:
        """Every job that its record or its logs tell of, the one that started last first."""
        return kept_jobs(self.root)


def _last_index(held: HeldJob, runs: int) -> int:
    """The greatest index of the job's runs, which lie in the folder `runs`."""
    if held.last_index is None:
        found = run_indexes(held.path / "runs", runs).values()
        held.last_index = max((index for index in found if index != UNKNOWN_INDEX), default=0)
    return held.last_index
