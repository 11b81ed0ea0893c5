"""OpenAI, the servers that speak its dialect, DeepSeek and Ollama, from settings and variables."""

from __future__ import annotations

from collections.abc import Mapping

from perstack.errors import ConfigurationError
from perstack.providers import Provider
from perstack.providers.address import OLLAMA_URL, api_key, is_openai, operation_url, optional_key
from perstack.providers.endpoint import Endpoint
from perstack.providers.openai_chat import ChatModel
from perstack.providers.openai_chat_quirks import COMPATIBLE, DEEPSEEK, OLLAMA, OPENAI
from perstack.schema.settings import ProviderSettings

OPENAI_URL = "https://api.openai.com"
DEEPSEEK_URL = "https://api.deepseek.com"

CHAT = "chat/completions"
RESPONSES = "responses"


def open_openai(settings: ProviderSettings, environ: Mapping[str, str]) -> Provider:
    """OpenAI over Responses, or a compatible server at another base URL over Chat Completions.

    `api` in the settings chooses otherwise. Only the vendor insists on a key.

    Raises:
        ConfigurationError: no key for the vendor, or an address, a key or a header that
            cannot be used.
    """
    told, place = _base(settings, environ, "OPENAI_BASE_URL", OPENAI_URL)
    is_vendor = is_openai(told)
    key = optional_key(environ, "OPENAI_API_KEY")
    if is_vendor and not key:
        key = api_key(environ, "OPENAI_API_KEY", "openai")
    own = _bearer(key)
    for header, given, variable in (
        ("openai-organization", settings.organization, "OPENAI_ORGANIZATION"),
        ("openai-project", settings.project, "OPENAI_PROJECT"),
    ):
        if value := given or environ.get(variable, "").strip():
            own[header] = _header(value, variable)
    uses_responses = is_vendor if settings.api is None else settings.api == "responses"
    url = operation_url(told, place, RESPONSES if uses_responses else CHAT)
    endpoint = Endpoint(url, own, settings.headers, _secrets(key))
    if uses_responses:
        from perstack.providers.openai_responses import ResponsesModel

        return ResponsesModel(endpoint, provider="openai", is_vendor=is_vendor)
    return ChatModel(endpoint, OPENAI if is_vendor else COMPATIBLE)


def open_deepseek(settings: ProviderSettings, environ: Mapping[str, str]) -> Provider:
    """DeepSeek's own API.

    Raises:
        ConfigurationError: no key, or an address or a header that cannot be used.
    """
    key = api_key(environ, "DEEPSEEK_API_KEY", "deepseek")
    told, place = _base(settings, environ, "DEEPSEEK_BASE_URL", DEEPSEEK_URL)
    url = operation_url(told, place, CHAT)
    return ChatModel(Endpoint(url, _bearer(key), settings.headers, (key,)), DEEPSEEK)


def open_ollama(settings: ProviderSettings, environ: Mapping[str, str]) -> Provider:
    """An Ollama server, which needs no key. The base of its own API (`/api`) is taken too.

    Raises:
        ConfigurationError: an address, a key or a header that cannot be used.
    """
    key = optional_key(environ, "OLLAMA_API_KEY")
    told, place = _base(settings, environ, "OLLAMA_BASE_URL", OLLAMA_URL)
    url = operation_url(told.strip().rstrip("/").removesuffix("/api"), place, CHAT)
    return ChatModel(Endpoint(url, _bearer(key), settings.headers, _secrets(key)), OLLAMA)


def _base(
    settings: ProviderSettings, environ: Mapping[str, str], variable: str, default: str
) -> tuple[str, str]:
    """The base URL, the settings' first, then the variable's; and what to call it."""
    if settings.base_url:
        return settings.base_url, "The provider's baseUrl"
    return environ.get(variable, "").strip() or default, variable


def _bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"} if key else {}


def _secrets(key: str) -> tuple[str, ...]:
    return (key,) if key else ()


def _header(value: str, variable: str) -> str:
    if not value.isascii() or not value.isprintable():
        raise ConfigurationError(
            f"{variable} cannot be sent as a header: it must be plain characters on one line."
        )
    return value
