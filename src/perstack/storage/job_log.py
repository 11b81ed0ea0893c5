"""All logs of a job as one sequence, from either end, without a lock."""

from __future__ import annotations

from heapq import merge
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from perstack.schema.keys import checked_id
from perstack.storage.listing import kept_runs
from perstack.storage.reading import RunReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from perstack.storage.reading import Entry

MOST_AT_ONCE = 10_000
"""Events of one moment that are put in order together."""


class _Dated(NamedTuple):
    at: int
    entry: Entry


class JobLog:
    """One job's runs, as far as their logs reached when this was made, or last grew.

    The events of a run come in its log's order, whatever the clock said; between
    runs, time decides, and within one moment that a delegate runs after it was asked
    and before its answer is used.

    Attributes:
        runs: a reader for each run, by id, in the order the runs began.
        is_damaged: something in what was read so far is no event, or not in its place.
    """

    def __init__(self, root: Path, job_id: str, tell: Callable[[str], None]) -> None:
        self.root = root
        self.job_id = checked_id(job_id, "job id")
        self._tell = tell
        self.runs: dict[str, RunReader] = {}
        self.is_damaged = False
        self._find_runs()

    def _find_runs(self) -> None:
        for run_id in kept_runs(self.root, self.job_id):
            if run_id not in self.runs:
                self.runs[run_id] = RunReader(self.root, self.job_id, run_id, self.report)

    def grow(self) -> None:
        """Look at how far the logs reach now, and at which runs there are."""
        for reader in self.runs.values():
            reader.grow()
        self._find_runs()

    def report(self, damage: str) -> None:
        """Tell of damage, and remember that there is some."""
        self.is_damaged = True
        self._tell(damage)

    def newer(self, run_ids: Iterable[str]) -> Iterator[Entry]:
        """The events of these runs that were not given yet, oldest first."""
        readers = [self.runs[run_id] for run_id in self._ordered(run_ids)]
        if len(readers) == 1:
            yield from readers[0].newer()
            return
        dated = merge(*(_rising(reader.newer()) for reader in readers), key=_at)
        for moment in _moments(dated):
            yield from _in_order(moment, self._ordered(run_ids))

    def older(self, run_ids: Iterable[str]) -> Iterator[Entry]:
        """All events of these runs, newest first."""
        readers = [self.runs[run_id] for run_id in self._ordered(run_ids)]
        if len(readers) == 1:
            yield from readers[0].older()
            return
        dated = merge(*(_falling(reader.older()) for reader in readers), key=_at, reverse=True)
        for moment in _moments(dated):
            yield from reversed(_in_order(moment[::-1], self._ordered(run_ids)))

    def pass_over(self) -> None:
        """Take all that there is as given, so that `newer` gives only what is added."""
        for reader in self.runs.values():
            reader.pass_over()

    def _ordered(self, run_ids: Iterable[str]) -> list[str]:
        chosen = set(run_ids)
        return [run_id for run_id in self.runs if run_id in chosen]


def _at(dated: _Dated) -> int:
    return dated.at


def _rising(entries: Iterable[Entry]) -> Iterator[_Dated]:
    """Each with a time that is never before the one ahead of it."""
    at: int | None = None
    for entry in entries:
        at = entry.head.timestamp if at is None else max(at, entry.head.timestamp)
        yield _Dated(at, entry)


def _falling(entries: Iterable[Entry]) -> Iterator[_Dated]:
    """Each with a time that is never behind the one ahead of it."""
    at: int | None = None
    for entry in entries:
        at = entry.head.timestamp if at is None else min(at, entry.head.timestamp)
        yield _Dated(at, entry)


def _moments(dated: Iterable[_Dated]) -> Iterator[list[Entry]]:
    """The events of each moment together."""
    for _, together in groupby(dated, key=_at):
        moment: list[Entry] = []
        for one in together:
            moment.append(one.entry)
            if len(moment) == MOST_AT_ONCE:
                yield moment
                moment = []
        if moment:
            yield moment


def _in_order(moment: list[Entry], run_ids: Sequence[str]) -> list[Entry]:
    """The events of one moment, as they can have come about.

    `moment` has the events of each run in their order. A run that waits for its
    delegates moves again when nothing else can; of several, the one that began last.
    """
    by_run: dict[str, list[Entry]] = {}
    for entry in moment:
        by_run.setdefault(entry.head.run_id, []).append(entry)
    if len(by_run) == 1:
        return moment
    waiting = [by_run[run_id] for run_id in run_ids if run_id in by_run]
    ordered: list[Entry] = []
    while waiting:
        for entries in waiting:
            while entries and not entries[0].head.is_restart:
                ordered.append(entries.pop(0))
        waiting = [entries for entries in waiting if entries]
        if waiting:
            ordered.append(waiting[-1].pop(0))
    return ordered
