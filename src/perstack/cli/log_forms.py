"""The forms in which `perstack log` shows a job: events, a tree, a summary, a conversation."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from perstack.assembly.job_events import Chosen, JobEvents, Wanted, follow
from perstack.schema.line import json_line
from perstack.storage.holder import is_held

if TYPE_CHECKING:
    from perstack.cli.printing import Printer
    from perstack.schema.checkpoint import Job
    from perstack.storage.job_log import JobLog

POLL = 0.1
"""Seconds between two looks at a job that is followed."""


class Shown:
    """One job, as it is asked for, on standard output."""

    def __init__(self, job: Job, past: JobLog, wanted: Wanted, printer: Printer) -> None:
        self._job = job
        self._past = past
        self._wanted = wanted
        self._printer = printer

    @property
    def _run_ids(self) -> tuple[str, ...]:
        return tuple(self._past.runs) if self._wanted.run_ids is None else self._wanted.run_ids

    def _is_held(self) -> bool:
        return is_held(self._past.root, self._past.job_id)

    def events(self, *, is_whole: bool, follows: bool) -> None:
        """Event by event; with `follows`, for as long as somebody works on the job."""
        events = JobEvents(self._past, self._wanted)
        found = events.now(and_later=follows)
        lines = self._json_lines if self._wanted.is_lean else self._text_lines(is_whole=is_whole)
        if not self._wanted.is_lean:
            self._printer.lines(self._heading())
        count = self._shown(found, events, lines)
        if follows:
            self._printer.flush()
            for chosen in follow(self._past, events, self._is_held, lambda: time.sleep(POLL)):
                count += 1
                lines(chosen)
                self._printer.flush()
        if not count:
            self._printer.tell("No event fits.")

    def _shown(
        self,
        found: Iterator[tuple[Chosen, bool]],
        events: JobEvents,
        lines: Callable[[Chosen], None],
    ) -> int:
        count = 0
        dim = self._printer.paint
        for count, (chosen, is_behind_gap) in enumerate(found, 1):
            if count == 1 and events.leaves_out and not self._wanted.is_lean:
                self._printer.lines([dim("… older ones are left out; --take 0 shows all", "dim")])
            if is_behind_gap and self._wanted.context and not self._wanted.is_lean:
                self._printer.lines([dim("…", "dim")])
            lines(chosen)
        return count

    def _json_lines(self, chosen: Chosen) -> None:
        self._printer.json(chosen.lean)

    def _text_lines(self, *, is_whole: bool) -> Callable[[Chosen], None]:
        from perstack.assembly.job_listing import ReplyCosts
        from perstack.assembly.prices import price_of
        from perstack.views.log.event_lines import EventLines

        printer = self._printer
        run_ids = tuple(self._past.runs)
        costs = ReplyCosts(self._past, price_of)
        told = EventLines(
            run_ids, printer.paint, printer.width, is_whole=is_whole, cost_of=costs.of
        )

        def lines(chosen: Chosen) -> None:
            fact = chosen.fact(self._past)
            if fact is not None:
                printer.lines(told.lines(fact))

        return lines

    def _heading(self) -> Iterator[str]:
        from perstack.views.log.job_table import JobEntry, heading

        job = self._job
        entry = JobEntry(job=job, is_held=self._is_held(), last_at=job.finished_at or 0)
        yield heading(entry, self._printer.paint)

    def tree(self) -> None:
        """Who asked whom."""
        from perstack.assembly.job_listing import tallies
        from perstack.assembly.prices import price_of
        from perstack.views.log.tree import tree_lines

        self._printer.lines(self._heading())
        runs = tallies(self._past, self._run_ids, price_of)
        self._printer.lines(tree_lines(runs, self._printer.paint))

    def summary(self) -> None:
        """The job at a glance."""
        from perstack.assembly.job_listing import models_elsewhere
        from perstack.assembly.job_past import JobPast
        from perstack.assembly.prices import price_of
        from perstack.views.summary import SummaryFold
        from perstack.views.summary_text import text_of

        past = JobPast(self._past)
        sums = SummaryFold(price_of, models_elsewhere(self._past, self._run_ids))
        for run_id in self._run_ids:
            for entry in self._past.runs[run_id].newer():
                seen = past.seen(entry)
                if seen is not None:
                    sums.feed(seen.fact, seen.after)
        try:
            summary = sums.summary
        except ValueError:
            raise past.not_begun() from None
        if self._wanted.is_lean:
            self._printer.json(json_line(summary))
        else:
            self._printer.lines([text_of(summary)])

    def messages(self, checkpoint_id: str | None) -> None:
        """The conversation of a run: the one that is asked for, else the coordinator's last."""
        from perstack.assembly.job_past import JobPast
        from perstack.views.transcript import transcript_of

        past = JobPast(self._past)
        run_id = past.main_run(self._run_ids)
        state = past.conversation(run_id, checkpoint_id)
        if self._wanted.is_lean:
            for message in state.all_messages:
                self._printer.json(json_line(message))
        else:
            self._printer.lines([transcript_of(state.all_messages)])

    def tell_of_torn(self) -> None:
        """Say which logs end in the middle of a line, unless one is being written."""
        torn = [
            reader.torn_line for reader in self._past.runs.values() if reader.torn_at is not None
        ]
        if torn and not self._is_held():
            for line in torn:
                self._printer.tell(f"{line}; it is dropped when the job goes on")
