"""How much a Claude model may write and think."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from perstack.schema.settings import ReasoningBudget

DEFAULT_MAX_TOKENS = 8_192
"""For a model this table does not know."""

LEAST_THINKING = 1_024
"""The vendor's minimum."""

ROOM_TO_ANSWER = 8_192
"""Tokens left for the answer where thinking alone would take them all."""

LEVELS = {"minimal": 1_024, "low": 2_048, "medium": 5_000, "high": 10_000}

# By the start of a model's name, the first that fits. The vendor refuses a limit above
# the model's own; below it, a limit that is large costs context in models before 4.5.
_MAX_TOKENS = (
    ("claude-3-7", 32_000),
    ("claude-3-5", 8_192),
    ("claude-3-", 4_096),
    ("claude-2", 4_096),
    ("claude-opus-4-1", 32_000),
    ("claude-opus-4-0", 32_000),
    ("claude-opus-4-2025", 32_000),
    ("claude-sonnet-4-0", 32_000),
    ("claude-sonnet-4-2025", 32_000),
    ("claude-", 64_000),
)
_WITHOUT_THINKING = ("claude-2", "claude-3-opus", "claude-3-sonnet", "claude-3-haiku", "claude-3-5")
_VERSION = re.compile(r"claude-[a-z]+-(\d{1,2})(?:-(\d{1,2})(?!\d))?")


class TokenLimits(NamedTuple):
    """`thinking` is tokens, 0 for none. `effort` takes its place in newer models."""

    max_tokens: int
    thinking: int
    effort: Literal["", "low", "medium", "high"] = ""


def token_limits(model: str, budget: ReasoningBudget) -> TokenLimits:
    """What to ask `model` for. `max_tokens` is always more than `thinking`.

    From Opus 4.7 on the vendor takes no budgets: there a budget becomes the nearest effort.
    """
    limit = next((n for start, n in _MAX_TOKENS if model.startswith(start)), DEFAULT_MAX_TOKENS)
    thinking = _thinking(budget)
    if not thinking or model.startswith(_WITHOUT_THINKING):
        return TokenLimits(limit, 0)
    if _takes_effort(model):
        effort = "low" if thinking <= 2_048 else "medium" if thinking <= 5_000 else "high"
        return TokenLimits(limit, 0, effort)
    return TokenLimits(limit if limit > thinking else thinking + ROOM_TO_ANSWER, thinking)


def _thinking(budget: ReasoningBudget) -> int:
    if isinstance(budget, str):
        return LEVELS.get(budget, 0)
    return max(LEAST_THINKING, budget) if budget > 0 else 0


def _takes_effort(model: str) -> bool:
    found = _VERSION.match(model)
    return found is not None and (int(found[1]), int(found[2] or 0)) >= (4, 7)
