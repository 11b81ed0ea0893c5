"""All logs of a job as one sequence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from perstack.storage.job_log import JobLog
from perstack.storage.reading import Entry

JOB = "j1"


def write(root: Path, **runs: list[tuple[int, str]]) -> None:
    """Logs of events that are a time and a type; `+` stands for a run that moves again."""
    for index, (run_id, events) in enumerate(runs.items(), 1):
        place = root / "jobs" / JOB / "runs" / run_id
        place.mkdir(parents=True, exist_ok=True)
        (place / "run.json").write_text(json.dumps({"index": index}))
        lines: list[str] = []
        for seq, (at, kind) in enumerate(events, 1):
            told: dict[str, Any] = {"type": kind, "seq": seq, "timestamp": at}
            if kind == "+":
                told |= {"type": "startRun", "toolResults": [{}]}
            lines.append(json.dumps(told | {"jobId": JOB, "runId": run_id}))
        (place / "events.jsonl").write_text("".join(f"{line}\n" for line in lines))


def told(entries: list[Entry]) -> str:
    return " ".join(f"{entry.head.run_id}{entry.head.seq}" for entry in entries)


def both_ways(root: Path) -> str:
    """The order of a whole job, which is the same from either end."""
    log = JobLog(root, JOB, pytest.fail)
    backwards = told([*log.older(log.runs)][::-1])
    forwards = told([*log.newer(log.runs)])
    assert forwards == backwards
    return forwards


def test_time_decides_between_runs(tmp_path: Path) -> None:
    write(tmp_path, a=[(1, "x"), (5, "x")], b=[(2, "x"), (3, "x"), (9, "x")], c=[(4, "x")])
    assert both_ways(tmp_path) == "a1 b1 b2 c1 a2 b3"


def test_within_one_moment_a_delegate_runs_between_the_question_and_its_use(tmp_path: Path) -> None:
    write(
        tmp_path,
        a=[(1, "startRun"), (1, "stopRunByDelegate"), (1, "+"), (1, "completeRun")],
        b=[(1, "startRun"), (1, "stopRunByDelegate"), (1, "+"), (1, "completeRun")],
        c=[(1, "startRun"), (1, "completeRun")],
    )
    assert both_ways(tmp_path) == "a1 a2 b1 b2 c1 c2 b3 b4 a3 a4"


def test_a_runs_events_keep_their_order_whatever_the_clock_says(tmp_path: Path) -> None:
    write(tmp_path, a=[(9, "x"), (1, "x"), (5, "x")], b=[(3, "x"), (2, "x")])
    log = JobLog(tmp_path, JOB, pytest.fail)
    for entries in ([*log.newer(log.runs)], [*log.older(log.runs)][::-1]):
        for run_id in ("a", "b"):
            seqs = [entry.head.seq for entry in entries if entry.head.run_id == run_id]
            assert seqs == sorted(seqs)
        assert len(entries) == 5


def test_runs_that_are_not_asked_for_are_not_read(tmp_path: Path) -> None:
    write(tmp_path, a=[(1, "x")], b=[(2, "x")], c=[(3, "x")])
    log = JobLog(tmp_path, JOB, pytest.fail)
    log.runs["b"].newer = pytest.fail  # type: ignore[method-assign]
    assert told([*log.newer(["c", "a"])]) == "a1 c1"


def test_a_run_that_begins_later_is_found(tmp_path: Path) -> None:
    write(tmp_path, a=[(1, "x")])
    log = JobLog(tmp_path, JOB, pytest.fail)
    assert told([*log.newer(log.runs)]) == "a1"
    write(tmp_path, a=[(1, "x"), (2, "x")], b=[(1, "x")])
    log.grow()
    assert told([*log.newer(log.runs)]) == "b1 a2"
