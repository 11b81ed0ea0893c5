"""How long a run waits before it asks a model again."""

from __future__ import annotations

import pytest

from perstack.providers import Failure
from perstack.runtime.environment import Environment
from perstack.runtime.generate import backoff_ms
from perstack.testing import fail, say
from runtime.stage import listed

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("retry", "jitter", "wait"),
    [
        (0, 1.0, 500),
        (0, 0.0, 250),
        (1, 1.0, 1000),
        (3, 1.0, 4000),
        (3, 0.5, 3000),
        (9, 1.0, 30_000),
        (10_000, 1.0, 30_000),
        (10_000, 0.0, 15_000),
    ],
)
def test_waits_double_up_to_a_cap_and_half_of_each_is_chance(retry, jitter, wait):
    assert backoff_ms(retry, jitter) == wait


def busy(retry_after: int | None = None) -> Failure:
    return fail("overloaded_error", 529, retryable=True, retry_after=retry_after)


@pytest.mark.parametrize(
    ("failures", "waits"),
    [
        ([busy(), busy(), busy()], [0.5, 1.0, 2.0]),
        ([busy(7000), busy(1)], [7.0, 1.0]),
        ([busy(10**12)], [600.0]),
    ],
    ids=["doubling", "as the vendor asks", "but not for ever"],
)
async def test_a_vendors_wish_is_honoured_where_it_is_longer_and_bounded(failures, waits):
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    def change(env: Environment) -> None:
        env.sleep = sleep
        env.jitter = lambda: 1.0

    stage = listed(*failures, say("Result."))
    async with stage.opened(change) as job:
        await job.ask(stage.lead, "Begin.")
        assert (await job.carry_on()).status == "completed"
    assert slept == waits
