"""Packages that some providers need, and that are installed with an extra of this one."""

from __future__ import annotations

import importlib.util
from typing import NamedTuple

from perstack.errors import ConfigurationError


class Extra(NamedTuple):
    """An extra, and modules of the packages that it brings."""

    name: str
    modules: tuple[str, ...]


_NONE = Extra("", ())
_GOOGLE = Extra("google", ("pydantic_ai", "google.genai"))
EXTRAS = {
    "google": _GOOGLE,
    "google-vertex": _GOOGLE,
    "amazon-bedrock": Extra("bedrock", ("pydantic_ai", "boto3")),
    "pydantic-ai": Extra("pydantic-ai", ("pydantic_ai",)),
}
"""By provider. The others need nothing but this package."""


def require_packages(provider: str) -> None:
    """Look whether the packages of a provider are there. None of them is loaded.

    Raises:
        ConfigurationError: one is missing.
    """
    extra = EXTRAS.get(provider, _NONE)
    for module in extra.modules:
        if not is_installed(module):
            raise ConfigurationError(
                f"The provider {provider} needs packages that are not installed "
                f'({module}): install them with pip install "perstack[{extra.name}]".'
            )


def is_installed(module: str) -> bool:
    """Whether a module could be loaded."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # its parent is missing
        return False
