"""What replies cost: each by the model that gave it, summed up."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from perstack.schema.base import Data
from perstack.schema.event import Fact, Retried, RunCompleted, RuntimeInitialized, ToolsCalled
from perstack.schema.usage import NO_USAGE, Usage
from perstack.views.plain import counted

_DIGITS = 10
"""Of a dollar, behind the point: far below the price of a token."""


class Asked(NamedTuple):
    """Which model was asked. `address` is where, if not at its vendor's own address."""

    provider: str | None
    address: str | None
    model: str


Price: TypeAlias = Callable[[Asked, Usage, int], float | None]
"""The US dollars of one reply, at a time in ms since 1970; None where they are not known."""


class Cost(Data, omit_defaults=False, kw_only=True):
    """What replies cost: `usd` US dollars, and `unknown_replies` whose price is not known.

    `usd` is None where no price at all is known, and where no reply counted tokens.
    """

    usd: float | None = None
    unknown_replies: int = 0

    def __add__(self, other: Cost) -> Cost:
        known = [usd for usd in (self.usd, other.usd) if usd is not None]
        return Cost(
            usd=round(sum(known), _DIGITS) if known else None,
            unknown_replies=self.unknown_replies + other.unknown_replies,
        )


NO_COST = Cost()
NOBODYS = Asked(None, None, "")


def usage_of(fact: Fact) -> Usage:
    """The tokens of the reply that a fact is, or that failed; none of any other fact."""
    match fact:
        case ToolsCalled() | RunCompleted() | Retried():
            return fact.usage
        case _:
            return NO_USAGE


class Models:
    """Which model a job asked when: its coordinator notes it, for its delegates as well."""

    def __init__(self) -> None:
        self._asked: list[tuple[int, Asked]] = []

    def note(self, at: int, asked: Asked) -> None:
        """This one is asked from here on. `at` is in ms; the order of noting does not matter."""
        insort(self._asked, (at, asked), key=_moment)

    def at(self, at: int) -> Asked:
        """Which one was asked then; nobody's where none was noted before."""
        place = bisect_right(self._asked, at, key=_moment)
        return self._asked[place - 1][1] if place else NOBODYS


class Bill:
    """Sums up what one run's replies cost. `total` is the sum so far."""

    def __init__(self, price: Price, models: Models) -> None:
        self._price = price
        self._models = models
        self.total = NO_COST

    def reply(self, usage: Usage, at: int) -> Cost:
        """What a reply cost. One that counted no tokens cost nothing, whoever gave it."""
        if usage == NO_USAGE:
            return NO_COST
        usd = self._price(self._models.at(at), usage, at)
        cost = Cost(usd=usd) if usd is not None else Cost(unknown_replies=1)
        self.total += cost
        return cost


class Bills:
    """The bills of a job's runs, by their facts: those of a coordinator before its delegates'."""

    def __init__(self, price: Price, models: Models | None = None) -> None:
        self._price = price
        self._models = models or Models()
        self._runs: dict[str, Bill] = {}

    def feed(self, fact: Fact) -> Cost:
        """Take one more fact into account. What it cost."""
        if isinstance(fact, RuntimeInitialized):
            asked = Asked(fact.provider, fact.provider_address, fact.model)
            self._models.note(fact.timestamp, asked)
        usage = usage_of(fact)
        if usage == NO_USAGE:
            return NO_COST
        bill = self._runs.get(fact.run_id)
        if bill is None:
            bill = self._runs[fact.run_id] = Bill(self._price, self._models)
        return bill.reply(usage, fact.timestamp)

    def of(self, run_id: str) -> Cost:
        """What a run's own replies cost so far."""
        bill = self._runs.get(run_id)
        return bill.total if bill is not None else NO_COST

    @property
    def total(self) -> Cost:
        """What all of them cost so far."""
        return sum((bill.total for bill in self._runs.values()), NO_COST)


def _moment(noted: tuple[int, Asked]) -> int:
    return noted[0]


def cost_text(cost: Cost) -> str:
    """What it cost, for a person; empty where nothing was asked that costs."""
    if cost.usd is None:
        return "unknown cost" if cost.unknown_replies else ""
    told = dollars(cost.usd)
    if not cost.unknown_replies:
        return told
    replies = counted(cost.unknown_replies, "reply", "replies")
    return f"{told} and {replies} of unknown cost"


def dollars(usd: float) -> str:
    """An amount: to the cent, or to two digits where it is less than one dollar."""
    if usd >= 1:
        return f"${usd:,.2f}"
    return f"${usd:.4f}" if usd >= 0.0001 or not usd else "under $0.0001"
