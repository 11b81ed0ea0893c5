"""How much a Claude model may write and think."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from perstack.providers.models import model_info
from perstack.schema.settings import ReasoningBudget

DEFAULT_MAX_TOKENS = 8_192
"""For a model that is no Claude."""

LEAST_THINKING = 1_024
"""The vendor's minimum."""

ROOM_TO_ANSWER = 8_192
"""Tokens left for the answer where thinking alone would take them all."""

LEVELS = {"minimal": 1_024, "low": 2_048, "medium": 5_000, "high": 10_000}

_VERSION = re.compile(r"claude-[a-z]+-(\d{1,2})(?:-(\d{1,2})(?!\d))?")


class TokenLimits(NamedTuple):
    """`thinking` is tokens, 0 for none. `effort` takes its place in newer models.

    `off` is the vendor's word that keeps a model from thinking which would otherwise.
    """

    max_tokens: int
    thinking: int
    effort: Literal["", "low", "medium", "high"] = ""
    off: Literal["", "disabled", "between_tools"] = ""


class Bounds(NamedTuple):
    """What a model can do. One that `takes_effort` takes no number of tokens to think."""

    max_tokens: int
    is_reasoning: bool = True
    takes_effort: bool = False


# By the start of a name. The vendor has retired these; others may still serve them.
_RETIRED = (
    ("claude-3-7", Bounds(32_000)),
    ("claude-3-5", Bounds(8_192, is_reasoning=False)),
    ("claude-3-", Bounds(4_096, is_reasoning=False)),
    ("claude-2", Bounds(4_096, is_reasoning=False)),
)


# By the start of a name, the first that fits: how a model that thinks unasked is kept from it.
_OFF: tuple[tuple[str, Literal["", "disabled", "between_tools"]], ...] = (
    ("claude-sonnet-5-5", "between_tools"),
    ("claude-opus-5-5", ""),
    ("claude-sonnet-5", "disabled"),
    ("claude-opus-5", "disabled"),
    ("claude-haiku-5", "disabled"),
    ("claude-opus-4", ""),
    ("claude-sonnet-4", ""),
    ("claude-haiku-4", ""),
)


def token_limits(model: str, budget: ReasoningBudget) -> TokenLimits:
    """What to ask `model` for. `max_tokens` is always more than `thinking`.

    From Opus 4.7 on the vendor takes no budgets: there a budget becomes the nearest effort.
    Some of these models think unless told not to, and some cannot be told: then little.
    """
    bounds = bounds_of(model)
    limit = bounds.max_tokens
    thinking = _thinking(budget)
    if not thinking or not bounds.is_reasoning:
        return _unthinking(model, bounds)
    if bounds.takes_effort:
        effort = "low" if thinking <= 2_048 else "medium" if thinking <= 5_000 else "high"
        return TokenLimits(limit, 0, effort)
    return TokenLimits(limit if limit > thinking else thinking + ROOM_TO_ANSWER, thinking)


def _unthinking(model: str, bounds: Bounds) -> TokenLimits:
    if not bounds.takes_effort:
        return TokenLimits(bounds.max_tokens, 0)
    for start, off in _OFF:
        if model.startswith(start):
            is_off_anyway = start.endswith("-4")
            effort = "" if off or is_off_anyway else "low"
            return TokenLimits(bounds.max_tokens, 0, effort, off)
    return TokenLimits(bounds.max_tokens, 0, "low")


def bounds_of(model: str) -> Bounds:
    """What is known of `model`, or what its name says of one that is not known.

    The vendor refuses a request for more than the model can write, so an unknown one is
    asked for what all of its version and later ones can.
    """
    if info := model_info("anthropic", model):
        return Bounds(info.max_output_tokens, info.is_reasoning, bool(info.efforts))
    for start, bounds in _RETIRED:
        if model.startswith(start):
            return bounds
    found = _VERSION.match(model)
    if found is None:
        return Bounds(64_000 if model.startswith("claude-") else DEFAULT_MAX_TOKENS)
    version = (int(found[1]), int(found[2] or 0))
    return Bounds(64_000 if version >= (4, 5) else 32_000, takes_effort=version >= (4, 7))


def _thinking(budget: ReasoningBudget) -> int:
    if isinstance(budget, str):
        return LEVELS.get(budget, 0)
    return max(LEAST_THINKING, budget) if budget > 0 else 0
