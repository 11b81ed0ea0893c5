"""Which runs of a job can move. Pure: states in, moves out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeAlias

from perstack.kernel.apply import result_of
from perstack.kernel.state import RunState
from perstack.schema.base import Data
from perstack.schema.checkpoint import DelegatedBy, JobStatus
from perstack.schema.event import Child
from perstack.schema.tool import ToolCall, ToolResult
from perstack.schema.usage import NO_USAGE, Usage


class Drive(Data, kw_only=True):
    """A run that has not come to rest."""

    run_id: str


class StartChild(Data, kw_only=True):
    """A delegate's run that was named and has no fact yet."""

    parent_run_id: str
    child: Child
    query: str


class Return(Data, kw_only=True):
    """A run whose delegates are all at rest: their answers, and where it goes on."""

    run_id: str
    step_number: int
    results: tuple[ToolResult, ...]
    usage: Usage


Move: TypeAlias = Drive | StartChild | Return


def schedule(states: Mapping[str, RunState], steps_left: int) -> tuple[Move, ...]:
    """Every run that can move now, and how. Empty when the job is at rest.

    `states` holds every run of the job that has a fact, in the order they began. A
    coordinator at the step limit is not moved: going on from there is a new run's
    business. What a later run of the coordinator was begun in place of stays as it is.
    """
    moves: list[Move] = []
    for state in current(states):
        if not state.is_at_rest or _has_steps_again(state, steps_left):
            moves.append(Drive(run_id=state.run_id))
        elif state.status == "stoppedByDelegate":
            moves.extend(_moves_of_waiting(state, states))
    return tuple(moves)


def _has_steps_again(state: RunState, steps_left: int) -> bool:
    at_limit = state.status == "stoppedByExceededMaxSteps"
    return at_limit and state.delegated_by is not None and steps_left > 0


def _moves_of_waiting(parent: RunState, states: Mapping[str, RunState]) -> list[Move]:
    calls = {call.id: call for call in parent.turn.calls}
    waiting = [child for child in parent.turn.children if child.run_id not in states]
    if waiting:
        return [
            StartChild(
                parent_run_id=parent.run_id,
                child=child,
                query=query_of(calls[child.tool_call_id]),
            )
            for child in waiting
        ]
    children = [states[child.run_id] for child in parent.turn.children]
    if not all(child.is_answer for child in children):
        return []
    usage = NO_USAGE
    for child in children:
        usage += child.usage
    return [
        Return(
            run_id=parent.run_id,
            step_number=max(child.step_number for child in children) + 1,
            results=tuple(
                _answer_of(child, calls[link.tool_call_id])
                for child, link in zip(children, parent.turn.children, strict=True)
            ),
            usage=usage,
        )
    ]


def query_of(call: ToolCall) -> str:
    """What a delegate is asked."""
    query = call.args.get("query")
    return query if isinstance(query, str) else ""


def _answer_of(child: RunState, call: ToolCall) -> ToolResult:
    if child.error is not None:
        return result_of(call, f"Delegation failed: {child.error.message}", is_error=True)
    return result_of(call, child.text)


def usage_of(states: Mapping[str, RunState]) -> Usage:
    """What all runs of a job have used, each counted once.

    A delegate's tokens are its parent's too as soon as the parent has its answer.
    """
    owed = {
        child.run_id
        for state in states.values()
        for child in state.turn.children
        if child.tool_call_id not in state.turn.results
    }
    usage = NO_USAGE
    for state in states.values():
        if state.delegated_by is None or state.run_id in owed:
            usage += state.usage
    return usage


def current(states: Mapping[str, RunState]) -> tuple[RunState, ...]:
    """The coordinator's last run, and those that work for it."""
    coordinator = coordinator_of(states)
    if coordinator is None:
        return tuple(states.values())
    root = coordinator.run_id
    return tuple(run for run in states.values() if lineage(run.run_id, states)[-1] == root)


class Delegated(Protocol):
    """What tells of a run whether another one delegated it."""

    @property
    def delegated_by(self) -> DelegatedBy | None:
        """The call that it answers."""
        ...


def lineage(run_id: str, runs: Mapping[str, Delegated]) -> list[str]:
    """A run, whoever delegated it, and so on as far as `runs` tell; no run twice."""
    line = [run_id]
    while (run := runs.get(line[-1])) is not None and run.delegated_by is not None:
        if run.delegated_by.run_id in line:
            break
        line.append(run.delegated_by.run_id)
    return line


def coordinator_of(states: Mapping[str, RunState]) -> RunState | None:
    """The run nobody delegated that was started last (`states` in the order the runs began)."""
    own = [state for state in states.values() if state.delegated_by is None]
    return own[-1] if own else None


def job_status(states: Mapping[str, RunState]) -> JobStatus:
    """The job as a whole: its coordinator, or what keeps its coordinator waiting."""
    coordinator = coordinator_of(states)
    if any(state.is_interrupted for state in current(states)):
        return "stoppedByError"
    if coordinator is None or not coordinator.is_at_rest:
        return "running"
    match coordinator.status:
        case "completed":
            return "completed"
        case "stoppedByInteractiveTool":
            return "stoppedByInteractiveTool"
        case "stoppedByExceededMaxSteps":
            return "stoppedByMaxSteps"
        case "stoppedByDelegate":
            return "running" if schedule(states, 0) else "stoppedByMaxSteps"
        case _:
            return "stoppedByError"
