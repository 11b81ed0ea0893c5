"""The checkpoints of a job, as things to choose from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perstack.tui.session import Choice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perstack.views.marks import Mark

NEWEST = "."
"""Not an id: where the job is."""

MOST = 500
"""Checkpoints that are listed, the newest ones."""

_STATUSES = {
    "proceeding": "",
    "init": "",
    "completed": "the run's result",
    "stoppedByInteractiveTool": "waits for an answer",
    "stoppedByExceededMaxSteps": "stopped at the step limit",
    "stoppedByError": "stopped by an error",
}


def choices_of(marks: Sequence[Mark], *, has_newest: bool) -> tuple[Choice, ...]:
    """The newest first, and above them, if that is asked for, where the job is."""
    newest = Choice(NEWEST, "Where the job is now.", "", "the newest")
    return (
        *((newest,) if has_newest else ()),
        *(
            Choice(mark.id, mark.about, _STATUSES.get(mark.status, ""), f"step {mark.step_number}")
            for mark in reversed(marks[-MOST:])
        ),
    )
