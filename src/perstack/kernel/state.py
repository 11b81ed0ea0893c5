"""What a run is at one position in its log."""

from __future__ import annotations

from typing import Literal, TypeAlias

from perstack.kernel.ledger import Ledger
from perstack.schema.base import Data
from perstack.schema.checkpoint import (
    INTERRUPTED,
    BaseRef,
    CheckpointStatus,
    DelegatedBy,
    RunError,
)
from perstack.schema.event import Child
from perstack.schema.expert import Definition
from perstack.schema.history import History
from perstack.schema.message import InstructionMessage, Message
from perstack.schema.tool import Effect, Todo, ToolCall, ToolResult
from perstack.schema.usage import NO_USAGE, Usage

Phase: TypeAlias = Literal[
    "new",  # nothing is recorded yet
    "ready",  # a step may begin
    "generating",  # the model owes a reply
    "calling",  # the reply's calls are owed their answers
    "resolved",  # every tool has answered; the answers are no message yet
    "finished",  # the step is over; the next one, or a stop, is owed
    "delegating",  # delegates are named; the rest is owed
    "asking",  # a person is asked; the rest is owed
    "completing",  # the model owes the result
    "waiting",  # at rest until delegates or a person have answered
    "done",  # at rest for good
]


class Turn(Data, kw_only=True):
    """The last reply's calls and what became of them. Maps are by tool call id.

    `restarted`: the run rested in this turn and moved again. `resumed`: it said so.
    """

    calls: tuple[ToolCall, ...] = ()
    usage: Usage = NO_USAGE
    has_text: bool = False
    started: Ledger[Effect] = Ledger()
    results: Ledger[ToolResult] = Ledger()
    children: tuple[Child, ...] = ()
    restarted: bool = False
    resumed: bool = False

    @property
    def unanswered(self) -> tuple[ToolCall, ...]:
        """Calls without a result, in the reply's order."""
        return tuple(call for call in self.calls if call.id not in self.results)

    @property
    def answers(self) -> tuple[ToolResult, ...]:
        """The results there are, in the reply's order."""
        return tuple(self.results[call.id] for call in self.calls if call.id in self.results)


class RunState(Data, kw_only=True):
    """A fold of one run's log. Frozen; `apply` gives the next one.

    `usage` is the run's own and its descendants'. `steps_taken` counts the run's
    own steps; `step_number` orders them within the job. `checkpoint_id` is the id
    of the checkpoint being worked on, which is the id of the event that opened it.
    `last_usage` is the last reply's, and `context_window` that of the model in use, in
    tokens, where it is known. `lost_skills` says why, by the name of each skill whose tools
    the run has to do without. `opened_skills` are the lazy ones that are open, in that order.
    """

    job_id: str
    run_id: str
    seq: int = 0
    phase: Phase = "new"
    status: CheckpointStatus = "init"
    definition: Definition | None = None
    instruction: InstructionMessage | None = None
    messages: History
    base: BaseRef | None = None
    delegated_by: DelegatedBy | None = None
    checkpoint_id: str = ""
    step_number: int = 0
    step_started_at: int = 0
    step_first_message: int = 0
    step_usage: Usage = NO_USAGE
    steps_taken: int = 0
    turn: Turn = Turn()
    todos: tuple[Todo, ...] = ()
    lost_skills: dict[str, str] = {}
    opened_skills: tuple[str, ...] = ()
    retry_count: int = 0
    retry_wait_ms: int = 0
    usage: Usage = NO_USAGE
    last_usage: Usage = NO_USAGE
    context_window: int | None = None
    error: RunError | None = None
    text: str = ""

    @property
    def expert_key(self) -> str:
        """The key of the Expert whose run it is; empty before it starts."""
        return self.definition.expert.key if self.definition else ""

    @property
    def is_interrupted(self) -> bool:
        """Whether it was stopped from outside and can move again."""
        return self.error is not None and self.error.name == INTERRUPTED

    @property
    def is_at_rest(self) -> bool:
        """Whether it has stopped, for whatever reason (an interrupted run has not come to rest)."""
        return self.phase in ("waiting", "done") or self.status == "stoppedByExceededMaxSteps"

    @property
    def is_answer(self) -> bool:
        """Whether its outcome answers the Expert that delegated to it."""
        return self.phase == "done"

    @property
    def all_messages(self) -> tuple[Message, ...]:
        """The instruction and everything after it."""
        head = (self.instruction,) if self.instruction else ()
        return (*head, *self.messages)


def blank(job_id: str, run_id: str) -> RunState:
    """A run of which nothing is recorded."""
    return RunState(job_id=job_id, run_id=run_id, messages=History())


def forked(base: RunState, job_id: str, run_id: str) -> RunState:
    """A run of which nothing is recorded, and which will go on from where `base` is."""
    return RunState(
        job_id=job_id,
        run_id=run_id,
        definition=base.definition,
        instruction=base.instruction,
        messages=base.messages,
        turn=base.turn,
        todos=base.todos,
        opened_skills=base.opened_skills,
        step_number=base.step_number,
        last_usage=base.last_usage,
        context_window=base.context_window,
    )
