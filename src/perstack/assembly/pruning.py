"""Old jobs: which they are, and their end."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from perstack.errors import JobInUse, UsageError
from perstack.storage.listing import kept_jobs
from perstack.storage.removal import remove_job, remove_rests, size_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from perstack.schema.checkpoint import Job
    from perstack.views.log.job_table import JobEntry

UNITS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000}
"""Milliseconds of each unit of an age."""

_AGE = re.compile(r"([0-9]{1,6})([mhdw])")


def parse_age(text: str) -> int:
    """An age such as `30d`, in milliseconds.

    Raises:
        UsageError: it is none.
    """
    found = _AGE.fullmatch(text)
    if found is None:
        raise UsageError(
            f"--older-than: {text[:80]!a} is no age. Give a number and a unit: 90m, 12h, 30d or 4w"
        )
    return int(found[1]) * UNITS[found[2]]


class Pruned(NamedTuple):
    """An old job: its size in bytes, and who works on it, which keeps it where it is."""

    entry: JobEntry
    size: int
    kept: str = ""


def prune(
    root: Path, before: int, entry_of: Callable[[Job], JobEntry], *, dry_run: bool
) -> Iterator[Pruned]:
    """Remove every job whose last event was before this time (ms), the oldest first.

    One that a process works on is kept. With `dry_run` nothing is removed.

    Raises:
        StorageError: a job cannot be read or removed; those before it are gone.
    """
    if not dry_run:
        remove_rests(root)
    for job in reversed(kept_jobs(root)):
        entry = entry_of(job)
        if entry.last_at >= before:
            continue
        size = size_of(root, job.id)
        if entry.is_held:
            yield Pruned(entry, size, f"a process works on job {job.id}")
            continue
        try:
            if not dry_run:
                remove_job(root, job.id)
        except JobInUse as problem:
            yield Pruned(entry, size, problem.message)
        else:
            yield Pruned(entry, size)
