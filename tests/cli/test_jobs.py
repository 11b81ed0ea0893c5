"""`perstack jobs`: the list of jobs, and an end to old ones."""

from __future__ import annotations

import json
import re
from pathlib import Path

import anyio
import pytest

from cli.process import Ended, perstack
from perstack.schema.checkpoint import Job
from perstack.schema.event import GenerationStarted, RunCompleted, RunStarted
from perstack.schema.expert import Definition, Expert
from perstack.schema.line import json_line
from perstack.schema.message import user_message
from perstack.schema.settings import Settings
from perstack.schema.usage import Usage
from perstack.storage.files import FilesStore

DAY = 86_400_000


@pytest.fixture
def now() -> int:
    from perstack.runtime.environment import now_ms

    return now_ms()


def write(folder: Path, job: Job, *, cut: bool = False) -> None:
    """A job of one run, which began and, unless it was `cut`, is at rest."""
    header = {"job_id": job.id, "run_id": "r1", "expert_key": "lead", "timestamp": job.started_at}
    expert = Expert(key="lead", name="lead", instruction="Lead.")
    facts = [
        RunStarted(
            id="e1",
            seq=1,
            input_messages=(user_message("m", "Go."),),
            definition=Definition(expert=expert),
            **header,
        ),
        GenerationStarted(id="e2", seq=2, step_number=1, **header),
        RunCompleted(id="e3", seq=3, usage=Usage(input_tokens=7, output_tokens=3), **header),
    ]

    async def keep() -> None:
        store = FilesStore(folder / "perstack", durable=False)
        lease = await store.claim(job.id)
        await store.open_run(job.id, "r1", Settings())
        for fact in facts[: 2 if cut else 3]:
            await store.append(fact, json_line(fact))
        await store.put_job(job)
        await lease.release()

    anyio.run(keep)


def record(job_id: str, at: int, **more) -> Job:
    fields = {
        "status": "completed",
        "total_steps": 12,
        "usage": Usage(input_tokens=12_345, output_tokens=678),
        "finished_at": at + 65_000,
    }
    return Job(id=job_id, coordinator_expert_key="lead", started_at=at, **(fields | more))


def running(job_id: str, at: int) -> Job:
    return Job(id=job_id, coordinator_expert_key="lead", started_at=at)


def rows(ended: Ended) -> list[list[str]]:
    assert ended.code == 0, ended.stderr
    return [re.split(" {2,}", line.strip()) for line in ended.stdout.splitlines()]


def test_jobs_are_listed_newest_first(tmp_path: Path, now: int) -> None:
    write(tmp_path, record("old", now - DAY))
    write(tmp_path, record("new", now, status="stoppedByError"))
    head, *listed = rows(perstack("jobs", cwd=tmp_path))
    assert head == ["JOB", "STATUS", "EXPERT", "STEPS", "TOKENS IN", "OUT", "STARTED", "TOOK"]
    assert [row[:6] for row in listed] == [
        ["new", "stoppedByError", "lead", "12", "12,345", "678"],
        ["old", "completed", "lead", "12", "12,345", "678"],
    ]
    assert listed[0][-1] == "1 min 5 s"
    told = perstack("jobs", "--take", "1", cwd=tmp_path)
    assert [row[0] for row in rows(told)] == ["JOB", "new"]
    assert told.stderr == "1 older job is left out; --take 0 lists all.\n"


def test_as_json_a_job_is_its_record_and_whether_it_runs(tmp_path: Path, now: int) -> None:
    write(tmp_path, record("j1", now))
    [told] = perstack("jobs", "--json", cwd=tmp_path).events
    assert told == {
        "id": "j1",
        "status": "completed",
        "coordinatorExpertKey": "lead",
        "totalSteps": 12,
        "maxSteps": None,
        "usage": {
            "inputTokens": 12_345,
            "outputTokens": 678,
            "reasoningTokens": 0,
            "totalTokens": 0,
            "cachedInputTokens": 0,
            "cacheWriteInputTokens": 0,
        },
        "startedAt": now,
        "finishedAt": now + 65_000,
        "isRunning": False,
    }


