"""Jobs as a table for a person."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from perstack.schema.base import Data
from perstack.schema.checkpoint import Job
from perstack.views.log.event_lines import calendar
from perstack.views.log.paint import Paint
from perstack.views.log.tree import STATUS_STYLES
from perstack.views.log.words import duration, tokens
from perstack.views.plain import counted, plain

_KEY_LIMIT = 40


class JobRecord(Job, omit_defaults=False, kw_only=True):
    """A job as JSON: its record, and whether a process works on it now."""

    is_running: bool


class JobEntry(Data, kw_only=True):
    """A job and whether a process works on it now. `last_at` is the time of its last event."""

    job: Job
    is_held: bool
    last_at: int

    @property
    def status(self) -> str:
        """The job's, or that it was cut short: recorded as running, with nobody at work."""
        is_cut = self.job.status == "running" and not self.is_held
        return "interrupted" if is_cut else self.job.status

    @property
    def record(self) -> JobRecord:
        """The same for programs."""
        job = self.job
        fields = {name: getattr(job, name) for name in job.__struct_fields__}
        return JobRecord(**fields, is_running=self.is_held)


def heading(entry: JobEntry, paint: Paint) -> str:
    """One line about one job. Safe to print."""
    job = entry.job
    status = paint(entry.status, STATUS_STYLES.get(entry.status, "plain"))
    who = plain(job.coordinator_expert_key or "?", _KEY_LIMIT, one_line=True)
    words = [f"{paint(plain(job.id, one_line=True), 'bold')} of {who}: {status}"]
    if job.status != "running":
        words += [counted(job.total_steps, "step"), tokens(job.usage)]
    return f"Job {', '.join(words)}, begun {calendar(job.started_at)}"


_HEADS = ("JOB", "STATUS", "EXPERT", "STEPS", "TOKENS IN", "OUT", "STARTED", "TOOK")
_RIGHT = frozenset({3, 4, 5})


def table_lines(entries: Iterable[JobEntry], paint: Paint) -> Iterator[str]:
    """A line for each job below a line of heads. Safe to print."""
    rows = [(_cells(entry), entry.status) for entry in entries]
    widths = [max(len(cells[i]) for cells in (_HEADS, *(row for row, _ in rows))) for i in range(8)]
    yield paint(_row(_HEADS, widths), "bold")
    for cells, status in rows:
        line = _row(cells, widths)
        style = STATUS_STYLES.get(status, "plain")
        yield line.replace(f" {status} ", f" {paint(status, style)} ", 1)


class Old(Protocol):
    """A job that is old enough to go: its size in bytes, and why it stays, if it does."""

    @property
    def entry(self) -> JobEntry: ...
    @property
    def size(self) -> int: ...
    @property
    def kept(self) -> str: ...


def pruned_lines(jobs: Iterable[Old], *, dry_run: bool) -> Iterator[str]:
    """A line for each job as it goes or stays, and one for all of them. Safe to print."""
    count = size = 0
    did = "would remove" if dry_run else "removed"
    for old in jobs:
        job = old.entry.job
        name = plain(f"{job.id} of {job.coordinator_expert_key or '?'}", one_line=True)
        if old.kept:
            yield f"kept {name}: {plain(old.kept, one_line=True)}"
            continue
        count, size = count + 1, size + old.size
        yield f"{did} {name}, {old.entry.status}, begun {calendar(job.started_at)}"
    yield f"{did} {counted(count, 'job')}, {size / 1e6:.1f} MB"


def _row(cells: tuple[str, ...], widths: list[int]) -> str:
    padded = (
        f"{cell:>{width}}" if place in _RIGHT else f"{cell:<{width}}"
        for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join(padded).rstrip()


def _cells(entry: JobEntry) -> tuple[str, ...]:
    job = entry.job
    return (
        plain(job.id, one_line=True),
        entry.status,
        plain(job.coordinator_expert_key or "?", _KEY_LIMIT, one_line=True),
        str(job.total_steps),
        f"{job.usage.input_tokens:,}",
        f"{job.usage.output_tokens:,}",
        calendar(job.started_at),
        duration(max(0, (job.finished_at or entry.last_at) - job.started_at)),
    )
