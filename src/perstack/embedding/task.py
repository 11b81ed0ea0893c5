"""One job of a runtime, from what is asked to where it rests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import anyio

from perstack.assembly.execute import execute
from perstack.embedding.result import Result
from perstack.runtime.environment import Stop

if TYPE_CHECKING:
    from perstack.assembly.outcome import Outcome
    from perstack.assembly.parts import Parts
    from perstack.config.request import RunRequest
    from perstack.embedding.hearing import Hearing
    from perstack.embedding.result import Status


@dataclass(slots=True, eq=False)
class Task:
    """One job to be carried to rest: what is asked, and everything it needs."""

    request: RunRequest
    parts: Parts
    hearing: Hearing
    stop: Stop = field(default_factory=Stop)
    has_begun: bool = False

    @property
    def job_id(self) -> str:
        """The job that is begun or gone on with."""
        return self.request.job_id or self.request.continue_job or ""

    async def carry_out(self) -> Result:
        """Carry the job to rest, while its listeners hear of it.

        Cancelled, the job is interrupted: its runs write that down, what they started
        is ended, and it can be continued. Then the cancellation goes on.
        """
        self.has_begun = True
        outcome: list[Outcome] = []
        errors: list[Exception] = []
        finished = anyio.Event()

        async def to_rest() -> None:
            with anyio.CancelScope(shield=True):
                try:
                    heard = self.hearing.listeners
                    outcome.append(await execute(self.request, self.stop, heard, self.parts))
                except Exception as error:  # noqa: BLE001 - raised below, as it is
                    errors.append(error)
                finally:
                    finished.set()

        async with self.hearing, anyio.create_task_group() as tasks:
            tasks.start_soon(to_rest)
            try:
                await finished.wait()
            except anyio.get_cancelled_exc_class():
                self.stop.set("cancelled")
                raise
        if errors:
            raise errors[0]
        return self._result(outcome[0])

    def _result(self, outcome: Outcome) -> Result:
        job, coordinator = outcome.job, outcome.coordinator
        status = "interrupted" if outcome.was_interrupted else job.status
        return Result(
            job_id=job.id,
            status=cast("Status", status),
            text=coordinator.text if status == "completed" else "",
            usage=job.usage,
            steps=job.total_steps,
            checkpoint_id=coordinator.checkpoint_id,
            questions=outcome.questions,
            error=coordinator.error if status == "stoppedByError" else None,
            notice=self.hearing.record.notice,
            events=tuple(self.hearing.record.events),
            listener_errors=tuple(self.hearing.errors),
        )