def test_a_job_that_was_cut_short_is_interrupted_and_its_steps_are_counted(
    tmp_path: Path, now: int
) -> None:
    write(tmp_path, running("j1", now), cut=True)
    [_, row] = rows(perstack("jobs", cwd=tmp_path))
    assert row[:4] == ["j1", "interrupted", "lead", "1"]


@pytest.mark.anyio
async def test_a_job_that_somebody_works_on_is_running_and_never_removed(
    tmp_path: Path, now: int
) -> None:
    await anyio.to_thread.run_sync(write, tmp_path, running("j1", now - 9 * DAY))
    lease = await FilesStore(tmp_path / "perstack").claim("j1")
    [_, row] = rows(perstack("jobs", cwd=tmp_path))
    assert row[1] == "running"
    [told] = perstack("jobs", "--json", cwd=tmp_path).events
    assert told["isRunning"]
    for words in ((), ("--dry-run",)):
        pruned = perstack("jobs", "prune", "--older-than", "1h", *words, cwd=tmp_path)
        assert pruned.code == 0
        assert pruned.stdout.startswith("kept j1 of lead: a process works on job j1\n")
    await lease.release()
    [_, row] = rows(perstack("jobs", cwd=tmp_path))
    assert row[:6] == ["j1", "interrupted", "lead", "1", "7", "3"]


def test_old_jobs_are_removed_as_a_whole(tmp_path: Path, now: int) -> None:
    write(tmp_path, record("new", now - 29 * DAY))
    write(tmp_path, record("old", now - 31 * DAY))
    write(tmp_path, record("late", now - 40 * DAY, finished_at=now - DAY))
    prune = ("jobs", "prune", "--older-than", "30d")
    told = perstack(*prune, "--dry-run", cwd=tmp_path)
    assert told.stdout.startswith("would remove old of lead, completed, begun 20")
    assert told.stdout.endswith("would remove 1 job, 0.0 MB\n")
    assert len(rows(perstack("jobs", cwd=tmp_path))) == 4
    told = perstack(*prune, cwd=tmp_path)
    assert told.code == 0
    assert told.stdout.endswith("removed 1 job, 0.0 MB\n")
    assert [row[0] for row in rows(perstack("jobs", cwd=tmp_path))[1:]] == ["new", "late"]
    assert sorted(path.name for path in (tmp_path / "perstack/jobs").iterdir()) == ["late", "new"]


@pytest.mark.parametrize("age", ["", "30", "d", "-1d", "1.5d", "30 d", "1y", "\u0663d"])
def test_an_age_without_a_unit_is_refused(tmp_path: Path, age: str) -> None:
    told = perstack("jobs", "prune", "--older-than", age, cwd=tmp_path)
    assert told.code == 2
    assert "30d" in told.stderr


def test_pruning_needs_an_age(tmp_path: Path) -> None:
    assert perstack("jobs", "prune", cwd=tmp_path).code == 2


def test_a_folder_without_jobs_has_none(tmp_path: Path) -> None:
    told = perstack("jobs", cwd=tmp_path)
    assert (told.code, told.stdout) == (0, "")
    assert "There is no job in" in told.stderr
    assert perstack("jobs", "--json", cwd=tmp_path).stdout == ""
    pruned = perstack("jobs", "prune", "--older-than", "1d", cwd=tmp_path)
    assert pruned.stdout == "removed 0 jobs, 0.0 MB\n"
    assert not (tmp_path / "perstack").exists()


@pytest.mark.hostile
def test_row_79_a_job_of_an_odd_name_is_shown_escaped(tmp_path: Path, now: int) -> None:
    write(tmp_path, record("j1", now))
    path = tmp_path / "perstack/jobs/j1/job.json"
    told = json.loads(path.read_text()) | {"coordinatorExpertKey": "x\x1b[2J\u202e"}
    path.write_text(json.dumps(told))
    listed = perstack("jobs", cwd=tmp_path).stdout
    assert "\x1b" not in listed
    assert "\u202e" not in listed
