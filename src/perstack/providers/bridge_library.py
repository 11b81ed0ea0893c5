"""Vendors that only the library knows: any model string of pydantic-ai, as `groq:…`.

Each vendor's key, and its address where it has a variable for one, is read from the
variables that the library itself would read. With SDKs that take no HTTP client of
ours (xai, cohere) the key and the connections are the SDK's own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import Any, cast

from pydantic_ai.exceptions import UserError  # noqa: TID253 - loaded with the first such provider
from pydantic_ai.models import Model, infer_model  # noqa: TID253 - see above
from pydantic_ai.providers import infer_provider_class  # noqa: TID253 - see above
from pydantic_ai.settings import ModelSettings  # noqa: TID253 - see above

from perstack.errors import ConfigurationError
from perstack.net.redaction import Redaction
from perstack.providers import Failure, GenerateRequest
from perstack.providers.address import base_url
from perstack.providers.bridge_reasoning import thinking_of
from perstack.providers.bridge_schema import no_object, refused_tool
from perstack.providers.bridge_transport import STAND_IN, Transport
from perstack.providers.openai_schema import schema_problem
from perstack.schema.settings import ProviderSettings

OWN = {
    "google": "google",
    "google-gla": "google",
    "google-cloud": "google-vertex",
    "google-vertex": "google-vertex",
    "bedrock": "amazon-bedrock",
}
"""Vendors that are providers here: they are named by providerName."""

KEYS = {
    "alibaba": ("ALIBABA_API_KEY", "DASHSCOPE_API_KEY"),
    "cohere": ("CO_API_KEY",),
    "heroku": ("HEROKU_INFERENCE_KEY",),
    "huggingface": ("HF_TOKEN",),
    "openai-chat": ("OPENAI_API_KEY",),
    "openai-responses": ("OPENAI_API_KEY",),
    "vercel": ("VERCEL_AI_GATEWAY_API_KEY", "VERCEL_OIDC_TOKEN"),
}
"""Variables of keys, where they are not the vendor's name and `_API_KEY`."""

KEYLESS = frozenset({"ollama", "vllm", "litellm"})
"""Servers of one's own, which may ask for no key."""

ADDRESSES = {
    "groq": "GROQ_BASE_URL",
    "heroku": "HEROKU_INFERENCE_URL",
    "moonshotai": "MOONSHOTAI_BASE_URL",
    "ollama": "OLLAMA_BASE_URL",
    "openai": "OPENAI_BASE_URL",
    "openai-chat": "OPENAI_BASE_URL",
    "openai-responses": "OPENAI_BASE_URL",
    "sambanova": "SAMBANOVA_BASE_URL",
    "vllm": "VLLM_BASE_URL",
}

NOT_ROUTED = frozenset({"azure", "azure-responses", "snowflake", "github-copilot", "openai-codex"})
"""Vendors that need more than a key."""

WITHOUT_V1 = frozenset({"groq", "anthropic", "mistral", "heroku"})
"""Vendors whose SDK adds the version to the address by itself."""


