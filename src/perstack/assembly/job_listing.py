"""Jobs and their runs at a glance, counted where no record says it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from perstack.errors import StorageError
from perstack.schema.usage import NO_USAGE
from perstack.storage.holder import is_held
from perstack.storage.job_log import JobLog
from perstack.views.log.job_table import JobEntry
from perstack.views.log.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from perstack.schema.checkpoint import Job
    from perstack.views.log.tally import RunTally


def tallies(log: JobLog, run_ids: Iterable[str]) -> list[RunTally]:
    """What each of these runs took, by all its lines."""
    counted: list[RunTally] = []
    for run_id in run_ids:
        tally = Tally(run_id)
        for entry in log.runs[run_id].newer():
            tally.count(entry.head, entry.line)
        counted.append(tally.run)
    return counted


def job_entry(root: Path, job: Job, tell: Callable[[str], None]) -> JobEntry:
    """A job for the list. Of one that did not come to rest, the steps and tokens are counted.

    What of its logs cannot be read is told, and not counted.
    """
    held = is_held(root, job.id)
    if job.status != "running":
        return JobEntry(job=job, is_held=held, last_at=job.finished_at or job.started_at)
    try:
        log = JobLog(root, job.id, tell)
        runs = tallies(log, log.runs)
    except StorageError as problem:
        tell(problem.message)
        return JobEntry(job=job, is_held=held, last_at=job.started_at)
    counted = replace(
        job,
        total_steps=sum(run.steps for run in runs),
        usage=sum((run.usage for run in runs), NO_USAGE),
    )
    last = max((run.finished_at for run in runs), default=job.started_at)
    return JobEntry(job=counted, is_held=held, last_at=last)
