"""How a job ended, or where it rests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from perstack.embedding.event import Event
    from perstack.schema.checkpoint import RunError
    from perstack.schema.tool import ToolCall
    from perstack.schema.usage import Usage
    from perstack.views.cost import Cost

Status: TypeAlias = Literal[
    "completed", "stoppedByMaxSteps", "stoppedByInteractiveTool", "stoppedByError", "interrupted"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Where a job came to rest.

    Attributes:
        job_id: the job's name; `continue_job` takes it.
        status: "interrupted" was stopped from outside, and can be carried on with
            `continue_job`; so can every other one, with a further query.
        text: the coordinator's result; empty where it has none.
        usage: tokens of the whole job, delegates and earlier continuations included.
        steps: steps that the whole job has taken.
        checkpoint_id: where the coordinator stands; `resume_from` takes it.
        questions: interactive calls that wait for an answer, with "stoppedByInteractiveTool".
        error: why the coordinator stopped, with "stoppedByError".
        notice: what a person must know, a line each: that no model was asked, that
            `perstack.lock` is older than its file.
        events: every recorded event of this continuation, in order.
        listener_errors: what listeners raised, or `TimeoutError` for one that did not
            get through its events in time; each was dropped at that point.
    """

    job_id: str
    status: Status
    text: str
    usage: Usage
    steps: int
    checkpoint_id: str
    questions: tuple[ToolCall, ...] = ()
    error: RunError | None = None
    notice: str | None = None
    events: tuple[Event, ...] = field(default=(), repr=False)
    listener_errors: tuple[Exception, ...] = ()

    @property
    def cost(self) -> Cost:
        """What the replies of this continuation cost, delegates' too; prices are loaded for it."""
        from perstack.assembly.prices import price_of
        from perstack.views.cost import Bills

        bills = Bills(price_of)
        for event in self.events:
            if event.published is not None:
                bills.feed(event.published.fact)
        return bills.total
