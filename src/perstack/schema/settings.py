"""The settings a run is made with, all resolved."""

from __future__ import annotations

from typing import Literal, TypeAlias, cast

from perstack.schema.base import Data

ReasoningLevel: TypeAlias = Literal["none", "minimal", "low", "medium", "high"]
ReasoningBudget: TypeAlias = ReasoningLevel | int

DEFAULT_PROVIDER = "anthropic"
DEFAULT_MODEL = "claude-sonnet-5-5"
DEFAULT_MAX_STEPS = 100
DEFAULT_MAX_RETRIES = 5
DEFAULT_TIMEOUT_MS = 300_000
DEFAULT_REASONING_BUDGET: ReasoningLevel = "low"

PROVIDER_NAMES = (
    "anthropic",
    "google",
    "openai",
    "ollama",
    "azure-openai",
    "amazon-bedrock",
    "google-vertex",
    "deepseek",
    "pydantic-ai",
)


class ProviderSettings(Data, kw_only=True):
    """`[provider]`: which vendor, and its own settings. Never a secret.

    `api` (ours) is the one of OpenAI's APIs that is spoken. A repr has the headers'
    names and not their values, which may be somebody's credentials all the same.
    """

    provider_name: str = DEFAULT_PROVIDER
    base_url: str | None = None
    headers: dict[str, str] = {}
    organization: str | None = None
    project: str | None = None
    name: str | None = None
    api: Literal["responses", "chat"] | None = None
    resource_name: str | None = None
    api_version: str | None = None
    use_deployment_based_urls: bool | None = None
    region: str | None = None
    location: str | None = None

    def __repr__(self) -> str:
        told = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"ProviderSettings({told})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        told = {name: cast("object", getattr(self, name)) for name in self.__struct_fields__}
        return list((told | {"headers": list(self.headers)}).items())


class Settings(Data, omit_defaults=False, kw_only=True):
    """One run's settings. `timeout` is ms per generation; `max_steps` is per job."""

    provider: ProviderSettings = ProviderSettings()
    model: str = DEFAULT_MODEL
    reasoning_budget: ReasoningBudget = DEFAULT_REASONING_BUDGET
    max_steps: int = DEFAULT_MAX_STEPS
    max_retries: int = DEFAULT_MAX_RETRIES
    timeout: int = DEFAULT_TIMEOUT_MS
