"""Which wire serves which provider. A wire is loaded when it is opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import cast

from perstack.errors import ConfigurationError
from perstack.providers import Provider
from perstack.schema.settings import ProviderSettings

WIRES = {
    "amazon-bedrock": "perstack.providers.bridge_open:open_bedrock",
    "anthropic": "perstack.providers.anthropic:open_anthropic",
    "azure-openai": "perstack.providers.azure:open_azure",
    "deepseek": "perstack.providers.openai:open_deepseek",
    "google": "perstack.providers.bridge_open:open_google",
    "google-vertex": "perstack.providers.bridge_open:open_vertex",
    "ollama": "perstack.providers.openai:open_ollama",
    "openai": "perstack.providers.openai:open_openai",
    "pydantic-ai": "perstack.providers.bridge_open:open_library",
}
"""Provider name to "module:attribute": a function of settings and environment."""


def open_provider(settings: ProviderSettings, environ: Mapping[str, str]) -> Provider:
    """The provider `settings` name, ready to be asked. Nothing is sent yet.

    Raises:
        ConfigurationError: the provider is unknown, its key is missing, or its settings
            cannot be used.
    """
    name = settings.provider_name
    wire = WIRES.get(name)
    if wire is None:
        known = ", ".join(sorted(WIRES))
        raise ConfigurationError(
            f"The provider {name!r} is unknown: set providerName, or --provider, "
            f"to one of: {known}."
        )
    module, _, attribute = wire.partition(":")
    opened = cast(
        "Callable[[ProviderSettings, Mapping[str, str]], Provider]",
        getattr(import_module(module), attribute),
    )
    return opened(settings, environ)
