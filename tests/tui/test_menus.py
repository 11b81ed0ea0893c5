"""What a person is asked about the next query."""

from __future__ import annotations

from perstack.schema.checkpoint import CheckpointStatus
from perstack.tui.menus import MOST, NEWEST, checkpoint_menu
from perstack.views.marks import Mark


def mark(step: int, status: CheckpointStatus, about: str) -> Mark:
    return Mark(f"id-{step}", "run", step, status, about, seq=step, at=step)


MARKS = [
    mark(1, "stoppedByInteractiveTool", "Which way?"),
    mark(2, "proceeding", ""),
    mark(3, "completed", "Done."),
]


def test_checkpoints_are_listed_from_the_newest_with_what_came_of_them() -> None:
    menu = checkpoint_menu(MARKS, has_newest=False, heading="Where?")
    told = [(one.key, one.name, one.origin, one.description) for one in menu.choices]
    assert told == [
        ("id-3", "step 3", "the run's result", "Done."),
        ("id-2", "step 2", "", "It was answered."),
        ("id-1", "step 1", "waits for an answer", "Which way?"),
    ]


def test_the_way_back_stands_above_where_there_is_one() -> None:
    menu = checkpoint_menu(MARKS, has_newest=True, heading="Where?")
    assert [one.key for one in menu.choices][:2] == [NEWEST, "id-3"]


def test_of_a_long_job_the_newest_are_listed() -> None:
    marks = [mark(step, "proceeding", "x") for step in range(MOST + 7)]
    menu = checkpoint_menu(marks, has_newest=False, heading="Where?")
    assert [one.key for one in menu.choices] == [f"id-{step}" for step in range(MOST + 6, 6, -1)]
