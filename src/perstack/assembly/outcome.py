"""Where a job came to rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from perstack.kernel.answers import questions_of

if TYPE_CHECKING:
    from perstack.kernel.state import RunState
    from perstack.schema.checkpoint import Job
    from perstack.schema.tool import ToolCall


class Outcome(NamedTuple):
    """Where a job came to rest. `coordinator` is its coordinator's last run."""

    job: Job
    coordinator: RunState

    @property
    def questions(self) -> tuple[ToolCall, ...]:
        """The interactive calls that wait for a person."""
        return questions_of(self.coordinator)

    @property
    def was_interrupted(self) -> bool:
        """Whether it was stopped from outside before it came to rest."""
        failed = self.coordinator.status == "stoppedByError" and not self.coordinator.is_interrupted
        return self.job.status == "stoppedByError" and not failed
