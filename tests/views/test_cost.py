"""What replies cost, summed up by run and for a whole job."""

from __future__ import annotations

import pytest

from perstack.schema.checkpoint import RunError
from perstack.schema.event import Retried, RunCompleted, RuntimeInitialized, ToolsCalled
from perstack.schema.message import ExpertMessage
from perstack.schema.usage import Usage
from perstack.views.cost import NO_COST, Asked, Bill, Bills, Cost, Models, cost_text, dollars

USAGE = Usage(input_tokens=10, output_tokens=5)


def price(asked: Asked, usage: Usage, at: int) -> float | None:
    """A tenth of a cent for each token, later twice; of one vendor alone."""
    if asked.provider != "vendor":
        return None
    return (usage.input_tokens + usage.output_tokens) * (0.002 if at > 100 else 0.001)


def made(run_id: str, provider: str | None, at: int = 0) -> RuntimeInitialized:
    return RuntimeInitialized(
        run_id=run_id,
        timestamp=at,
        runtime_version="1",
        runtime="local",
        expert_name="e",
        experts=(),
        model="m",
        max_steps=None,
        max_retries=1,
        timeout=1,
        provider=provider,
    )


def replied(run_id: str, usage: Usage = USAGE, at: int = 1) -> ToolsCalled:
    message = ExpertMessage(id="m", contents=())
    return ToolsCalled(run_id=run_id, timestamp=at, new_message=message, routes=(), usage=usage)


def test_each_reply_is_priced_by_the_model_that_gave_it_and_when():
    bills = Bills(price)
    bills.feed(made("a", "vendor", at=1))
    assert bills.feed(replied("a", at=2)) == Cost(usd=0.015)
    assert bills.feed(replied("a", at=200)) == Cost(usd=0.03)
    bills.feed(made("a", "other", at=201))
    assert bills.feed(replied("a", at=202)) == Cost(unknown_replies=1)
    assert bills.of("a") == Cost(usd=0.045, unknown_replies=1)
    assert bills.of("c") == NO_COST


def test_a_delegate_asks_the_model_that_its_coordinator_named_by_then():
    bills = Bills(price)
    for at, provider in ((1, "vendor"), (10, "other"), (20, "vendor")):
        bills.feed(made("a", provider, at=at))
    assert [bills.feed(replied("b", at=at)) for at in (5, 15, 25)] == [
        Cost(usd=0.015),
        Cost(unknown_replies=1),
        Cost(usd=0.015),
    ]
    assert bills.total == bills.of("b") == Cost(usd=0.03, unknown_replies=1)


def test_results_and_replies_that_cannot_be_used_are_paid_for_as_well():
    bills = Bills(price)
    bills.feed(made("a", "vendor"))
    bills.feed(RunCompleted(run_id="a", timestamp=1, usage=USAGE))
    cause = RunError(name="Overloaded", message="busy", is_retryable=True)
    bills.feed(Retried(run_id="a", timestamp=1, reason="busy", cause=cause, usage=USAGE))
    assert bills.total == Cost(usd=0.03)


def test_a_run_of_which_nobody_said_who_was_asked_is_unknown():
    bills = Bills(price)
    bills.feed(replied("a"))
    assert bills.total == Cost(unknown_replies=1)


def test_a_reply_without_tokens_costs_nothing_whoever_gave_it():
    bill = Bill(price, Models())
    assert bill.reply(Usage(), 1) == NO_COST
    assert bill.total == NO_COST


def test_a_sum_does_not_show_how_fractions_are_kept():
    assert sum([Cost(usd=0.1)] * 3, NO_COST).usd == 0.3


@pytest.mark.parametrize(
    ("cost", "text"),
    [
        (NO_COST, ""),
        (Cost(usd=0.0), "$0.0000"),
        (Cost(usd=0.00001), "under $0.0001"),
        (Cost(usd=0.01234), "$0.0123"),
        (Cost(usd=1234.567), "$1,234.57"),
        (Cost(unknown_replies=2), "unknown cost"),
        (Cost(usd=0.5, unknown_replies=1), "$0.5000 and 1 reply of unknown cost"),
        (Cost(usd=0.5, unknown_replies=3), "$0.5000 and 3 replies of unknown cost"),
    ],
)
def test_the_words_never_take_unknown_for_zero(cost: Cost, text: str):
    assert cost_text(cost) == text


def test_amounts_have_four_digits_below_a_dollar():
    assert [dollars(usd) for usd in (0.99999, 1.0, 0.0001)] == ["$1.0000", "$1.00", "$0.0001"]
