"""What is told of a job that goes on."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from perstack.cli.job_history import facts_of
from perstack.schema.event import Fact, GenerationStarted
from perstack.storage.memory import MemoryStore

pytestmark = pytest.mark.anyio


class Kept(MemoryStore):
    """A store that holds one run and another, whose clock was put back."""

    async def runs(self, job_id: str) -> list[str]:
        return ["a", "b"]

    async def events(self, job_id: str, run_id: str) -> AsyncGenerator[Fact]:
        for seq, at in enumerate([50, 10, 60] if run_id == "a" else [55], 1):
            yield GenerationStarted(run_id=run_id, seq=seq, timestamp=at)


async def test_the_facts_of_a_run_keep_their_order_whatever_the_clock_said() -> None:
    facts = await facts_of(Kept(), "job")

    assert [fact.seq for fact in facts if fact.run_id == "a"] == [1, 2, 3]
    assert len(facts) == 4
