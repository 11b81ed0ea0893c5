"""Every wire, for the tests that hold for all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perstack.providers import GenerateRequest
from perstack.providers.endpoint import Endpoint
from perstack.providers.openai_responses import ResponsesModel
from perstack.providers.table import open_provider
from perstack.schema.history import History
from perstack.schema.message import user_message
from perstack.schema.settings import ProviderSettings

if TYPE_CHECKING:
    from perstack.providers import Provider
    from perstack.schema.message import Message

KEY = "sk-canary-4f1d9c27-b83e"
"""The key of every wire here."""


@dataclass(frozen=True, kw_only=True)
class Wire:
    """One wire against the scripted server.

    `open` takes the server's URL. `signs`: thinking comes with a proof that goes back.
    `ends_with_a_mark`: a stream that only lacks its last event is known to be cut.
    `cut_reason` is the stop reason of a reply that was cut at its limit. `needs` are
    modules without which it is skipped.
    """

    name: str
    open: Callable[[str], Provider]
    model: str
    thinks: bool = True
    signs: bool = True
    counts_reasoning: bool = False
    reads_pdf: bool = True
    sends_raw_arguments: bool = True
    ends_with_a_mark: bool = True
    cut_reason: str = "max_tokens"
    needs: tuple[str, ...] = ()

    def request(self, *messages: Message, **fields: Any) -> GenerateRequest:
        """What to ask this wire; every field has a default."""
        given = {"model": self.model, "instruction": "Be brief.", "timeout": 10_000} | fields
        return GenerateRequest(
            messages=History(messages or (user_message("m1", "Hello"),)), **given
        )


def _anthropic(url: str) -> Provider:
    return open_provider(ProviderSettings(base_url=url), {"ANTHROPIC_API_KEY": KEY})


def _responses(url: str) -> Provider:
    endpoint = Endpoint(f"{url}/v1/responses", {"authorization": f"Bearer {KEY}"}, {}, (KEY,))
    return ResponsesModel(endpoint, provider="openai", is_vendor=True)


def _chat(url: str) -> Provider:
    told = ProviderSettings(provider_name="openai", base_url=url)
    return open_provider(told, {"OPENAI_API_KEY": KEY})


def _deepseek(url: str) -> Provider:
    told = ProviderSettings(provider_name="deepseek", base_url=url)
    return open_provider(told, {"DEEPSEEK_API_KEY": KEY})


def _google(url: str) -> Provider:
    told = ProviderSettings(provider_name="google", base_url=url)
    return open_provider(told, {"GOOGLE_GENERATIVE_AI_API_KEY": KEY})


def _bedrock(url: str) -> Provider:
    told = ProviderSettings(provider_name="amazon-bedrock", base_url=url, region="eu-west-1")
    return open_provider(told, {"AWS_BEARER_TOKEN_BEDROCK": KEY})


def _signed_bedrock(url: str) -> Provider:
    told = ProviderSettings(provider_name="amazon-bedrock", base_url=url, region="eu-west-1")
    keys = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "s" * 40}
    return open_provider(told, keys | {"AWS_SESSION_TOKEN": KEY})


def _library(url: str) -> Provider:
    told = ProviderSettings(provider_name="pydantic-ai", base_url=url)
    return open_provider(told, {"TOGETHER_API_KEY": KEY})


WIRES = (
    Wire(name="anthropic", open=_anthropic, model="claude-sonnet-4-5"),
    Wire(name="openai-chat", open=_chat, model="gpt-5", counts_reasoning=True),
    Wire(
        name="deepseek",
        open=_deepseek,
        model="deepseek-flash",
        counts_reasoning=True,
        reads_pdf=False,
    ),
    Wire(name="openai-responses", open=_responses, model="gpt-5", counts_reasoning=True),
    Wire(
        name="google",
        open=_google,
        model="gemini-3-pro-preview",
        counts_reasoning=True,
        sends_raw_arguments=False,
        needs=("pydantic_ai", "google.genai"),
    ),
    Wire(
        name="google-before-3",
        open=_google,
        model="gemini-2.5-flash",
        counts_reasoning=True,
        sends_raw_arguments=False,
        needs=("pydantic_ai", "google.genai"),
    ),
    Wire(
        name="bedrock-claude",
        open=_bedrock,
        model="us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        needs=("pydantic_ai", "boto3"),
    ),
    Wire(
        name="bedrock-nova",
        open=_signed_bedrock,
        model="eu.amazon.nova-pro-v1:0",
        thinks=False,
        signs=False,
        needs=("pydantic_ai", "boto3"),
    ),
    Wire(
        name="library",
        open=_library,
        model="together:some/model",
        thinks=False,
        signs=False,
        ends_with_a_mark=False,
        counts_reasoning=True,
        needs=("pydantic_ai", "openai"),
    ),
)
"""A further wire is a further row."""
