"""What a person is asked about the next query: its model, where it begins, how far it may go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perstack.tui.menu import Menu
from perstack.tui.session import Choice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perstack.tui.progress import Progress
    from perstack.views.marks import Mark

NEWEST = "."
"""Not an id: where the job is."""

MOST = 500
"""Checkpoints that are listed, the newest ones."""

_STATUSES = {
    "completed": "the run's result",
    "stoppedByInteractiveTool": "waits for an answer",
    "stoppedByExceededMaxSteps": "stopped at the step limit",
    "stoppedByError": "stopped by an error",
}


def model_menu(models: tuple[Choice, ...]) -> Menu:
    """Which model? Ends with its name."""
    hint = "Or type its name: MODEL, or PROVIDER/MODEL."
    return Menu("Which model, from the next query on?", models, hint, takes_text=True)


def limit_menu(progress: Progress) -> Menu:
    """How many steps? Ends with what was typed."""
    limit = f" of {progress.max_steps}" if progress.max_steps is not None else ""
    heading = "How many steps may the job take, from the next query on?"
    return Menu(heading, (), f"It has taken {progress.steps}{limit}.", takes_text=True)


def checkpoint_menu(marks: Sequence[Mark], *, has_newest: bool, heading: str) -> Menu:
    """Where to begin? Ends with a checkpoint's id, or with NEWEST where that is offered."""
    hint = "A new run begins at a checkpoint. Files are not rolled back."
    return Menu(heading, _choices(marks, has_newest=has_newest), hint)


def _choices(marks: Sequence[Mark], *, has_newest: bool) -> tuple[Choice, ...]:
    """The newest first, and above them, if that is asked for, where the job is."""
    newest = Choice(NEWEST, "Where the job is now.", "", "the newest")
    return (
        *((newest,) if has_newest else ()),
        *(
            Choice(
                mark.id,
                mark.about or ("It was answered." if mark.status == "proceeding" else ""),
                _STATUSES.get(mark.status, ""),
                f"step {mark.step_number}",
            )
            for mark in reversed(marks[-MOST:])
        ),
    )
