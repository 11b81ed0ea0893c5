"""A job's events as they were: followed run by run, past what is damaged, without a lock."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from perstack.errors import CorruptLog, NoSuchCheckpoint, UsageError
from perstack.kernel.state import RunState, blank, forked
from perstack.schema.event import Fact, RunStarted, decode_fact
from perstack.storage.log import problem_of
from perstack.storage.reading import RunReader
from perstack.views.fold import RunFold
from perstack.views.wire import Seen

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from perstack.schema.checkpoint import BaseRef, DelegatedBy
    from perstack.storage.job_log import JobLog
    from perstack.storage.reading import Entry

UNFIT = (msgspec.MsgspecError, LookupError, ValueError, TypeError)
"""What `apply` raises for an event that cannot stand where it does."""


class Beginning(NamedTuple):
    """What a run's first event of its own says of where it comes from."""

    base: BaseRef | None
    delegated_by: DelegatedBy | None


def fact_of(log: JobLog, entry: Entry) -> Fact | None:
    """The event of a line; None where it is none, which is told."""
    try:
        return decode_fact(entry.line)
    except (ValueError, RecursionError) as error:
        log.runs[entry.head.run_id].tell(entry, f"it {problem_of(error)}")
        return None


class JobPast:
    """What each event of a job came upon, and left behind.

    Memory is that of a step for each run, and of the states that runs went on from.
    Where a log is damaged its run is followed no further, which is told.
    """

    def __init__(self, log: JobLog) -> None:
        self._log = log
        self._folds: dict[str, RunFold | None] = {}
        self._beginnings: dict[str, Beginning] = {}
        self._wanted: dict[str, set[str]] = {}
        for run_id in log.runs:
            base = self._base_of(run_id)
            if base is not None:
                self._wanted.setdefault(base.run_id, set()).add(base.checkpoint_id)

    def beginning(self, run_id: str) -> Beginning | None:
        """Where a run comes from; None where it has not begun, or nobody can tell."""
        if run_id not in self._beginnings:
            for fact in self._facts(run_id):
                if isinstance(fact, RunStarted):
                    self._beginnings[run_id] = Beginning(fact.base, fact.delegated_by)
                    break
        return self._beginnings.get(run_id)

    def _base_of(self, run_id: str) -> BaseRef | None:
        beginning = self.beginning(run_id)
        return beginning.base if beginning is not None else None

    def seen(self, entry: Entry) -> Seen | None:
        """The event with the run before and after it.

        The events of a run are given in order, from its first. None where it is no
        event; states are those of nothing where the run cannot be followed that far.
        """
        fact = fact_of(self._log, entry)
        run_id = entry.head.run_id
        if fact is None or entry.is_cut_off:
            self._folds[run_id] = None
        if fact is None:
            return None
        fold = self._fold(run_id)
        if fold is None:
            return None
        try:
            return Seen(fact, entry.line, *fold.feed(fact))
        except UNFIT as error:
            self._log.runs[run_id].tell(entry, f"it cannot stand here: {type(error).__name__}")
            self._folds[run_id] = None
            return None

    def _fold(self, run_id: str) -> RunFold | None:
        if run_id not in self._folds:
            try:
                begun = self._begun(run_id)
            except (CorruptLog, NoSuchCheckpoint) as problem:
                self._log.report(problem.message)
                self._folds[run_id] = None
            else:
                self._folds[run_id] = RunFold(begun, self._wanted.get(run_id, ()))
        return self._folds[run_id]

    def _begun(self, run_id: str) -> RunState:
        """A run of which nothing was followed yet, on the checkpoint that it goes on from."""
        base = self._base_of(run_id)
        if base is None:
            return blank(self._log.job_id, run_id)
        fold = self._folds.get(base.run_id)
        known = fold.closed.get(base.checkpoint_id) if fold is not None else None
        state = known or self._state_at(base, is_whole=False)
        return forked(state, self._log.job_id, run_id)

    def main_run(self, run_ids: Sequence[str]) -> str:
        """Of these runs, the last that nobody delegated; where all were, the last.

        Raises:
            UsageError: none has begun.
            CorruptLog: where they begin, their logs are damaged.
        """
        begun = [run_id for run_id in run_ids if self.beginning(run_id) is not None]
        if not begun:
            raise self.not_begun()
        own = [run_id for run_id in begun if self._beginnings[run_id].delegated_by is None]
        return (own or begun)[-1]

    def not_begun(self) -> UsageError | CorruptLog:
        """The error for a job, or a run of it, of which nothing can be told."""
        job_id = self._log.job_id
        if self._log.is_damaged:
            return CorruptLog(f"Nothing of job {job_id} can be told: its logs are damaged")
        return UsageError(f"Nothing of job {job_id} can be told: it stopped before its first event")

    def conversation(self, run_id: str, checkpoint_id: str | None) -> RunState:
        """A run with all its messages: where a checkpoint closes, or as it is now.

        Raises:
            NoSuchCheckpoint: it is none of the run's.
            CorruptLog: the run cannot be followed.
        """
        base = self._base_of(run_id)
        state = blank(self._log.job_id, run_id)
        if base is not None:
            state = forked(self._state_at(base, is_whole=True), self._log.job_id, run_id)
        return self._followed(state, checkpoint_id, is_whole=True)

    def _state_at(self, position: BaseRef, *, is_whole: bool) -> RunState:
        """Where a checkpoint closes, found anew from the logs of all runs that lead there."""
        chain = {position.run_id: position}
        link = position
        while (base := self._base_of(link.run_id)) is not None:
            if base.run_id in chain:
                raise CorruptLog(
                    f"In job {self._log.job_id}, run {base.run_id} goes on from itself"
                )
            chain[base.run_id] = link = base
        state: RunState | None = None
        for link in reversed(chain.values()):
            begun = blank(self._log.job_id, link.run_id)
            if state is not None:
                begun = forked(state, self._log.job_id, link.run_id)
            state = self._followed(begun, link.checkpoint_id, is_whole=is_whole)
        return state or blank(self._log.job_id, position.run_id)

    def _followed(self, state: RunState, checkpoint_id: str | None, *, is_whole: bool) -> RunState:
        """The run where a checkpoint closes; of one that is open, and of none, as it is now."""
        wanted = () if checkpoint_id is None else (checkpoint_id,)
        fold = RunFold(state, wanted, is_whole=is_whole)
        for fact in self._facts(state.run_id):
            try:
                fold.feed(fact)
            except UNFIT as error:
                raise CorruptLog(
                    f"Run {state.run_id} of job {state.job_id} cannot be followed past event "
                    f"{fact.seq}: {type(error).__name__}"
                ) from error
            if checkpoint_id in fold.closed:
                return fold.closed[checkpoint_id]
        if checkpoint_id not in (None, fold.state.checkpoint_id):
            named = f"Run {state.run_id} of job {state.job_id}"
            if self._log.is_damaged:
                raise CorruptLog(f"{named} cannot be followed to checkpoint {checkpoint_id}")
            raise NoSuchCheckpoint(f"{named} has no checkpoint {checkpoint_id}")
        return fold.state

    def _facts(self, run_id: str) -> Iterator[Fact]:
        """A run's events as far as all is well, read apart from everything else."""
        reader = RunReader(self._log.root, self._log.job_id, run_id, self._log.report)
        for entry in reader.newer():
            fact = None if entry.is_cut_off else fact_of(self._log, entry)
            if fact is None:
                return
            yield fact
