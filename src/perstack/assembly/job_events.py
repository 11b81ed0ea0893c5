"""The events of a job that somebody asks for: chosen from its logs, from whichever end is near."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from perstack.assembly.job_past import JobPast, fact_of
from perstack.errors import NoSuchCheckpoint
from perstack.views.log.filter import Filter
from perstack.views.log.selection import Selection, is_shown
from perstack.views.log.tally import STOPS
from perstack.views.log.windows import Picked, last, windows, with_gaps
from perstack.views.wire import lean_line

if TYPE_CHECKING:
    from perstack.schema.event import Fact
    from perstack.storage.job_log import JobLog
    from perstack.storage.reading import Entry
    from perstack.views.wire import Seen


class Span(NamedTuple):
    """A stretch of one run: its events from `first` to `last`, both included."""

    run_id: str
    first: int
    last: int


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for. Its parts are as the options of `perstack log`.

    `run_ids` are None for all, `take` for all events. Without an `offset` the newest are
    meant; with one, it counts from the first. `has_all`: also what is only bookkeeping.
    `is_lean`: as lean lines.
    """

    run_ids: tuple[str, ...] | None = None
    span: Span | None = None
    selection: Selection = Selection()
    where: Filter | None = None
    has_all: bool = True
    context: int = 0
    take: int | None = 100
    offset: int | None = None
    is_lean: bool = False


class Chosen(NamedTuple):
    """One event, and the run around it where it was followed."""

    entry: Entry
    seen: Seen | None = None

    def fact(self, log: JobLog) -> Fact | None:
        """The event; None where it is none, which is told."""
        return self.seen.fact if self.seen is not None else fact_of(log, self.entry)

    @property
    def lean(self) -> bytes:
        """Its lean line; the stored one where its run could not be followed that far."""
        return self.entry.line if self.seen is None else lean_line(self.seen)


class JobEvents:
    """Gives the events that are wanted, in order, and then those that are added.

    Attributes:
        leaves_out: there are older ones than those that were given.
    """

    def __init__(self, log: JobLog, wanted: Wanted) -> None:
        self._log = log
        self._wanted = wanted
        self._chooses_lean = wanted.where is not None and is_derived(wanted.where)
        self._past = JobPast(log) if wanted.is_lean or self._chooses_lean else None
        self.leaves_out = False

    def now(self, *, and_later: bool = False) -> Iterator[tuple[Chosen, bool]]:
        """What the logs hold now; each with whether something was left out ahead of it.

        `and_later`: `added` will be asked for.
        """
        wanted = self._wanted
        if wanted.offset is None and wanted.take is not None and not self._chooses_lean:
            if not and_later:
                return self._from_the_end(wanted.take)
            if self._past is None:
                return self._passed_over(wanted.take)
        picked = windows(
            filter(self._is_in_scope, self._all()),
            self._is_match,
            context=wanted.context,
            offset=wanted.offset or 0,
            take=wanted.take if wanted.offset is not None else None,
        )
        if wanted.offset is None and wanted.take is not None:
            picked = iter(last(picked, wanted.take, wanted.context))
        return with_gaps(picked)

    def added(self) -> Iterator[Chosen]:
        """What was added to the logs since they last grew."""
        for chosen in self._all():
            if self._is_in_scope(chosen) and self._is_match(chosen):
                yield chosen

    @property
    def _run_ids(self) -> Iterable[str]:
        return self._log.runs if self._wanted.run_ids is None else self._wanted.run_ids

    def _all(self) -> Iterator[Chosen]:
        return self._followed(self._log.newer(self._run_ids))

    def _followed(self, entries: Iterable[Entry]) -> Iterator[Chosen]:
        for entry in entries:
            yield Chosen(entry, self._past.seen(entry) if self._past is not None else None)

    def _passed_over(self, take: int) -> Iterator[tuple[Chosen, bool]]:
        picked = list(self._from_the_end(take))
        self._log.pass_over()
        return iter(picked)

    def _from_the_end(self, take: int) -> Iterator[tuple[Chosen, bool]]:
        older = map(Chosen, self._log.older(self._run_ids))
        in_scope = filter(self._is_in_scope, older)
        context = self._wanted.context
        picked = [*windows(in_scope, self._is_match, context=context, take=take)][::-1]
        self.leaves_out = next(in_scope, None) is not None
        if self._past is not None:
            picked = _with_past(picked, self._log, self._past)
        return with_gaps(picked)

    def _is_in_scope(self, chosen: Chosen) -> bool:
        head = chosen.entry.head
        span = self._wanted.span
        if span is not None and not (
            head.run_id == span.run_id and span.first <= head.seq <= span.last
        ):
            return False
        return self._wanted.has_all or is_shown(head)

    def _is_match(self, chosen: Chosen) -> bool:
        head, line, _ = chosen.entry
        if not self._wanted.selection.matches(head, line):
            return False
        where = self._wanted.where
        if where is None:
            return True
        try:
            return where.matches(msgspec.json.decode(chosen.lean if self._chooses_lean else line))
        except (ValueError, RecursionError):
            return False


