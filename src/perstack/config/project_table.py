"""`perstack.toml` as a whole: its top-level keys, and the rule for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from perstack.config.addresses import base_url_problem
from perstack.config.checks import array, choice, integer, record, text
from perstack.config.expert_table import EXPERTS
from perstack.config.provider_table import PROVIDER
from perstack.config.rules import argument, one_line

if TYPE_CHECKING:
    from perstack.config.checks import Check
    from perstack.config.findings import Place

REASONING_LEVELS = ("none", "minimal", "low", "medium", "high")
MAX_REASONING_TOKENS = 1_000_000
MAX_STEPS = (1, 1_000_000)
MAX_RETRIES = (0, 1_000)
TIMEOUT_MS = (1, 86_400_000)

RUNTIMES = ("local", "docker", "cursor", "claude-code", "gemini")


def reasoning_budget(value: object, place: Place) -> object:
    """A level, or a number of tokens."""
    if isinstance(value, str):
        return choice(REASONING_LEVELS)(value, place)
    if isinstance(value, int) and not isinstance(value, bool):
        return integer(0, MAX_REASONING_TOKENS)(value, place)
    place.error(f"must be one of {', '.join(REASONING_LEVELS)} or a number of tokens")
    return value


def _command(value: object, place: Place) -> object:
    cleaned = array(text(4096, argument))(value, place)
    if isinstance(value, list) and not (value and str(cast("list[object]", value)[0]).strip()):
        place.error("must name a program")
    return cleaned


PROJECT_FIELDS: dict[str, Check] = {
    "model": text(256, one_line),
    "reasoningBudget": reasoning_budget,
    "runtime": choice(RUNTIMES),
    "maxSteps": integer(*MAX_STEPS),
    "maxRetries": integer(*MAX_RETRIES),
    "timeout": integer(*TIMEOUT_MS),
    "envPath": array(text(4096, one_line)),
    "perstackApiBaseUrl": text(rule=base_url_problem),
    "perstackBaseSkillCommand": _command,
    "provider": PROVIDER,
    "experts": EXPERTS,
}

PROJECT: Check = record(PROJECT_FIELDS)
"""The whole file."""
