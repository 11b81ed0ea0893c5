"""Gemini through google-genai: Google's own API, and Vertex AI.

Tool schemas go out as they came, under `parametersJsonSchema`. A URL of an image or a
document is fetched by the library and sent inline; it refuses private addresses.

On Vertex AI google-auth fetches the access token by itself, in a thread of its own: a
token server that is silent may hold the process's exit up until its own timeout.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, cast

from pydantic_ai.models.google import GoogleModel, GoogleModelSettings  # noqa: TID253 - loaded with the first such provider
from pydantic_ai.providers.google import (  # noqa: TID253 - see above
    BaseGoogleProvider,
    GoogleProvider,
)
from pydantic_ai.providers.google_cloud import GoogleCloudProvider  # noqa: TID253 - see above

from perstack.net.redaction import Redaction
from perstack.providers import Failure, GenerateRequest
from perstack.providers.bridge_reasoning import thinking_of, tokens_of
from perstack.providers.bridge_schema import gemini_problem, refused_tool
from perstack.providers.bridge_transport import Transport

if TYPE_CHECKING:
    from pydantic_ai.models import Model
    from pydantic_ai.settings import ModelSettings

__all__ = ["Gemini", "GoogleCloudProvider", "GoogleProvider"]

BUDGETS = (
    ("gemini-2.5-pro", 128, 32_768),
    ("gemini-2.5-flash-lite", 512, 24_576),
    ("", 1, 24_576),
)
"""By the start of a name: the least and the most tokens that a model takes as its budget."""


class Gemini:
    """Gemini, by an API key or as a Google Cloud service."""

    def __init__(
        self, name: str, provider: BaseGoogleProvider, transport: Transport, way_out: str
    ) -> None:
        self.way_out = way_out
        self._name = name
        self._provider = provider
        self._transport = transport

    @property
    def redaction(self) -> Redaction:
        return self._transport.redaction

    def model(self, name: str) -> Model[Any]:
        return GoogleModel(name, provider=self._provider, profile=_AS_IT_CAME)

    def wire(self, name: str) -> str:
        return self._name

    def takes_thoughts(self, model: Model[Any]) -> bool:
        return True

    def refused(self, request: GenerateRequest) -> Failure | None:
        return refused_tool("Gemini", request.tools, gemini_problem)

    def settings(self, request: GenerateRequest, model: Model[Any]) -> ModelSettings:
        """Gemini 2.5 takes a number of tokens, later ones a level. It caches by itself."""
        settings = GoogleModelSettings(max_retries=0, tool_choice=request.tool_choice)
        tokens = tokens_of(request.reasoning_budget)
        profile = model.profile
        if tokens and not profile.get("google_supports_thinking_level", True):
            if profile.get("supports_thinking", False):
                name = request.model.rpartition("/")[2]
                _, least, most = next(row for row in BUDGETS if name.startswith(row[0]))
                budget = min(most, max(least, tokens))
                settings["google_thinking_config"] = {
                    "include_thoughts": True,
                    "thinking_budget": budget,
                }
        else:
            settings["thinking"] = thinking_of(request.reasoning_budget)
        return settings

    def lane(self) -> AbstractContextManager[None]:
        return nullcontext()

    async def aclose(self) -> None:
        await self._transport.aclose()


_AS_IT_CAME = cast("Any", {"json_schema_transformer": None})
