"""A run at one position in its log, as the public formats show it."""

from __future__ import annotations

from perstack.kernel.plan import sort_calls
from perstack.kernel.schedule import query_of
from perstack.kernel.state import RunState
from perstack.schema.checkpoint import Checkpoint, CheckpointStatus, DelegateTo, Step
from perstack.schema.message import Message


def checkpoint_of(
    state: RunState, *, with_messages: bool = False, status: CheckpointStatus | None = None
) -> Checkpoint:
    """The checkpoint being worked on, or just closed. `messages` only where asked for."""
    waits = state.phase == "waiting"
    expert = state.definition.expert.ref if state.definition else None
    if expert is None:
        message = f"run {state.run_id} has no definition yet"
        raise ValueError(message)
    pending = state.turn.unanswered if waits else ()
    window = state.context_window
    return Checkpoint(
        id=state.checkpoint_id,
        job_id=state.job_id,
        run_id=state.run_id,
        expert=expert,
        step_number=state.step_number,
        status=status or state.status,
        messages=state.all_messages if with_messages else None,
        usage=state.usage,
        context_window=window,
        context_window_usage=state.last_usage.total_tokens / window if window else None,
        delegate_to=_delegates_of(state) if state.status == "stoppedByDelegate" else None,
        delegated_by=state.delegated_by,
        pending_tool_calls=pending or None,
        partial_tool_results=(state.turn.answers or None) if waits else None,
        retry_count=state.retry_count or None,
        error=state.error,
    )


def _delegates_of(state: RunState) -> tuple[DelegateTo, ...]:
    calls = {call.id: call for call in state.turn.calls}
    return tuple(
        DelegateTo(
            expert=child.expert,
            tool_call_id=child.tool_call_id,
            tool_name=calls[child.tool_call_id].tool_name,
            query=query_of(calls[child.tool_call_id]),
            run_id=child.run_id,
        )
        for child in state.turn.children
    )


def step_of(state: RunState, finished_at: int | None = None) -> Step:
    """What the step being worked on, or just closed, added. Times are ms since the epoch."""
    added: tuple[Message, ...] = state.messages[state.step_first_message :]
    waits = state.phase == "waiting"
    return Step(
        step_number=state.step_number,
        new_messages=added,
        tool_calls=state.turn.calls or None,
        tool_results=state.turn.answers or None,
        pending_tool_calls=(sort_calls(state).interactive or None) if waits else None,
        usage=state.step_usage,
        started_at=state.step_started_at,
        finished_at=finished_at,
    )
