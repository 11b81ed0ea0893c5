"""Reading a job back: the fold of each of its runs, from what the store holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import msgspec

from perstack.errors import CorruptLog, NoSuchCheckpoint
from perstack.kernel.apply import apply
from perstack.kernel.state import RunState, blank, forked
from perstack.runtime.streams import closing
from perstack.schema.checkpoint import BaseRef
from perstack.schema.event import (
    DelegatesCalled,
    Fact,
    RunCompleted,
    RunEvent,
    RunStarted,
    RunStoppedByDelegate,
    RunStoppedByError,
    RunStoppedByExceededMaxSteps,
    RunStoppedByInteractiveTool,
    StepContinued,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perstack.storage import Store

_ENDS = (
    StepContinued,
    RunCompleted,
    RunStoppedByDelegate,
    RunStoppedByError,
    RunStoppedByExceededMaxSteps,
    RunStoppedByInteractiveTool,
)


Closed: TypeAlias = "dict[str, RunState | None]"
"""Checkpoints one looks for in a log, by id, and the state where each closes once found."""


async def read_state(store: Store, job_id: str, run_id: str) -> RunState:
    """The fold of a run's log, on top of the checkpoint it goes on from, if any.

    Raises:
        CorruptLog: the log cannot be followed.
    """
    base = await _base_of(store, job_id, run_id)
    start = blank(job_id, run_id)
    if base is not None:
        start = forked(await state_at(store, job_id, base), job_id, run_id)
    return await _folded(store, start, {})


async def state_at(store: Store, job_id: str, position: BaseRef) -> RunState:
    """A run where one of its checkpoints closes.

    Raises:
        NoSuchCheckpoint: no checkpoint of that id is closed in that run.
        CorruptLog: a log cannot be followed.
    """
    chain = [position]
    passed = {position.run_id}
    while (base := await _base_of(store, job_id, chain[-1].run_id)) is not None:
        if base.run_id in passed:
            raise _circular(job_id, base.run_id)
        passed.add(base.run_id)
        chain.append(base)
    state = blank(job_id, chain[-1].run_id)
    for index, link in enumerate(reversed(chain)):
        if index:
            state = forked(state, job_id, link.run_id)
        closed: Closed = {link.checkpoint_id: None}
        await _folded(store, state, closed, to_the_end=False)
        state = _found(closed, link)
    return state


async def read_job(store: Store, job_id: str) -> dict[str, RunState]:
    """Every run of a job that has a fact, in the order they began. Each log is followed once.

    Raises:
        CorruptLog: a log cannot be followed.
    """
    bases = {run_id: await _base_of(store, job_id, run_id) for run_id in await store.runs(job_id)}
    closed: dict[str, Closed] = {run_id: {} for run_id in bases}
    for run_id, base in bases.items():
        if base is not None and base.run_id not in bases:
            message = f"In job {job_id}, run {run_id} goes on from run {base.run_id}: it is missing"
            raise CorruptLog(message)
        if base is not None:
            closed[base.run_id][base.checkpoint_id] = None
    states: dict[str, RunState] = {}
    for run_id in _bases_first(job_id, bases):
        state = blank(job_id, run_id)
        base = bases[run_id]
        if base is not None:
            try:
                state = forked(_found(closed[base.run_id], base), job_id, run_id)
            except NoSuchCheckpoint as problem:
                raise _broken(state, problem.message) from problem
        states[run_id] = await _folded(store, state, closed[run_id])
    return {run_id: states[run_id] for run_id in bases if states[run_id].phase != "new"}


def _bases_first(job_id: str, bases: Mapping[str, BaseRef | None]) -> list[str]:
    """The runs in an order in which each stands behind the one it goes on from."""
    order: dict[str, None] = {}
    for run_id in bases:
        chain: dict[str, None] = {}
        link: str | None = run_id
        while link is not None and link not in order:
            if link in chain:
                raise _circular(job_id, link)
            chain[link] = None
            base = bases[link]
            link = base.run_id if base is not None else None
        order.update(dict.fromkeys(reversed(chain)))
    return list(order)


def _circular(job_id: str, run_id: str) -> CorruptLog:
    return CorruptLog(f"In job {job_id}, run {run_id} goes on from itself")


async def find_checkpoint(store: Store, job_id: str, checkpoint_id: str) -> BaseRef:
    """Where in a job a checkpoint is.

    Raises:
        NoSuchCheckpoint: nowhere.
    """
    for run_id in await store.runs(job_id):
        async with closing(store.events(job_id, run_id)) as facts:
            async for fact in facts:
                if fact.id == checkpoint_id:
                    return BaseRef(run_id=run_id, checkpoint_id=checkpoint_id)
    message = f"Job {job_id} has no checkpoint {checkpoint_id}"
    raise NoSuchCheckpoint(message)


async def _base_of(store: Store, job_id: str, run_id: str) -> BaseRef | None:
    async with closing(store.events(job_id, run_id)) as facts:
        async for fact in facts:
            if isinstance(fact, RunStarted):
                return fact.base
    return None


async def _folded(
    store: Store, state: RunState, closed: Closed, *, to_the_end: bool = True
) -> RunState:
    """`state` after its run's log. Fills in where the checkpoints named in `closed` close.

    Unless it is `to_the_end`, the log is read only until it has found all of those.
    """
    owed = sum(found is None for found in closed.values())
    async with closing(store.events(state.job_id, state.run_id)) as facts:
        async for fact in facts:
            after = _followed(state, fact)
            if isinstance(fact, _ENDS):
                end = state if isinstance(fact, StepContinued) else after
                if closed.get(end.checkpoint_id, end) is None:
                    closed[end.checkpoint_id] = end
                    owed -= 1
            state = after
            if owed == 0 and not to_the_end:
                break
    return state


def _found(closed: Closed, position: BaseRef) -> RunState:
    state = closed[position.checkpoint_id]
    if state is None:
        message = (
            f"{position.checkpoint_id} is no closed checkpoint of run {position.run_id}: take the "
            "id of a `checkpoint` in one of its continueToNextStep or stop events"
        )
        raise NoSuchCheckpoint(message)
    return state


def _followed(state: RunState, fact: Fact) -> RunState:
    """`state` after `fact`, where a run could have come to write that down.

    Raises:
        CorruptLog: it could not.
    """
    if problem := _problem(state, fact):
        raise _broken(state, problem)
    try:
        return apply(state, fact)
    except (msgspec.MsgspecError, LookupError, ValueError, TypeError) as error:
        raise _broken(state, str(error)) from error


def _broken(state: RunState, problem: str) -> CorruptLog:
    return CorruptLog(
        f"The log of run {state.run_id} in job {state.job_id} cannot be followed after event "
        f"{state.seq}: {problem}"
    )


def _problem(state: RunState, fact: Fact) -> str | None:
    if not fact.id:
        return f"event {fact.seq} has no id"
    if not isinstance(fact, RunEvent):
        return None
    is_first = isinstance(fact, RunStarted) and fact.definition is not None
    if is_first != (state.phase == "new"):
        return f"event {fact.seq} is not what a run begins with, or it begins a run that has begun"
    if isinstance(fact, DelegatesCalled):
        asked = {call.id for call in state.turn.calls}
        if not asked.issuperset(child.tool_call_id for child in fact.children):
            return f"event {fact.seq} names a delegate for a call that nobody made"
    return None
