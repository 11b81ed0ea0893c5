"""Which wire serves which provider. A wire is loaded when it is opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import cast

from perstack.errors import ConfigurationError
from perstack.providers import Provider
from perstack.schema.settings import PROVIDER_NAMES, ProviderSettings

WIRES = {
    "anthropic": "perstack.providers.anthropic:open_anthropic",
}
"""Provider name to "module:attribute": a function of settings and environment."""


def open_provider(settings: ProviderSettings, environ: Mapping[str, str]) -> Provider:
    """The provider `settings` name, ready to be asked. Nothing is sent yet.

    Raises:
        ConfigurationError: the provider is unknown or not in this version, its key is
            missing, or its settings cannot be used.
    """
    name = settings.provider_name
    wire = WIRES.get(name)
    if wire is None:
        known = ", ".join(sorted(WIRES))
        problem = "is not in this version yet" if name in PROVIDER_NAMES else "is unknown"
        raise ConfigurationError(
            f"The provider {name!r} {problem}: set providerName, or --provider, to one of: {known}."
        )
    module, _, attribute = wire.partition(":")
    opened = cast(
        "Callable[[ProviderSettings, Mapping[str, str]], Provider]",
        getattr(import_module(module), attribute),
    )
    return opened(settings, environ)
