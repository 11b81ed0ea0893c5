"""A model server in every kind of trouble: what fits the retry budget completes, and nothing else.

Each seed is a plan of what the server answers, and an oracle of what must come of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random  # noqa: TID251 - seeded: the same plans every time
from typing import TYPE_CHECKING

import anyio
import pytest

from perstack.errors import UnknownExpert
from perstack.providers.table import open_provider
from perstack.runtime.environment import Environment
from perstack.runtime.generate import LONGEST_ASKED_WAIT_MS, LONGEST_WAIT_MS
from perstack.runtime.job import open_job
from perstack.schema.event import Retried, RunCompleted, RunStoppedByError, ToolsCalled
from perstack.schema.settings import ProviderSettings, Settings
from perstack.skills.toolbox import Toolbox
from perstack.storage.files import FilesStore
from perstack.testing import serve_model
from perstack.testing.fake_tools import FakeTools
from perstack.testing.scenario import CallSpec, ReplySpec
from worlds import Log, expert

if TYPE_CHECKING:
    from pathlib import Path

    from perstack.schema.expert import Definition

pytestmark = pytest.mark.anyio

SEEDS = 200
AT_ONCE = 12
PATIENCE_MS = 1_500
"""How long a generation may take where a server goes silent."""


@dataclass(frozen=True)
class Failing:
    """One bad answer: the name and status it must be recorded under, and the wait it asks for."""

    reply: ReplySpec
    name: str
    status: int | None = None
    message: str | None = None
    retry_after: int | None = None
    feedback: bool = False


@dataclass
class Plan:
    """What the server answers, and what must come of it."""

    max_retries: int
    replies: list[ReplySpec] = field(default_factory=list)
    retries: list[Failing] = field(default_factory=list)
    steps: int = 0
    is_slow: bool = False
    end: Failing | None = None
    """The failure that stops the run; without one, it completes."""


def refused(status: int, name: str) -> Callable[[Random], Failing]:
    def make(chance: Random) -> Failing:
        message = f"no {chance.randrange(1000)}"
        headers, wait = asked_wait(chance)
        reply = ReplySpec(status=status, headers=headers, error=(name, message))
        return Failing(reply, name, status, message, wait)

    return make


def asked_wait(chance: Random) -> tuple[dict[str, str], int | None]:
    """Headers that ask for a wait in one of the ways there are, and the ms they ask for."""
    match chance.randrange(6):
        case 0:
            seconds = chance.choice([0, 1, 7, 45, 600])
            return {"retry-after": str(seconds)}, seconds * 1000
        case 1:
            ms = chance.choice([3, 250, 31_000])
            return {"retry-after-ms": str(ms), "retry-after": "9"}, ms
        case 2:
            sent = "Wed, 21 Oct 2026 07:28:00 GMT"
            later = "Wed, 21 Oct 2026 07:28:40 GMT"
            return {"date": sent, "retry-after": later}, 40_000
        case 3:
            return {"retry-after": "86400"}, LONGEST_ASKED_WAIT_MS
        case 4:
            return {"retry-after": "soon"}, None
        case _:
            return {}, None


def page(_: Random) -> Failing:
    body = "<h1>Bad gateway</h1>"
    return Failing(ReplySpec(status=502, body=body), "HttpError", 502, body)


def hung_up(trouble: str) -> Callable[[Random], Failing]:
    def make(chance: Random) -> Failing:
        write = chance.choice(["whole", "events", "bytes"])
        reply = ReplySpec(text="half of it " * 9, text_pieces=4, trouble=trouble, write=write)  # type: ignore[arg-type]
        return Failing(reply, "Disconnected")

    return make


def in_stream(name: str) -> Callable[[Random], Failing]:
    def make(chance: Random) -> Failing:
        message = f"in mid-stream {chance.randrange(1000)}"
        reply = ReplySpec(thinking="Hm.", text="half", trouble="error", error=(name, message))
        return Failing(reply, name, None, message)

    return make


def silent(chance: Random) -> Failing:
    trouble = chance.choice(["hang", "stall"])
    return Failing(ReplySpec(text="half of it", trouble=trouble), "TimedOut")  # type: ignore[arg-type]


def empty(chance: Random) -> Failing:
    reply = ReplySpec(text=chance.choice(["", " \n"]), thinking=chance.choice(["", "Well."]))
    return Failing(reply, "EmptyReply", feedback=True)


def truncated(chance: Random) -> Failing:
    calls = chance.choice([(), (CallSpec(name="look", raw='{"name": "x'),)])
    reply = ReplySpec(text="This is where", calls=calls, stop_reason="max_tokens")
    return Failing(reply, "TruncatedReply", feedback=True)


PASSING = [
    refused(408, "timeout_error"),
    refused(409, "conflict_error"),
    refused(429, "rate_limit_error"),
    refused(429, "rate_limit_error"),
    refused(500, "api_error"),
    refused(503, "api_error"),
    refused(529, "overloaded_error"),
    refused(529, "overloaded_error"),
    page,
    hung_up("disconnect"),
    hung_up("cut"),
    hung_up("noStop"),
    in_stream("overloaded_error"),
    in_stream("api_error"),
    empty,
    truncated,
]
FATAL = [
    refused(400, "invalid_request_error"),
    refused(401, "authentication_error"),
    refused(403, "permission_error"),
    refused(404, "not_found_error"),
    refused(413, "request_too_large"),
    in_stream("invalid_request_error"),
]


def plan_of(seed: int) -> Plan:
    chance = Random(seed)
    plan = Plan(max_retries=chance.choice([0, 1, 2, 3, 5]))
    turns = chance.randint(1, 4)
    for turn in range(turns):
        last = turn == turns - 1
        for failed in range(chance.choice([0, 0, 1, 1, 2, 3, 5])):
            makers = FATAL if chance.random() < 0.04 else PASSING
            failing = chance.choice(makers)(chance)
            if chance.random() < 0.08 and not plan.is_slow:
                plan.is_slow = True
                failing = silent(chance)
            plan.replies.append(failing.reply)
            if makers is FATAL or failed >= plan.max_retries:
                plan.end = failing
                return plan
            plan.retries.append(failing)
        late = chance.choice([0, 0, 0, 15])
        looks = (CallSpec(name="look", args={"name": f"{seed}-{turn}"}),)
        good = ReplySpec(text=f"Done, {seed}.") if last else ReplySpec(calls=looks)
        plan.replies.append(
            ReplySpec(text=good.text, calls=good.calls, latency_ms=late, pause_ms=late // 15)
        )
        plan.steps += 1
    return plan


async def resolve(key: str) -> Definition:
    raise UnknownExpert(f"There is no Expert {key!r}")


async def played(folder: Path, plan: Plan, chance: Random) -> tuple[Log, list[float], int]:
    """The events of the planned run, what it waited (seconds), and how often it asked."""
    waits: list[float] = []
    log = Log()

    async def no_sleep(seconds: float) -> None:
        waits.append(seconds)

    tools = FakeTools({"look": lambda args: f"saw {args['name']}"}, {"look": "none"})
    async with serve_model(plan.replies) as server:
        settings = ProviderSettings(base_url=server.url)
        provider = open_provider(settings, {"ANTHROPIC_API_KEY": "sk-of-no-use"})
        env = Environment(
            store=FilesStore(folder / "perstack", durable=False),
            provider=provider,
            settings=Settings(
                provider=settings,
                max_retries=plan.max_retries,
                timeout=PATIENCE_MS if plan.is_slow else 60_000,
            ),
            resolve=resolve,
            open_toolbox=lambda *_, **__: Toolbox([tools], []),
            listeners=[log],
            jitter=chance.random,
            sleep=no_sleep,
        )
        try:
            async with open_job("job-1", env) as job:
                await job.ask(expert("solo"), "Look around.")
                await job.carry_on()
        finally:
            await provider.aclose()
        return log, waits, len(server.requests)


def judge(plan: Plan, log: Log, waits: list[float], asked: int) -> None:
    """What the oracle says must be, is."""
    assert asked == len(plan.replies)
    retried = [fact for fact in log.facts if isinstance(fact, Retried)]
    assert [fact.cause.name for fact in retried] == [failing.name for failing in plan.retries]
    for fact, failing in zip(retried, plan.retries, strict=True):
        assert fact.cause.status_code == failing.status
        assert fact.cause.is_retryable
        assert fact.cause.message == (failing.message or fact.cause.message)
        assert fact.cause.message in fact.reason or failing.feedback
        assert bool(fact.new_messages) == failing.feedback
        if failing.feedback:
            assert fact.wait_ms == 0
        elif (failing.retry_after or 0) > LONGEST_WAIT_MS:
            assert fact.wait_ms == failing.retry_after
        else:
            assert max(failing.retry_after or 0, 250) <= fact.wait_ms <= LONGEST_WAIT_MS
    assert [round(seconds * 1000) for seconds in waits] == [f.wait_ms for f in retried if f.wait_ms]
    assert sum(isinstance(fact, ToolsCalled) for fact in log.facts) == plan.steps - (not plan.end)
    last = log.facts[-1]
    if plan.end is None:
        assert isinstance(last, RunCompleted)
        assert log.published[-1].after.text == plan.replies[-1].text
        return
    assert isinstance(last, RunStoppedByError)
    assert (last.error.name, last.error.status_code) == (plan.end.name, plan.end.status)
    assert last.error.message == (plan.end.message or last.error.message)


@pytest.mark.slow
async def test_seeded_trouble_ends_as_its_retry_budget_says(tmp_path):
    failed: dict[int, BaseException] = {}
    slots = anyio.CapacityLimiter(AT_ONCE)

    async def one(seed: int) -> None:
        async with slots:
            plan = plan_of(seed)
            try:
                with anyio.fail_after(20):
                    judge(plan, *await played(tmp_path / str(seed), plan, Random(seed)))
            except Exception as error:  # noqa: BLE001 - every seed is to be tried
                failed[seed] = error

    async with anyio.create_task_group() as tasks:
        for seed in range(SEEDS):
            tasks.start_soon(one, seed)
    if failed:
        seeds = ", ".join(map(str, sorted(failed)))
        raise ExceptionGroup(f"seeds that failed: {seeds}", list(failed.values()))  # type: ignore[type-var]


def test_the_seeds_hold_every_kind_of_trouble_and_both_ends():
    plans = [plan_of(seed) for seed in range(SEEDS)]
    names = {failing.name for plan in plans for failing in plan.retries}
    statuses = {failing.status for plan in plans for failing in plan.retries}
    assert names >= {"Disconnected", "TimedOut", "EmptyReply", "TruncatedReply", "HttpError"}
    assert statuses >= {429, 500, 529, None}
    assert 50 < sum(plan.end is None for plan in plans) < 150
    budgets_spent = [plan for plan in plans if plan.end and plan.end.status not in (400, 401, 403)]
    assert len(budgets_spent) > 30
    assert any(len(plan.retries) > plan.max_retries > 0 for plan in plans if not plan.end)
    assert any(failing.retry_after for plan in plans for failing in plan.retries)
