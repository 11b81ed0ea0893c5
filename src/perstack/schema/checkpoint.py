"""Checkpoints, steps and jobs, as people and programs read them."""

from __future__ import annotations

from typing import Literal, TypeAlias

from perstack.schema.base import Data
from perstack.schema.expert import ExpertRef
from perstack.schema.message import Message
from perstack.schema.tool import ToolCall, ToolResult
from perstack.schema.usage import NO_USAGE, Usage

CheckpointStatus: TypeAlias = Literal[
    "init",
    "proceeding",
    "completed",
    "stoppedByInteractiveTool",
    "stoppedByDelegate",
    "stoppedByExceededMaxSteps",
    "stoppedByError",
]
JobStatus: TypeAlias = Literal[
    "running",
    "completed",
    "stoppedByMaxSteps",
    "stoppedByInteractiveTool",
    "stoppedByError",
]


INTERRUPTED = "Interrupted"
"""The name of the error that stops a run which can move again."""


class RunError(Data, kw_only=True):
    """Why a run stopped: the provider's own name, message and status where it was the provider."""

    name: str
    message: str
    status_code: int | None = None
    is_retryable: bool


class DelegateTo(Data, kw_only=True):
    """One delegate a run waits for. `run_id` is ours."""

    expert: ExpertRef
    tool_call_id: str
    tool_name: str
    query: str
    run_id: str


class DelegatedBy(Data, kw_only=True):
    """The call a run answers."""

    expert: ExpertRef
    tool_call_id: str
    tool_name: str
    checkpoint_id: str
    run_id: str


class BaseRef(Data, kw_only=True):
    """The checkpoint a new run goes on from."""

    run_id: str
    checkpoint_id: str


class Checkpoint(Data, kw_only=True):
    """A run at the end of a step (or at its start): a position in its log, materialised.

    `messages` is None where a form leaves it out.
    """

    id: str
    job_id: str
    run_id: str
    expert: ExpertRef
    step_number: int
    status: CheckpointStatus
    messages: tuple[Message, ...] | None = None
    usage: Usage
    context_window: int | None = None
    context_window_usage: float | None = None
    delegate_to: tuple[DelegateTo, ...] | None = None
    delegated_by: DelegatedBy | None = None
    pending_tool_calls: tuple[ToolCall, ...] | None = None
    partial_tool_results: tuple[ToolResult, ...] | None = None
    retry_count: int | None = None
    error: RunError | None = None
    metadata: dict[str, object] | None = None


class Step(Data, kw_only=True):
    """What one step added. Times are ms since the epoch."""

    step_number: int
    input_messages: tuple[Message, ...] | None = None
    new_messages: tuple[Message, ...]
    tool_calls: tuple[ToolCall, ...] | None = None
    tool_results: tuple[ToolResult, ...] | None = None
    pending_tool_calls: tuple[ToolCall, ...] | None = None
    usage: Usage
    started_at: int
    finished_at: int | None = None


class Job(Data, kw_only=True):
    """One piece of work: its coordinator's runs and all their delegates'."""

    id: str
    status: JobStatus = "running"
    coordinator_expert_key: str
    total_steps: int = 0
    max_steps: int | None = None
    usage: Usage = NO_USAGE
    started_at: int
    finished_at: int | None = None
