"""Which jobs and runs there are, found without a lock and without an event loop."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from perstack.errors import StorageError
from perstack.schema.checkpoint import Job
from perstack.schema.keys import is_id
from perstack.storage.folders import file_descriptor, names_in, open_below
from perstack.storage.log import LOG_NAME, facts
from perstack.storage.reading import RunReader
from perstack.storage.records import job_record, run_indexes

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from perstack.schema.event import Fact


def kept_facts(root: Path, job_id: str, run_id: str) -> Generator[list[Fact]]:
    """A run's events, in batches, as `facts` gives them; nothing where there is no such run."""
    path = root / "jobs" / job_id / "runs" / run_id / LOG_NAME
    try:
        with open_below(root, "jobs", job_id, "runs", run_id) as folder:
            descriptor = file_descriptor(path, folder, os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        yield from facts(descriptor, path, job_id, run_id)
    finally:
        os.close(descriptor)


def kept_runs(root: Path, job_id: str) -> list[str]:
    """Ids of a job's runs, in the order they began. Those whose run.json is damaged come last."""
    path = root / "jobs" / job_id / "runs"
    try:
        with open_below(root, "jobs", job_id, "runs") as folder:
            indexes = run_indexes(path, folder)
    except FileNotFoundError:
        return []
    return sorted(indexes, key=lambda run_id: (indexes[run_id], run_id))


def kept_job(root: Path, job_id: str) -> Job | None:
    """A job's record; where it is missing or damaged, what the logs say of it.

    None where there is neither. A record made of the logs tells when the job
    began and whose it is, and says "running": how far it got is a fold of them.
    """
    try:
        with open_below(root, "jobs", job_id) as folder:
            record = job_record(root / "jobs" / job_id, folder)
    except FileNotFoundError:
        return None
    except StorageError:
        record = None
    return record or _job_of_logs(root, job_id)


def _job_of_logs(root: Path, job_id: str) -> Job | None:
    for run_id in kept_runs(root, job_id):
        began: int | None = None
        for head, *_ in RunReader(root, job_id, run_id, _quietly).newer():
            began = head.timestamp if began is None else began
            if head.expert_key is not None:
                return Job(id=job_id, coordinator_expert_key=head.expert_key, started_at=began)
        if began is not None:
            return Job(id=job_id, coordinator_expert_key="", started_at=began)
    return None


def _quietly(_: str) -> None:
    """What is damaged is told where the log is read for its own sake."""


def kept_jobs(root: Path) -> list[Job]:
    """Every job that its record or its logs tell of, the one that started last first."""
    found: list[Job] = []
    try:
        with open_below(root, "jobs") as folder:
            names = names_in(root / "jobs", folder)
    except FileNotFoundError:
        return found
    for name in filter(is_id, names):
        with suppress(StorageError):  # a job that cannot be read must not hide the others
            job = kept_job(root, name)
            if job is not None:
                found.append(job)
    return sorted(found, key=lambda job: (job.started_at, job.id), reverse=True)
