"""Jobs that were really played, as files."""

from __future__ import annotations

import json
from pathlib import Path

from perstack.storage.job_log import JobLog
from views.played import Played
from worlds import JOB


def written(played: Played, root: Path) -> JobLog:
    """The job in the folder `root`, to be read; damage fails the test."""
    for index, (run_id, _) in enumerate(played.facts_by_run.items(), 1):
        place = root / "jobs" / JOB / "runs" / run_id
        place.mkdir(parents=True)
        (place / "run.json").write_text(json.dumps({"index": index}))
        lines = played.store.lines[JOB, run_id]
        (place / "events.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    return JobLog(root, JOB, fail)


def fail(message: str) -> None:
    raise AssertionError(message)