def _with_past(picked: list[Picked[Chosen]], log: JobLog, past: JobPast) -> list[Picked[Chosen]]:
    """The same, followed: each run is read from its first event to the last that was picked."""
    lasts: dict[str, int] = {}
    for one in picked:
        head = one.item.entry.head
        lasts[head.run_id] = max(lasts.get(head.run_id, 0), head.seq)
    places = {
        (one.item.entry.head.run_id, one.item.entry.head.seq): index
        for index, one in enumerate(picked)
    }
    for run_id in (run_id for run_id in log.runs if run_id in lasts):
        for entry in log.runs[run_id].newer():
            seen = past.seen(entry)
            index = places.get((run_id, entry.head.seq))
            if index is not None:
                picked[index] = picked[index]._replace(item=Chosen(entry, seen))
            if entry.head.seq >= lasts[run_id]:
                break
    return picked


def is_derived(where: Filter) -> bool:
    """Whether a filter looks at fields that lines have only in their lean form."""
    from perstack.views.derived import ADDED

    derived = {name for kind in ADDED.values() for name in kind.__struct_encode_fields__}
    return not derived.isdisjoint(where.names)


def span_of(log: JobLog, checkpoint_id: str, run_ids: Iterable[str]) -> Span:
    """From the event that opened a checkpoint to the one that closed it, or to the newest.

    Raises:
        NoSuchCheckpoint: none of the runs has it.
    """
    for run_id in run_ids:
        found = _span_in(log, checkpoint_id, run_id)
        if found is not None:
            return found
    raise NoSuchCheckpoint(
        f"Job {log.job_id} has no checkpoint {checkpoint_id}. One has the id of the event that "
        "opened it: `perstack log --type startRun --type continueToNextStep` shows them"
    )


def _span_in(log: JobLog, checkpoint_id: str, run_id: str) -> Span | None:
    from perstack.storage.reading import RunReader

    rests = False
    first: int | None = None
    for head, *_ in RunReader(log.root, log.job_id, run_id, _quietly).newer():
        if head.expert_key is None:
            continue
        closes = head.type in STOPS or head.type == "continueToNextStep"
        if first is not None and closes:
            return Span(run_id, first, head.seq)
        if head.id == checkpoint_id and (rests or head.type in ("startRun", "continueToNextStep")):
            first = head.seq
        rests = head.type in STOPS
    return None if first is None else Span(run_id, first, 1 << 62)


def _quietly(_: str) -> None:
    """What is damaged is told where the events are shown."""


def follow(
    log: JobLog, events: JobEvents, is_held: Callable[[], bool], wait: Callable[[], None]
) -> Iterator[Chosen]:
    """What is added to a job's logs, until nobody works on the job any more."""
    while True:
        is_last = not is_held()
        log.grow()
        yield from events.added()
        if is_last:
            return
        wait()
