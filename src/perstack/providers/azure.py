"""OpenAI's models at Azure, from settings and variables.

https://learn.microsoft.com/azure/foundry/openai/api-version-lifecycle
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from urllib.parse import quote, urlsplit

from perstack.errors import ConfigurationError
from perstack.providers import Generated, GenerateRequest, Provider
from perstack.providers.address import api_key, checked_url
from perstack.providers.endpoint import Endpoint
from perstack.providers.openai_chat import ChatModel
from perstack.providers.openai_chat_quirks import AZURE, AZURE_DEPLOYMENT
from perstack.schema.settings import ProviderSettings

API_VERSION = "v1"
DATED_API_VERSION = "2025-04-01-preview"
"""The last one: addresses that name a deployment take no version but a dated one."""

_OWN_HOSTS = (".openai.azure.com", ".services.ai.azure.com", ".cognitiveservices.azure.com")
_RESOURCE = re.compile(r"[A-Za-z0-9-]+")
_API_VERSION = re.compile(r"[A-Za-z0-9.-]+")


def open_azure(settings: ProviderSettings, environ: Mapping[str, str]) -> Provider:
    """OpenAI's models at Azure, where a deployment stands for the model.

    Asked over Responses, unless `api` in the settings, or addresses that name the
    deployment, ask for Chat Completions.

    Raises:
        ConfigurationError: no key, no resource, settings that do not go together, or an
            address or a header that cannot be used.
    """
    key = api_key(environ, "AZURE_API_KEY", "azure-openai")
    base = _base(settings, environ)

    def endpoint(path: str, version: str) -> Endpoint:
        own = {"api-key": key}
        return Endpoint(f"{base}{path}?api-version={version}", own, settings.headers, (key,))

    told = settings.api_version or environ.get("AZURE_API_VERSION", "").strip()
    if told and not _API_VERSION.fullmatch(told):
        raise ConfigurationError("AZURE_API_VERSION is no API version, such as v1 or 2024-10-21.")
    if settings.use_deployment_based_urls:
        if settings.api == "responses":
            raise ConfigurationError(
                "The provider's useDeploymentBasedUrls does not go with its api 'responses', "
                "which has one address for all deployments: leave one of them out."
            )
        version = told or DATED_API_VERSION
        endpoint("/deployments", version)  # tells what is wrong with it now, and not in a run
        return Deployments(
            lambda name: endpoint(f"/deployments/{quote(name, safe='')}/chat/completions", version)
        )
    v1 = "" if base.endswith("/v1") else "/v1"
    if settings.api == "chat":
        return ChatModel(endpoint(f"{v1}/chat/completions", told or API_VERSION), AZURE)
    from perstack.providers.openai_responses import ResponsesModel

    responses = endpoint(f"{v1}/responses", told or API_VERSION)
    return ResponsesModel(responses, provider="azure-openai", is_vendor=True)


class Deployments:
    """The Provider for deployments that each have an address of their own."""

    def __init__(self, endpoint_of: Callable[[str], Endpoint]) -> None:
        self._endpoint_of = endpoint_of
        self._models: dict[str, ChatModel] = {}

    def __repr__(self) -> str:
        return f"Deployments({sorted(self._models)})"

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Generated, None]:
        """One reply to `request`, streamed."""
        model = self._models.get(request.model)
        if model is None:
            model = ChatModel(self._endpoint_of(request.model), AZURE_DEPLOYMENT)
            self._models[request.model] = model
        async with aclosing(model.generate(request)) as pieces:
            async for piece in pieces:
                yield piece

    async def aclose(self) -> None:
        """Close connections. May be called twice."""
        for model in self._models.values():
            await model.aclose()


def _base(settings: ProviderSettings, environ: Mapping[str, str]) -> str:
    """The address up to the version or the deployment. A base URL wins over a resource."""
    if told := settings.base_url:
        return _with_path(checked_url(told, "The provider's baseUrl"))
    if told := environ.get("AZURE_BASE_URL", "").strip():
        return _with_path(checked_url(told, "AZURE_BASE_URL"))
    resource = settings.resource_name or environ.get("AZURE_RESOURCE_NAME", "").strip()
    if not resource:
        raise ConfigurationError(
            "The provider azure-openai needs a resource: set resourceName or baseUrl in the "
            "provider's settings, or AZURE_RESOURCE_NAME or AZURE_BASE_URL in the environment."
        )
    if not _RESOURCE.fullmatch(resource):
        raise ConfigurationError("AZURE_RESOURCE_NAME must be letters, digits and '-'.")
    return f"https://{resource}.openai.azure.com/openai"


def _with_path(url: str) -> str:
    """`url` with the path that Azure's portal leaves out."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return f"{url}/openai" if not parts.path and host.endswith(_OWN_HOSTS) else url
