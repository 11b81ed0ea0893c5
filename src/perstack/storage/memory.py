"""Jobs in memory, for tests and for work that nobody will come back to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio.lowlevel

from perstack.errors import CorruptLog, JobInUse, LeaseLost, StorageError
from perstack.schema.event import decode_fact
from perstack.schema.keys import checked_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from perstack.schema.checkpoint import Job
    from perstack.schema.event import Fact
    from perstack.schema.settings import Settings


class MemoryLease:
    """The sole right to append to one job of one MemoryStore."""

    def __init__(self, store: MemoryStore, job_id: str) -> None:
        self._store = store
        self._job_id = job_id

    async def release(self) -> None:
        """Give the right back. May be called twice."""
        if self._store.leases.get(self._job_id) is self:
            del self._store.leases[self._job_id]


class MemoryStore:
    """A Store that lasts as long as the object. What is read is decoded from what was written.

    Attributes:
        lines: the encoded events of each run, by job id and run id.
        settings: what each run was opened with last, in the order the runs began.
        leases: the lease on each job that is claimed; taking one out loses it.
    """

    def __init__(self) -> None:
        self.lines: dict[tuple[str, str], list[bytes]] = {}
        self.settings: dict[tuple[str, str], Settings] = {}
        self.leases: dict[str, MemoryLease] = {}
        self._jobs: dict[str, Job] = {}
        self._flushed: dict[tuple[str, str], int] = {}

    async def claim(self, job_id: str) -> MemoryLease:
        """Become the job's only writer, among all that share this object."""
        checked_id(job_id, "job id")
        if job_id in self.leases:
            raise JobInUse(f"Job {job_id} is being worked on. Wait for it to end, or end it")
        lease = self.leases[job_id] = MemoryLease(self, job_id)
        return lease

    async def open_run(self, job_id: str, run_id: str, settings: Settings) -> None:
        """Make the run's place. Repeated, the run keeps its place and takes these settings."""
        self._check_lease(job_id)
        checked_id(run_id, "run id")
        self.settings[job_id, run_id] = settings
        self.lines.setdefault((job_id, run_id), [])

    async def append(self, event: Fact, line: bytes) -> None:
        """Keep one event, which must be the next one of its run."""
        self._check_lease(event.job_id)
        checked_id(event.run_id, "run id")
        lines = self.lines.get((event.job_id, event.run_id))
        if lines is None:
            raise StorageError(f"Run {event.run_id} of job {event.job_id} was never opened")
        if event.seq != len(lines) + 1:
            message = (
                f"Run {event.run_id} of job {event.job_id} ends at event {len(lines)}; "
                f"event {event.seq} cannot follow it"
            )
            raise StorageError(message)
        if b"\n" in line:
            raise StorageError(f"Event {event.seq} cannot be added: an event is one line")
        lines.append(line)

    async def flush(self, job_id: str) -> None:
        """Mark what was appended to the job as what `lose_power` leaves."""
        self._check_lease(job_id)
        self._flushed |= {run: len(lines) for run, lines in self.lines.items() if run[0] == job_id}

    def lose_power(self) -> None:
        """Do what the end of a machine may do: drop every event that was not flushed."""
        for run, lines in self.lines.items():
            del lines[self._flushed.get(run, 0) :]
        self.leases.clear()

    def events(self, job_id: str, run_id: str) -> AsyncIterator[Fact]:
        """The run's events. Nothing where there is no such run."""
        checked_id(job_id, "job id")
        checked_id(run_id, "run id")
        return self._events(job_id, run_id)

    async def _events(self, job_id: str, run_id: str) -> AsyncIterator[Fact]:
        await anyio.lowlevel.checkpoint()
        for number, line in enumerate(tuple(self.lines.get((job_id, run_id), ())), 1):
            where = f"Run {run_id} of job {job_id}, line {number}"
            try:
                fact = decode_fact(line)
            except (ValueError, RecursionError) as error:
                raise CorruptLog(f"{where}: it is no event") from error
            if (fact.job_id, fact.run_id, fact.seq) != (job_id, run_id, number):
                raise CorruptLog(f"{where}: it belongs somewhere else")
            yield fact

    async def runs(self, job_id: str) -> list[str]:
        """Ids of the job's runs, in the order they were opened."""
        checked_id(job_id, "job id")
        return [run_id for job, run_id in self.settings if job == job_id]

    async def put_job(self, job: Job) -> None:
        """Keep the job's record."""
        checked_id(job.id, "job id")
        self._jobs[job.id] = job

    async def get_job(self, job_id: str) -> Job | None:
        """The job's record, or None where there is none."""
        return self._jobs.get(checked_id(job_id, "job id"))

    async def jobs(self) -> list[Job]:
        """Every job, the one that started last first."""
        return sorted(self._jobs.values(), key=lambda job: (job.started_at, job.id), reverse=True)

    def _check_lease(self, job_id: str) -> None:
        if job_id not in self.leases:
            checked_id(job_id, "job id")
            raise LeaseLost(f"Job {job_id} is not yours to write: it is not claimed")
