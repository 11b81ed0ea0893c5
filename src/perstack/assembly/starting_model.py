"""The model to begin with, by the keys that are there. `perstack run` asks for one by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from perstack.assembly.model import KEY_VARIABLES
from perstack.schema.settings import DEFAULT_MODEL, DEFAULT_PROVIDER

if TYPE_CHECKING:
    from collections.abc import Mapping

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
