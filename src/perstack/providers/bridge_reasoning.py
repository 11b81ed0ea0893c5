"""How much to reason, in the library's words."""

from __future__ import annotations

from typing import Literal, TypeAlias

from perstack.schema.settings import ReasoningBudget

LEVELS = {"none": 0, "minimal": 1_024, "low": 2_048, "medium": 5_000, "high": 10_000}
"""Tokens that each level stands for."""

Effort: TypeAlias = Literal["minimal", "low", "medium", "high"]


def tokens_of(budget: ReasoningBudget) -> int:
    """The budget in tokens; 0 for none."""
    return LEVELS[budget] if isinstance(budget, str) else max(0, budget)


def thinking_of(budget: ReasoningBudget) -> Effort | Literal[False]:
    """The nearest of the library's efforts; False asks for as little as the model can."""
    tokens = tokens_of(budget)
    if not tokens:
        return False
    efforts: tuple[Effort, ...] = ("minimal", "low", "medium", "high")
    return min(efforts, key=lambda effort: abs(LEVELS[effort] - tokens))
