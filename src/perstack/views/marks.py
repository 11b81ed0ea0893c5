"""The checkpoints of a job that a person may go back to, as they are closed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from perstack.kernel.schedule import lineage
from perstack.kernel.state import RunState, blank
from perstack.schema.checkpoint import CheckpointStatus
from perstack.schema.event import Fact, RunCompleted, RunStarted, StepContinued, ToolsCalled
from perstack.views.fold import STOPS, RunFold


class Mark(NamedTuple):
    """A closed checkpoint of a coordinator's run: where it is, and what its step came to.

    `about` is what the model said in it, or the tools it called; untrusted text.
    `seq` is that of the fact which closed it, at `at` ms since the epoch.
    """

    id: str
    run_id: str
    step_number: int
    status: CheckpointStatus
    about: str
    seq: int
    at: int


class Marks:
    """Collects them from the facts of a job; those of a run come in their order.

    A run that waits for delegates is none: nobody can begin there. Delegates' runs have
    none: their context is their own.

    Attributes:
        found: all of them.
        newest_id: the last one on the way of the coordinator's newest run, which may be that
            of the run it goes on from; None where there is none.
    """

    def __init__(self) -> None:
        self.found: list[Mark] = []
        self.newest_id: str | None = None
        self._folds: dict[str, RunFold] = {}
        self._delegated: set[str] = set()
        self._about: dict[str, str] = {}

    def feed(self, fact: Fact) -> None:
        """Take one more fact into account."""
        run_id = fact.run_id
        if isinstance(fact, RunStarted) and fact.delegated_by is not None:
            self._delegated.add(run_id)
            self._folds.pop(run_id, None)
        if run_id in self._delegated:
            return
        if isinstance(fact, RunStarted) and fact.definition is not None:
            self.newest_id = fact.base.checkpoint_id if fact.base is not None else None
        fold = self._folds.setdefault(run_id, RunFold(blank(fact.job_id, run_id)))
        before, after = fold.feed(fact)
        if isinstance(fact, ToolsCalled):
            called = ", ".join(dict.fromkeys(call.tool_name for call in fact.tool_calls))
            self._about[run_id] = fact.new_message.text.strip() or called
        elif isinstance(fact, RunCompleted) and fact.new_message is not None:
            self._about[run_id] = fact.new_message.text.strip()
        elif isinstance(fact, StepContinued):
            self._close(before, fact)
        if isinstance(fact, STOPS) and after.status != "stoppedByDelegate":
            self._close(after, fact)

    def _close(self, state: RunState, fact: Fact) -> None:
        about = self._about.pop(state.run_id, "") or (state.error.message if state.error else "")
        self.newest_id = state.checkpoint_id
        self.found.append(
            Mark(
                id=state.checkpoint_id,
                run_id=state.run_id,
                step_number=state.step_number,
                status=state.status,
                about=about,
                seq=fact.seq,
                at=fact.timestamp,
            )
        )


def leading_to(facts: Iterable[Fact], mark: Mark, found: Iterable[Mark]) -> list[Fact]:
    """Those of a job's facts that came to pass on the way to `mark`, in the order they have.

    A delegate's are among them where they came before. `found` are the job's marks.
    """
    known = {(other.run_id, other.id): other for other in found}
    told = list(facts)
    starts = {
        fact.run_id: fact
        for fact in told
        if isinstance(fact, RunStarted) and fact.definition is not None
    }
    limits: dict[str, Mark] = {}
    link: Mark | None = mark
    while link is not None and link.run_id not in limits:
        limits[link.run_id] = link
        start = starts.get(link.run_id)
        base = start.base if start is not None else None
        link = known.get((base.run_id, base.checkpoint_id)) if base is not None else None
    owners = {run_id: lineage(run_id, starts)[-1] for run_id in {fact.run_id for fact in told}}
    return [fact for fact in told if _is_before(fact, owners[fact.run_id], limits)]


def _is_before(fact: Fact, owner: str, limits: Mapping[str, Mark]) -> bool:
    limit = limits.get(owner)
    if limit is None:
        return False
    return fact.seq <= limit.seq if fact.run_id == owner else fact.timestamp <= limit.at
