"""Who asked whom, counted from lines alone."""

from __future__ import annotations

import pytest

from hostile.test_row_79_escapes import EVIL, UNSAFE
from perstack.schema.head import decode_head
from perstack.views.log.paint import Paint
from perstack.views.log.tally import RunTally, Tally
from perstack.views.log.tree import tree_lines
from perstack.views.summary import summary_of
from views.played import Played, play_all

pytestmark = pytest.mark.anyio


def counted(played: Played) -> list[RunTally]:
    tallies: dict[str, Tally] = {}
    for seen in played.read_back:
        tally = tallies.setdefault(seen.fact.run_id, Tally(seen.fact.run_id))
        tally.count(decode_head(seen.line), seen.line)
    return [tally.run for tally in tallies.values()]


async def test_what_is_counted_is_what_the_fold_says() -> None:
    for name, played in (await play_all()).items():
        runs = {run.run_id: run for run in summary_of(played.facts_by_run).runs}
        tallied = {run.run_id: run for run in counted(played) if run.run_id in runs}
        assert list(runs) == list(tallied)
        for run_id, run in runs.items():
            tally = tallied[run_id]
            for field in ("expert_key", "status", "delegated_by", "steps", "usage", "query"):
                assert getattr(tally, field) == getattr(run, field), (name, field)
            assert tally.calls == run.tool_calls
            assert (tally.started_at, tally.finished_at) == (run.started_at, run.finished_at)
            assert tally.error == (f"{run.error.name}: {run.error.message}" if run.error else "")


def run(run_id: str, parent: str | None = None, query: str = "", error: str = "") -> RunTally:
    return RunTally(
        run_id=run_id, expert_key=f"x{run_id}", delegated_by=parent, query=query, error=error
    )


def test_runs_stand_below_the_one_that_asked_for_them() -> None:
    runs = [
        run("a", query="Go"),
        run("b", "a", error="No"),
        run("c", "b", query="Deep"),
        run("d", "a"),
        run("e", "gone"),
    ]
    shown = [line.partition(" init:")[0] for line in tree_lines(runs, Paint(has_colours=False))]
    assert shown == [
        "xa",
        "│  Go",
        "├─ xb",
        "│  │  No",
        "│  └─ xc",
        "│        Deep",
        "└─ xd",
        "xe",
    ]


def test_runs_that_asked_for_one_another_are_shown_nowhere_and_hold_nobody_up() -> None:
    assert not list(tree_lines([run("a", "b"), run("b", "a")], Paint(has_colours=False)))


@pytest.mark.hostile
def test_row_79_a_tree_is_shown_escaped() -> None:
    hostile = RunTally(run_id=EVIL, expert_key=EVIL, query=EVIL, error=EVIL)
    for line in tree_lines([hostile], Paint(has_colours=False)):
        assert UNSAFE.search(line) is None
