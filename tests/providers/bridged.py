"""Asks a provider behind the bridge, for its tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perstack.providers import Failure, GenerateRequest, Reply
from perstack.providers.table import open_provider
from perstack.schema.history import History
from perstack.schema.message import TextPart, ToolMessage, ToolResultPart, user_message
from perstack.schema.settings import ProviderSettings
from perstack.schema.tool import ToolDefinition

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perstack.providers import Generated, Provider
    from perstack.schema.message import Message

KEY = "canary-4f1d9c27-b83e-0a55"
GEMINI = "gemini-3-pro-preview"
GEMINI_25 = "gemini-2.5-flash"
CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
NOVA = "eu.amazon.nova-pro-v1:0"
AWS = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "s" * 40,
    "AWS_REGION": "eu-west-1",
}
GOOGLE = {"GOOGLE_GENERATIVE_AI_API_KEY": KEY}
READ = ToolDefinition(
    skill_name="@perstack/base",
    name="readTextFile",
    description="Reads.",
    input_schema={"type": "object", "properties": {"path": {"type": "string"}}},
)


def opened(name: str, url: str | None, environ: Mapping[str, str], **settings: Any) -> Provider:
    told = ProviderSettings(provider_name=name, base_url=url, **settings)
    return open_provider(told, environ)


def asked(model: str, *messages: Message, **fields: Any) -> GenerateRequest:
    given = {"instruction": "Be brief.", "timeout": 10_000} | fields
    history = History(messages or (user_message("m1", "Hello"),))
    return GenerateRequest(model=model, messages=history, **given)


async def last_of(provider: Provider, request: GenerateRequest) -> Reply | Failure:
    pieces: list[Generated] = [piece async for piece in provider.generate(request)]
    last = pieces[-1]
    assert isinstance(last, Reply | Failure)
    return last


async def reply_of(provider: Provider, request: GenerateRequest) -> Reply:
    last = await last_of(provider, request)
    assert isinstance(last, Reply), last
    return last


async def failure_of(provider: Provider, request: GenerateRequest) -> Failure:
    last = await last_of(provider, request)
    assert isinstance(last, Failure), last
    return last


def answered(reply: Reply, *, is_error: bool = False) -> ToolMessage:
    return ToolMessage(
        id="t",
        contents=tuple(
            ToolResultPart(
                tool_call_id=call.tool_call_id,
                tool_name=call.tool_name,
                contents=(TextPart(text="first"), TextPart(text="second")),
                is_error=is_error,
            )
            for call in reply.message.calls
        ),
    )
