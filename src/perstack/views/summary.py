"""A whole job at a glance: a fold of all its facts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from perstack.kernel.schedule import coordinator_of, job_status
from perstack.kernel.state import RunState
from perstack.schema.base import Data
from perstack.schema.checkpoint import CheckpointStatus, JobStatus, RunError
from perstack.schema.event import (
    Fact,
    Retried,
    RunCompleted,
    RunStarted,
    ToolCallCompleted,
    ToolsCalled,
)
from perstack.schema.message import TextPart, UserMessage
from perstack.schema.usage import NO_USAGE, Usage
from perstack.views.cost import Bills, Cost, Models, Price
from perstack.views.fold import JobFold


class ToolSummary(Data, omit_defaults=False, kw_only=True):
    """The calls of one tool. `duration_ms` is the sum of theirs."""

    skill_name: str
    tool_name: str
    calls: int = 0
    errors: int = 0
    duration_ms: int = 0


class RunSummary(Data, kw_only=True):
    """One run. `usage` and `cost` are its own; without prices there is no cost.

    Times are those of its first and last event, in ms.
    """

    run_id: str
    expert_key: str
    status: CheckpointStatus
    query: str = ""
    text: str = ""
    error: RunError | None = None
    delegated_by: str | None = None
    base: str | None = None
    steps: int
    tool_calls: int
    errors: int
    retries: int
    usage: Usage
    cost: Cost | None = None
    started_at: int
    finished_at: int


class Summary(Data, kw_only=True):
    """A job. `runs` are in the order they began, and `delegated_by` makes a tree of them.

    `text` is the result of the coordinator's last run.
    """

    job_id: str
    status: JobStatus
    text: str = ""
    steps: int
    retries: int
    usage: Usage
    cost: Cost | None = None
    started_at: int
    finished_at: int
    runs: tuple[RunSummary, ...]
    tools: tuple[ToolSummary, ...]


def summary_of(facts_by_run: Mapping[str, Iterable[Fact]]) -> Summary:
    """The job with these logs, by run id, in the order the runs began.

    A run that was opened and never started is none.

    Raises:
        ValueError: no run was ever started.
    """
    fold = JobFold()
    sums = SummaryFold()
    for facts in facts_by_run.values():
        for fact in facts:
            sums.feed(fact, fold.feed(fact)[1])
    return sums.summary


class SummaryFold:
    """Sums a job up as its facts come, each with the run after it: run by run.

    Without a `price` nothing is said of what it cost. `models` are those that were asked.
    """

    def __init__(self, price: Price | None = None, models: Models | None = None) -> None:
        self._bills = None if price is None else Bills(price, models)
        self._tools: dict[tuple[str, str], _Tools] = {}
        self._tallies: dict[str, _Tally] = {}
        self._states: dict[str, RunState] = {}

    def feed(self, fact: Fact, after: RunState) -> None:
        """Take one more fact into account."""
        self._states[fact.run_id] = after
        if self._bills is not None:
            self._bills.feed(fact)
        self._tallies.setdefault(fact.run_id, _Tally()).count(fact)
        if isinstance(fact, ToolCallCompleted):
            key = fact.tool_result.skill_name, fact.tool_result.tool_name
            self._tools.setdefault(key, _Tools()).count(fact)

    @property
    def summary(self) -> Summary:
        """The job so far.

        Raises:
            ValueError: no run was ever started.
        """
        states = {run_id: state for run_id, state in self._states.items() if state.definition}
        if not states:
            raise ValueError("a job in which nothing was started has no summary")
        runs = tuple(
            self._tallies[run_id].run(state, self._bills and self._bills.of(run_id))
            for run_id, state in states.items()
        )
        coordinator = coordinator_of(states)
        return Summary(
            job_id=next(iter(states.values())).job_id,
            status=job_status(states),
            text=coordinator.text if coordinator else "",
            steps=sum(run.steps for run in runs),
            retries=sum(run.retries for run in runs),
            usage=sum((run.usage for run in runs), NO_USAGE),
            cost=self._bills and self._bills.total,
            started_at=min(run.started_at for run in runs),
            finished_at=max(run.finished_at for run in runs),
            runs=runs,
            tools=tuple(
                ToolSummary(
                    skill_name=skill,
                    tool_name=name,
                    calls=tally.calls,
                    errors=tally.errors,
                    duration_ms=tally.duration_ms,
                )
                for (skill, name), tally in sorted(self._tools.items())
            ),
        )


class _Tools:
    def __init__(self) -> None:
        self.calls = self.errors = self.duration_ms = 0

    def count(self, fact: ToolCallCompleted) -> None:
        self.calls += 1
        self.errors += fact.tool_result.is_error
        self.duration_ms += fact.duration_ms


class _Tally:
    """What is counted over one run's facts."""

    def __init__(self) -> None:
        self.facts = self.retries = self.calls = self.errors = 0
        self.started_at = self.finished_at = 0
        self.usage = NO_USAGE
        self.query = ""

    def count(self, fact: Fact) -> None:
        self.started_at = min(self.started_at, fact.timestamp) if self.facts else fact.timestamp
        self.finished_at = max(self.finished_at, fact.timestamp)
        self.facts += 1
        match fact:
            case RunStarted() if fact.definition is not None:
                self.query = _query_of(fact)
            case ToolsCalled() | RunCompleted():
                self.usage += fact.usage
            case Retried():
                self.usage += fact.usage
                self.retries += 1
            case ToolCallCompleted():
                self.calls += 1
                self.errors += fact.tool_result.is_error
            case _:
                pass

    def run(self, state: RunState, cost: Cost | None) -> RunSummary:
        return RunSummary(
            run_id=state.run_id,
            expert_key=state.expert_key,
            status=state.status,
            query=self.query,
            text=state.text,
            error=state.error,
            delegated_by=state.delegated_by.run_id if state.delegated_by else None,
            base=state.base.run_id if state.base else None,
            steps=state.steps_taken,
            tool_calls=self.calls,
            errors=self.errors,
            retries=self.retries,
            usage=self.usage,
            cost=cost,
            started_at=self.started_at,
            finished_at=self.finished_at,
        )


def _query_of(fact: RunStarted) -> str:
    return "".join(
        part.text
        for message in fact.input_messages
        if isinstance(message, UserMessage)
        for part in message.contents
        if isinstance(part, TextPart)
    )
