"""The model to ask where nothing names one: it goes by the keys that are there."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from perstack.config.origins import KEY_PREFIXES
from perstack.schema.settings import DEFAULT_MODEL, DEFAULT_PROVIDER, ProviderSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perstack.schema.settings import Settings

KEY_VARIABLES = {provider: f"{prefix}_API_KEY" for provider, prefix in KEY_PREFIXES.items()}
"""Provider to the variable that holds its key."""

MODELS = {
    DEFAULT_PROVIDER: DEFAULT_MODEL,
    "openai": "gpt-6.2-sol",
    "google": "gemini-pro-latest",
    "deepseek": "deepseek-v4-pro",
}
"""Provider to a good model for most Experts, in the order in which keys are looked for.

At other providers a model is called what its owner calls it, so that none can be proposed.
"""


class StartingModel(NamedTuple):
    """A provider with a key, the variable that holds it, and a model."""

    provider: str
    variable: str
    model: str


def starting_model(environ: Mapping[str, str]) -> StartingModel | None:
    """The first provider that a key is set for; None where there is no key."""
    for provider, model in MODELS.items():
        variable = KEY_VARIABLES[provider]
        if environ.get(variable, "").strip():
            return StartingModel(provider, variable, model)
    return None


def by_key(settings: Settings, environ: Mapping[str, str]) -> tuple[Settings, str | None]:
    """`settings` in which nothing named a model, with the one whose key is set.

    Also the variable that chose another provider than the default one.
    """
    start = starting_model(environ)
    if start is None or start.provider == DEFAULT_PROVIDER:
        return settings, None
    provider = ProviderSettings(provider_name=start.provider)
    return replace(settings, provider=provider, model=start.model), start.variable
