"""Where facts are kept: the Store protocol."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from perstack.schema.checkpoint import Job
from perstack.schema.event import Fact
from perstack.schema.settings import Settings


class Lease(Protocol):
    """The sole right to append to one job."""

    async def release(self) -> None:
        """Give the right back. May be called twice."""
        ...


class Store(Protocol):
    """Jobs, their runs, and the log of each run.

    Ids are checked again at this entrance (`UsageError` for a malformed one).
    Everything raised is a `StorageError` or `UsageError`; what was kept before
    stays intact.
    """

    async def claim(self, job_id: str) -> Lease:
        """Become the job's only writer, in all processes; creates the job's place.

        Repairs a torn last line of its logs. Raises `JobInUse`.
        """
        ...

    async def open_run(self, job_id: str, run_id: str, settings: Settings) -> None:
        """Make the run's place, and keep the settings it is made with. May be repeated."""
        ...

    async def append(self, event: Fact, line: bytes) -> None:
        """Keep one event after every event appended to its run before it.

        `line` is the event encoded, without a newline. Needs a lease on the job.
        Contract: once this returns, the event survives the process. A cancelled
        append leaves the event whole or absent. Raises `LeaseLost` after a lost or
        released lease, `StorageError` when it cannot be kept (the file is then as
        it was before).
        """
        ...

    async def flush(self, job_id: str) -> None:
        """Once this returns, every event appended to the job survives the machine."""
        ...

    def events(self, job_id: str, run_id: str) -> AsyncIterator[Fact]:
        """The run's log in order, without a torn last line. Raises `CorruptLog`."""
        ...

    async def runs(self, job_id: str) -> list[str]:
        """Ids of the job's runs, in the order they began."""
        ...

    async def put_job(self, job: Job) -> None:
        """Keep the job's record, atomically. It is a cache: the logs win."""
        ...

    async def get_job(self, job_id: str) -> Job | None:
        """The job's record, or one made of its logs; None where there is neither."""
        ...

    async def jobs(self) -> list[Job]:
        """Every job, newest first."""
        ...
