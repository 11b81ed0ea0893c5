"""What happened in a job, and how it rests: all of it, or up to one of its checkpoints."""

from __future__ import annotations

from heapq import merge
from typing import TYPE_CHECKING, NamedTuple

from perstack.errors import NoSuchCheckpoint
from perstack.kernel.answers import questions_of
from perstack.kernel.schedule import coordinator_of, current, job_status
from perstack.runtime.replay import read_job, state_at
from perstack.schema.checkpoint import BaseRef
from perstack.tui.session import Rested
from perstack.views.marks import Marks, leading_to

if TYPE_CHECKING:
    from perstack.schema.event import Fact
    from perstack.storage import Store


class History(NamedTuple):
    """All facts of a job, those that lead to where one looks at it, and how it rests there."""

    facts: tuple[Fact, ...]
    leading: tuple[Fact, ...]
    rest: Rested


async def history_of(store: Store, job_id: str, checkpoint_id: str | None) -> History:
    """The job as it is now, or where a checkpoint closes.

    Raises:
        NoSuchCheckpoint: the coordinator has none of that id where a run can begin.
        CorruptLog: a log cannot be followed.
    """
    facts = await facts_of(store, job_id)
    if checkpoint_id is None:
        return History(facts, facts, await _rest_now(store, job_id))
    marks = marks_of(facts)
    mark = next((one for one in marks.found if one.id == checkpoint_id), None)
    if mark is None:
        raise NoSuchCheckpoint(
            f"A run cannot begin at checkpoint {checkpoint_id} of job {job_id}: take one of the "
            "coordinator's, where it does not wait for delegates"
        )
    base = BaseRef(run_id=mark.run_id, checkpoint_id=mark.id)
    state = await state_at(store, job_id, base)
    leading = tuple(leading_to(facts, mark, marks.found))
    return History(facts, leading, Rested("running", questions_of(state)))


async def facts_of(store: Store, job_id: str) -> tuple[Fact, ...]:
    """Every fact of a job: those of a run in their order, and runs by the clock."""
    runs = [
        [fact async for fact in store.events(job_id, run_id)] for run_id in await store.runs(job_id)
    ]
    # A clock may be put back: to sort them all could change the order within a run.
    return tuple(merge(*runs, key=lambda fact: fact.timestamp))


def marks_of(facts: tuple[Fact, ...]) -> Marks:
    """The checkpoints that a run can begin at."""
    marks = Marks()
    for fact in facts:
        marks.feed(fact)
    return marks


async def _rest_now(store: Store, job_id: str) -> Rested:
    states = await read_job(store, job_id)
    status = job_status(states)
    coordinator = coordinator_of(states)
    questions = questions_of(coordinator) if coordinator is not None else ()
    is_cut_short = any(state.is_interrupted for state in current(states))
    return Rested(status, questions, is_interrupted=is_cut_short or status == "running")