class Library:
    """Every vendor by its prefix. A vendor is opened when one of its models is first asked."""

    way_out = "set the key of the vendor that the model's prefix names."

    def __init__(self, settings: ProviderSettings, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._environ = environ
        self._transports: dict[str, Transport] = {}
        self._models: dict[str, Model[Any]] = {}
        self._nobody = Transport("", settings.headers)  # headers are checked at once

    @property
    def redaction(self) -> Redaction:
        transports = (self._nobody, *self._transports.values())
        return Redaction(secret for each in transports for secret in each.secrets)

    def model(self, name: str) -> Model[Any]:
        if name not in self._models:
            self._models[name] = self._opened(name)
        return self._models[name]

    def wire(self, name: str) -> str:
        return f"pydantic-ai-{name.partition(':')[0]}"

    def takes_thoughts(self, model: Model[Any]) -> bool:
        return True

    def refused(self, request: GenerateRequest) -> Failure | None:
        vendor = request.model.partition(":")[0]
        if vendor in ("openai", "openai-chat", "openai-responses"):
            return schema_problem(request.tools)
        return refused_tool(vendor, request.tools, no_object)

    def settings(self, request: GenerateRequest, model: Model[Any]) -> ModelSettings:
        """Reasoning in the library's levels, and cache marks where a model wants them."""
        settings = ModelSettings(
            cache=True,
            thinking=thinking_of(request.reasoning_budget),
            tool_choice=request.tool_choice,
        )
        if "max_retries" not in model.unsupported_settings:
            settings["max_retries"] = 0
        return settings

    def lane(self) -> AbstractContextManager[None]:
        return nullcontext()

    async def aclose(self) -> None:
        for transport in self._transports.values():
            await transport.aclose()

    def _opened(self, name: str) -> Model[Any]:
        vendor, colon, model = name.partition(":")
        if not colon or not vendor or not model:
            raise ConfigurationError(
                f"The model {name!r} names no vendor: with the provider pydantic-ai, "
                "give one like groq:llama-3.3-70b-versatile."
            )
        if vendor in OWN:
            raise ConfigurationError(
                f"{vendor!r} is the provider {OWN[vendor]!r}: "
                f"set providerName to it, and the model to {model!r}."
            )
        try:
            opened = infer_model(name, self._provider)
        except UserError as error:
            raise ConfigurationError(
                f"pydantic-ai cannot open the model {name!r}: {error}"
            ) from None
        except ImportError as error:
            raise ConfigurationError(
                f"The vendor {vendor!r} needs a package that is not installed. {error}"
            ) from None
        as_it_came = {**opened.profile, "json_schema_transformer": None}
        vars(opened)["profile"] = as_it_came  # where its cached property keeps it
        return opened

    def _provider(self, vendor: str) -> Any:
        try:
            kind = infer_provider_class(vendor)
        except ValueError:
            raise ConfigurationError(
                f"pydantic-ai knows no vendor {vendor!r}: see its list of model providers."
            ) from None
        if vendor in NOT_ROUTED or vendor.startswith("gateway/"):
            raise ConfigurationError(
                f"The vendor {vendor!r} needs more than a key, which the provider pydantic-ai "
                "cannot give it: choose another provider."
            )
        takes = inspect.signature(kind).parameters
        key = self._key(vendor)
        address = self._address(vendor)
        transport = Transport(key, self._settings.headers)
        given: dict[str, object] = {}
        if "http_client" in takes:
            given["http_client"] = transport.client()
        if "api_key" in takes:
            given["api_key"] = STAND_IN if "http_client" in takes else key
        if address and "base_url" in takes:
            given["base_url"] = address
        elif address and "api_base" in takes:
            given["api_base"] = address
        elif address and "openai_client" in takes:
            client = cast("Callable[..., object]", import_module("openai").AsyncOpenAI)
            given = {"openai_client": client(base_url=address, max_retries=0, **given)}
        elif address:
            raise ConfigurationError(f"The vendor {vendor!r} takes no baseUrl: leave it out.")
        self._transports[vendor] = transport
        return kind(**given)

    def _key(self, vendor: str) -> str:
        usual = f"{vendor.upper().replace('-', '_')}_API_KEY"
        names = KEYS.get(vendor, (usual,))
        for name in names:
            if key := self._environ.get(name, "").strip():
                return key
        if vendor in KEYLESS:
            return "none"
        raise ConfigurationError(
            f"The vendor {vendor!r} needs a key: set {' or '.join(names)} in the environment, "
            "or in an env file (.env, .env.local, or one named by envPath)."
        )

    def _address(self, vendor: str) -> str:
        place = "The provider's baseUrl"
        told = self._settings.base_url
        if not told:
            place = ADDRESSES.get(vendor, "")
            told = self._environ.get(place, "") if place else ""
        if not told:
            return ""
        url = base_url(told, place)
        return url.removesuffix("/v1") if vendor in WITHOUT_V1 else url
