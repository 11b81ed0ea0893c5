"""Small true events, and what tests of stores do with them all the time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perstack.schema.checkpoint import Job
from perstack.schema.event import SkillStderr
from perstack.schema.line import json_line

if TYPE_CHECKING:
    from pathlib import Path

    from perstack.schema.event import Fact
    from perstack.storage import Store


def fact(
    seq: int, run_id: str = "r1", *, job_id: str = "j1", text: str = "", timestamp: int = 0
) -> SkillStderr:
    return SkillStderr(
        id=f"{run_id}-{seq}",
        seq=seq,
        timestamp=timestamp or 1_700_000_000_000 + seq,
        job_id=job_id,
        run_id=run_id,
        skill_name="some-skill",
        message=text,
    )


def line(event: Fact) -> bytes:
    return json_line(event)


async def keep(store: Store, *events: Fact) -> None:
    for event in events:
        await store.append(event, line(event))


async def kept(store: Store, run_id: str = "r1", *, job_id: str = "j1") -> list[Fact]:
    return [event async for event in store.events(job_id, run_id)]


def job(job_id: str = "j1", *, started_at: int = 1) -> Job:
    return Job(id=job_id, coordinator_expert_key="someone", started_at=started_at)


def log_path(root: Path, run_id: str = "r1", *, job_id: str = "j1") -> Path:
    return root / "jobs" / job_id / "runs" / run_id / "events.jsonl"
