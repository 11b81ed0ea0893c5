"""The only writer of a run's log."""

from __future__ import annotations

from typing import TypeVar

import anyio
from msgspec.structs import replace

from perstack.kernel.apply import apply
from perstack.kernel.state import RunState
from perstack.runtime.environment import Environment, Published
from perstack.schema.event import (
    MAX_EVENT_BYTES,
    RunFact,
    RunStarted,
    RuntimeEvent,
    Shown,
    TextStreamed,
)
from perstack.schema.line import json_line

S = TypeVar("S", Shown, TextStreamed)


class Recorder:
    """Stamps, appends, applies and publishes one run's events, in that order.

    Contract: one event at a time, and a cancelled `record` leaves the event
    recorded and published, or neither. `state` is always the fold of the log.
    """

    def __init__(self, state: RunState, env: Environment, *, depth: int = 0) -> None:
        self.state = state
        self.env = env
        self.depth = depth
        self._lock = anyio.Lock(fast_acquire=True)

    async def record(self, event: RunFact) -> None:
        """Write one fact of the run's own course down. An id it already has is kept."""
        with anyio.CancelScope(shield=True):
            async with self._lock:
                state = self.state
                is_start = isinstance(event, RunStarted)
                definition = event.definition if is_start else None
                await self._keep(
                    replace(
                        event,
                        id=event.id or self.env.new_id(),
                        seq=state.seq + 1,
                        timestamp=self.env.now_ms(),
                        job_id=state.job_id,
                        run_id=state.run_id,
                        expert_key=definition.expert.key if definition else state.expert_key,
                        step_number=event.step_number if is_start else state.step_number,
                    )
                )

    async def note(self, event: RuntimeEvent) -> None:
        """Write one fact about what the run runs in down."""
        with anyio.CancelScope(shield=True):
            async with self._lock:
                await self._keep(
                    replace(
                        event,
                        id=self.env.new_id(),
                        seq=self.state.seq + 1,
                        timestamp=self.env.now_ms(),
                        job_id=self.state.job_id,
                        run_id=self.state.run_id,
                    )
                )

    async def _keep(self, event: RunFact | RuntimeEvent) -> None:
        line = json_line(event)
        if len(line) > MAX_EVENT_BYTES:
            raise ValueError(f"it has {len(line)} bytes, and at most {MAX_EVENT_BYTES} are kept")
        before = self.state
        after = apply(before, event)
        await self.env.store.append(event, line)
        self.state = after
        await self.env.publish(Published(event, line, before, after))

    async def show(self, event: Shown) -> None:
        """Stream something that is not stored, in order with what is, and never half."""
        with anyio.CancelScope(shield=True):
            async with self._lock:
                await self.env.show(self._marked(event))

    async def say(self, delta: str) -> None:
        """The same for a piece of a reply, where somebody wants to hear it."""
        if self.env.is_heard:
            with anyio.CancelScope(shield=True):
                async with self._lock:
                    await self.env.say(self._marked(TextStreamed(delta=delta)))

    def _marked(self, event: S) -> S:
        """The same event, of now and of this run."""
        state = self.state
        return replace(
            event,
            id=self.env.new_id(),
            timestamp=self.env.now_ms(),
            job_id=state.job_id,
            run_id=state.run_id,
            expert_key=state.expert_key,
            step_number=state.step_number,
        )

    async def flush(self) -> None:
        """Everything recorded so far survives the machine."""
        with anyio.CancelScope(shield=True):
            await self.env.store.flush(self.state.job_id)
