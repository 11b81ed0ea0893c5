"""Model servers on this machine, and what their models can do, as far as their APIs say."""

from __future__ import annotations

from typing import Literal, TypeAlias

from perstack.schema.base import Data

ServerKind: TypeAlias = Literal["ollama", "lmStudio", "llamaCpp"]

SERVER_NAMES: dict[ServerKind, str] = {
    "ollama": "Ollama",
    "lmStudio": "LM Studio",
    "llamaCpp": "llama.cpp",
}


class LocalModel(Data, omit_defaults=False, kw_only=True):
    """A model that can be asked. What the API does not say is None.

    `context_window` is what it has as it is set up or loaded, in tokens, and
    `max_context_window` what it could have.
    """

    name: str
    takes_tools: bool | None = None
    context_window: int | None = None
    max_context_window: int | None = None


class LocalServer(Data, omit_defaults=False, kw_only=True):
    """A server that was known by its API. `left_out` counts models beyond those that are listed.

    `provider` and `base_url` are the settings that lead a run to it.
    """

    kind: ServerKind
    provider: Literal["ollama", "openai"]
    base_url: str
    version: str | None = None
    models: tuple[LocalModel, ...]
    left_out: int = 0

    @property
    def fit(self) -> tuple[LocalModel, ...]:
        """Models that an Expert can be run with, as far as is known; those that say so first."""
        fit = (model for model in self.models if model.takes_tools is not False)
        return tuple(sorted(fit, key=lambda model: not model.takes_tools))
