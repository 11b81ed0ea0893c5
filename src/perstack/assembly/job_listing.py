"""Jobs and their runs at a glance, counted where no record says it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from perstack.errors import StorageError
from perstack.schema.usage import NO_USAGE
from perstack.storage.holder import is_held
from perstack.storage.job_log import JobLog
from perstack.views.cost import NO_COST, Bills, Models, usage_of
from perstack.views.log.job_table import JobEntry
from perstack.views.log.tally import MADE, Tally, note_model

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from pathlib import Path

    from perstack.schema.checkpoint import Job
    from perstack.schema.event import Fact
    from perstack.views.cost import Cost, Price
    from perstack.views.log.tally import RunTally


def tallies(log: JobLog, run_ids: Iterable[str], price: Price | None = None) -> list[RunTally]:
    """What each of these runs took, by all its lines; what it cost only with a `price`."""
    chosen = tuple(run_ids)
    models = models_elsewhere(log, chosen) if price is not None else None
    counted: list[RunTally] = []
    for run_id in chosen:
        tally = Tally(run_id, price, models)
        for entry in log.runs[run_id].newer():
            tally.count(entry.head, entry.line)
        counted.append(tally.run)
    return counted


def models_elsewhere(log: JobLog, run_ids: Collection[str]) -> Models:
    """The models that other runs of the job than these name: a delegate's log names none."""
    models = Models()
    for run_id, reader in log.runs.items():
        if run_id not in run_ids:
            for entry in reader.of_type(MADE):
                note_model(models, entry.head, entry.line)
    return models


class ReplyCosts:
    """What single replies of a job cost, whichever of its events are looked at.

    Nothing is read and no price is asked for before the first reply that counted tokens.
    """

    def __init__(self, log: JobLog, price: Price) -> None:
        self._log = log
        self._price = price
        self._bills: Bills | None = None

    def of(self, fact: Fact) -> Cost:
        """What the reply cost that a fact is; nothing if it is none."""
        if self._bills is None:
            if usage_of(fact) == NO_USAGE:
                return NO_COST
            self._bills = Bills(self._price, models_elsewhere(self._log, ()))
        return self._bills.feed(fact)


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
