"""Which model, and how long and how often it is asked."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

from perstack.config.findings import did_you_mean, quoted
from perstack.config.project_table import (
    MAX_REASONING_TOKENS,
    MAX_RETRIES,
    MAX_STEPS,
    REASONING_LEVELS,
    TIMEOUT_MS,
)
from perstack.config.rules import one_line
from perstack.errors import ConfigurationError, UsageError
from perstack.schema.settings import (
    DEFAULT_MAX_RETRIES,
    DEFAULT_MAX_STEPS,
    DEFAULT_MODEL,
    DEFAULT_PROVIDER,
    DEFAULT_REASONING_BUDGET,
    DEFAULT_TIMEOUT_MS,
    PROVIDER_NAMES,
    ProviderSettings,
    Settings,
)

if TYPE_CHECKING:
    from perstack.config.project import Project
    from perstack.config.request import Options
    from perstack.schema.settings import ReasoningBudget

_DIGITS = re.compile(r"[0-9]{1,18}")
_T = TypeVar("_T")


def resolve_settings(options: Options, file: Project) -> Settings:
    """The settings of a run: an option wins over the file, and the file over the default.

    Raises:
        UsageError: an option's value is wrong.
        ConfigurationError: the provider has no default model, and none is named.
    """
    provider = provider_settings(options.provider, file)
    return Settings(
        provider=provider,
        model=_model(options.model, file, provider.provider_name),
        reasoning_budget=_first(
            _reasoning_budget(options.reasoning_budget),
            file.reasoning_budget,
            DEFAULT_REASONING_BUDGET,
        ),
        max_steps=_first(
            _number("--max-steps", options.max_steps, MAX_STEPS), file.max_steps, DEFAULT_MAX_STEPS
        ),
        max_retries=_first(
            _number("--max-retries", options.max_retries, MAX_RETRIES),
            file.max_retries,
            DEFAULT_MAX_RETRIES,
        ),
        timeout=_first(
            _number("--timeout", options.timeout, TIMEOUT_MS), file.timeout, DEFAULT_TIMEOUT_MS
        ),
    )


def _first(option: _T | None, in_file: _T | None, default: _T) -> _T:
    if option is not None:
        return option
    return in_file if in_file is not None else default


def provider_settings(option: str | None, file: Project) -> ProviderSettings:
    """The provider's. The file's settings count for the file's provider alone.

    Raises:
        UsageError: there is no provider of that name.
    """
    if option is None:
        return file.provider or ProviderSettings()
    if option not in PROVIDER_NAMES:
        hint = did_you_mean(option, PROVIDER_NAMES)
        known = ", ".join(PROVIDER_NAMES)
        raise UsageError(f"--provider: {quoted(option)} is none of {known}{hint}")
    if file.provider is not None and file.provider.provider_name == option:
        return file.provider
    return ProviderSettings(provider_name=option)


def _model(option: str | None, file: Project, provider: str) -> str:
    if option is not None:
        problem = one_line(option) if len(option) <= 256 else "is too long"
        if problem is not None:
            raise UsageError(f"--model {problem}")
        return option
    if file.model is not None:
        return file.model
    if provider != DEFAULT_PROVIDER:
        raise ConfigurationError(
            f"The provider {provider} has no default model: give --model, "
            "or set `model` in perstack.toml"
        )
    return DEFAULT_MODEL


def _reasoning_budget(option: str | None) -> ReasoningBudget | None:
    if option is None or option in REASONING_LEVELS:
        return option
    if _DIGITS.fullmatch(option):
        return _number("--reasoning-budget", option, (0, MAX_REASONING_TOKENS))
    levels = ", ".join(REASONING_LEVELS)
    hint = did_you_mean(option, REASONING_LEVELS)
    raise UsageError(
        f"--reasoning-budget: {quoted(option)} is none of {levels}, and no number of tokens{hint}"
    )


def _number(name: str, option: str | None, allowed: tuple[int, int]) -> int | None:
    """A whole number in plain digits: no sign, no underscore, no digit of another script."""
    if option is None:
        return None
    low, high = allowed
    if _DIGITS.fullmatch(option) is None or not low <= int(option) <= high:
        raise UsageError(f"{name}: {quoted(option)} is no whole number from {low} to {high}")
    return int(option)
