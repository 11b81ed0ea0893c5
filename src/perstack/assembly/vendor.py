"""Whose model is asked, and where."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from perstack.config.origins import ACCESS
from perstack.providers.address import is_openai

if TYPE_CHECKING:
    from perstack.config.request import RunRequest

DEMO = "demo"
"""The provider where the demo player stands in for a model."""


def vendor_of(request: RunRequest) -> tuple[str, str | None]:
    """The provider, and where it is asked if not at the vendor's own address. No secrets."""
    name = request.settings.provider.provider_name
    told, _ = address(request)
    if told is None or (name == "openai" and is_openai(told)):
        return name, None
    return name, shown(told)


def address(request: RunRequest) -> tuple[str | None, str]:
    """Where the provider is asked in place of its vendor's address, and what says so.

    None where nothing does.
    """
    provider = request.settings.provider
    if provider.base_url:
        return provider.base_url, "The provider's baseUrl"
    access = ACCESS.get(provider.provider_name)
    for variable in access.addresses if access is not None else ():
        told = request.environ.get(variable, "").strip()
        if told and variable != "AZURE_RESOURCE_NAME":
            return told, variable
    return None, ""


def shown(address: str | None) -> str | None:
    """Without what could be a secret: a user, a path, a query."""
    if address is None:
        return None
    try:
        parts = urlsplit(address)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return None
    host = parts.hostname
    if not host:
        return None
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}"
