"""The body that pydantic-ai, over the vendor's own SDK, sends for a conversation of ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import httpx2
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI
from pydantic_ai.direct import model_request_stream
from pydantic_ai.messages import InstructionPart
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.tools import ToolDefinition as OfferedTool

from perstack.providers import GenerateRequest
from perstack.providers.bridge_messages import pydantic_messages

Body = dict[str, Any]
OpenModel = Callable[[httpx2.AsyncClient], Model[Any]]


class Refused(Exception):
    """The request went out, and its body is known: nothing more is needed."""


class Caught:
    """A client that keeps the body of a request and sends it nowhere."""

    def __init__(self) -> None:
        self.body: Body | None = None
        self.client = httpx2.AsyncClient(transport=httpx2.MockTransport(self._catch))

    async def _catch(self, request: httpx2.Request) -> httpx2.Response:
        self.body = json.loads(await request.aread())
        raise Refused


def anthropic(client: httpx2.AsyncClient) -> Model[Any]:
    """Claude, over the Messages API."""
    sdk = AsyncAnthropic(api_key="none", http_client=client, max_retries=0)
    return AnthropicModel("claude-opus-4-5", provider=AnthropicProvider(anthropic_client=sdk))


def responses(client: httpx2.AsyncClient) -> Model[Any]:
    """A reasoning model, over the Responses API."""
    sdk = AsyncOpenAI(api_key="none", http_client=client, max_retries=0)
    return OpenAIResponsesModel("gpt-5", provider=OpenAIProvider(openai_client=sdk))


def chat(client: httpx2.AsyncClient) -> Model[Any]:
    """A model without reasoning, over Chat Completions."""
    sdk = AsyncOpenAI(api_key="none", http_client=client, max_retries=0)
    return OpenAIChatModel("gpt-4.1", provider=OpenAIProvider(openai_client=sdk))


@cache
def _opened(open_model: OpenModel) -> tuple[Caught, Model[Any]]:
    caught = Caught()
    return caught, open_model(caught.client)


async def body_of(
    open_model: OpenModel, request: GenerateRequest, wire: str, settings: dict[str, Any]
) -> Body:
    """What the library sends for `request`; `wire` is whose proofs go back."""
    caught, model = _opened(open_model)
    tools = [
        OfferedTool(
            name=tool.name,
            description=tool.description,
            parameters_json_schema=tool.input_schema,
            strict=False,
        )
        for tool in request.tools
    ]
    parameters = ModelRequestParameters(
        function_tools=tools, instruction_parts=[InstructionPart(request.instruction)]
    )
    caught.body = None
    try:
        async with model_request_stream(
            model,
            pydantic_messages(request.messages, wire=wire, system=model.system),
            model_request_parameters=parameters,
            model_settings=settings,  # pyright: ignore[reportArgumentType] - a vendor's own
        ):
            pass
    except Exception:
        if caught.body is None:
            raise
    assert caught.body is not None, "nothing was sent"
    return caught.body
