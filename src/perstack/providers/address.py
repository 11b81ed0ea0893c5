"""Where a model is asked, and as whom: addresses, keys and headers, checked before use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from perstack.errors import ConfigurationError

OLLAMA_URL = "http://localhost:11434"
OWN_HEADERS = frozenset({"accept-encoding", "connection", "content-length", "transfer-encoding"})

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\x20-\x7e\t]*")
_VERSION = re.compile(r"v\d+(?:(?:alpha|beta)\d*)?")


def base_url(told: str, place: str) -> str:
    """`told` without its last slash and with its `/v1`. `place` names it in an error.

    Raises:
        ConfigurationError: it is no plain http or https address.
    """
    url = checked_url(told, place)
    return url if url.endswith("/v1") else f"{url}/v1"


def operation_url(told: str, place: str, operation: str) -> str:
    """Where `operation` ("chat/completions", say) is asked, below the base URL `told`.

    A base with no version anywhere in its path gets `/v1`. One that ends with the
    operation is the whole address already.

    Raises:
        ConfigurationError: `told`, which `place` names, is no plain http or https address.
    """
    url = checked_url(told, place)
    if url.endswith(f"/{operation}"):
        return url
    segments = urlsplit(url).path.split("/")
    version = "" if any(map(_VERSION.fullmatch, segments)) else "/v1"
    return f"{url}{version}/{operation}"


def checked_url(told: str, place: str) -> str:
    """`told` without its last slash. `place` names it in an error.

    Raises:
        ConfigurationError: it is no plain http or https address.
    """
    problem = ""
    try:
        parts = urlsplit(told.strip())
        _ = parts.port
    except ValueError:
        raise ConfigurationError(f"{place} is not a URL: give one like https://host/v1.") from None
    if not told.isprintable() or " " in told.strip() or "\\" in told:
        problem = "must not contain spaces, backslashes or control characters"
    elif parts.scheme not in ("http", "https") or not parts.hostname:
        problem = "must be an http or https URL"
    elif parts.username is not None or parts.password is not None:
        problem = "must not carry a user or a password"
    elif parts.query or parts.fragment:
        problem = "must not have a query or a fragment"
    if problem:
        raise ConfigurationError(f"{place} {problem}, like https://host/v1.")
    return told.strip().rstrip("/")


def is_openai(told: str) -> bool:
    """Whether the address is OpenAI's own: the one for all the world, or a region's."""
    try:
        host = urlsplit(told.strip()).hostname or ""
    except ValueError:
        return False  # which `operation_url` says more of
    return host == "api.openai.com" or host.endswith(".api.openai.com")


def api_key(environ: Mapping[str, str], variable: str, provider: str) -> str:
    """The key in `variable`, without surrounding space.

    Raises:
        ConfigurationError: there is none, or it cannot stand in a header.
    """
    key = optional_key(environ, variable)
    if not key:
        raise ConfigurationError(
            f"The provider {provider} needs a key: set {variable} in the environment, "
            "or in an env file (.env, .env.local, or one named by envPath)."
        )
    return key


def optional_key(environ: Mapping[str, str], variable: str) -> str:
    """The key in `variable`, without surrounding space; empty where there is none.

    Raises:
        ConfigurationError: it cannot stand in a header.
    """
    key = environ.get(variable, "").strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigurationError(f"{variable} holds characters that no key has: copy it again.")
    return key


def user_headers(told: Mapping[str, str]) -> dict[str, str]:
    """The headers of a provider's settings, names in lower case.

    Raises:
        ConfigurationError: one that cannot be sent, or that Perstack sets itself.
    """
    headers: dict[str, str] = {}
    for name, value in told.items():
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            raise ConfigurationError(
                f"The header {name!r} of the provider's settings cannot be sent: "
                "names are tokens and values are printable ASCII."
            )
        if name.lower() in OWN_HEADERS:
            raise ConfigurationError(
                f"The header {name!r} of the provider's settings is Perstack's own: leave it out."
            )
        headers[name.lower()] = value
    return headers
