"""How hard an OpenAI model is asked to think. The rule is one for all of its wires."""

from __future__ import annotations

from perstack.schema.settings import ReasoningBudget

EFFORTS = {
    "none": 0,
    "minimal": 1_024,
    "low": 2_048,
    "medium": 5_000,
    "high": 10_000,
    "xhigh": 20_000,
    "max": 40_000,
}
"""The vendor's words, each with the budget in tokens that it stands for."""


def effort_of(budget: ReasoningBudget, efforts: tuple[str, ...]) -> str | None:
    """The one of `efforts` nearest to `budget`; None where a model takes no such word.

    A budget of some tokens never becomes "none". One of none becomes the least that
    the model takes: left alone, the vendor would choose more.
    """
    known = [effort for effort in efforts if effort in EFFORTS]
    tokens = EFFORTS[budget] if isinstance(budget, str) else max(0, budget)
    if tokens:
        known = [effort for effort in known if EFFORTS[effort]] or known
    return min(known, key=lambda effort: abs(EFFORTS[effort] - tokens), default=None)
