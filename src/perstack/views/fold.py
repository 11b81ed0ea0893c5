"""The states around the facts of a whole job, as they are read back."""

from __future__ import annotations

from collections.abc import Collection

from msgspec.structs import replace

from perstack.kernel.apply import apply
from perstack.kernel.state import RunState, blank, forked
from perstack.schema.checkpoint import BaseRef
from perstack.schema.event import (
    Fact,
    RunCompleted,
    RunStarted,
    RunStoppedByDelegate,
    RunStoppedByError,
    RunStoppedByExceededMaxSteps,
    RunStoppedByInteractiveTool,
    StepContinued,
)
from perstack.schema.history import History

STOPS = (
    RunCompleted,
    RunStoppedByDelegate,
    RunStoppedByError,
    RunStoppedByExceededMaxSteps,
    RunStoppedByInteractiveTool,
)
"""The facts that end a stretch of a run."""


class RunFold:
    """Folds one run, as long as it may be: with each step that is over, its messages are let go.

    The states around a fact are those of the process that wrote the log, but for the
    messages of earlier steps; `is_whole` keeps those as well. `state` is where the run
    begins: blank, or forked from the checkpoint that it goes on from.

    Attributes:
        state: the run as it is now.
        closed: the state where each checkpoint of `wanted` closes, by its id.
    """

    def __init__(
        self, state: RunState, wanted: Collection[str] = (), *, is_whole: bool = False
    ) -> None:
        self.state = state
        self.closed: dict[str, RunState] = {}
        self._wanted = wanted
        self._is_whole = is_whole

    def feed(self, fact: Fact) -> tuple[RunState, RunState]:
        """The run before and after `fact`. Raises as `apply` does for what cannot follow."""
        before = self.state
        after = apply(before, fact)
        if isinstance(fact, (StepContinued, *STOPS)):
            end = before if isinstance(fact, StepContinued) else after
            if end.checkpoint_id in self._wanted:
                self.closed.setdefault(end.checkpoint_id, end)
        self.state = after
        if isinstance(fact, StepContinued) and not self._is_whole:
            self.state = replace(after, messages=History(), step_first_message=0)
        return before, after


class JobFold:
    """Folds every run of a job.

    From a run's `startRun` on, its states are those of the process that wrote the log.

    The facts of a run come in order, from its first; runs may alternate, but a run
    that goes on from another's checkpoint comes after it. Where that checkpoint was
    not fed, the run starts from nothing.

    Attributes:
        states: each run as it is now, in the order of their first facts.
    """

    def __init__(self) -> None:
        self.states: dict[str, RunState] = {}
        self._closed: dict[tuple[str, str], RunState] = {}

    def feed(self, fact: Fact) -> tuple[RunState, RunState]:
        """The run before and after `fact`."""
        before = self.before(fact)
        after = apply(before, fact)
        self.states[fact.run_id] = after
        if isinstance(fact, StepContinued):
            self._closed[before.run_id, before.checkpoint_id] = before
        elif isinstance(fact, STOPS):
            self._closed[after.run_id, after.checkpoint_id] = after
        return before, after

    def before(self, fact: Fact) -> RunState:
        """The run that `fact` is to be applied to."""
        state = self.states.get(fact.run_id) or blank(fact.job_id, fact.run_id)
        if isinstance(fact, RunStarted) and fact.base is not None and state.definition is None:
            origin = self._origin(fact.base)
            if origin is not None:
                return replace(forked(origin, fact.job_id, fact.run_id), seq=state.seq)
        return state

    def _origin(self, base: BaseRef) -> RunState | None:
        return self._closed.get((base.run_id, base.checkpoint_id))
