from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest

from perstack.providers import Failure, GenerateRequest, ReasoningDelta, Reply, TextDelta
from perstack.providers.table import open_provider
from perstack.schema.history import History
from perstack.schema.message import user_message
from perstack.schema.settings import ProviderSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from perstack.providers import Generated, Provider
    from perstack.schema.message import Message

KEY = "sk-ant-canary-4f1d9c27"


class Asking:
    """Asks a scripted server and keeps everything that came."""

    key = KEY

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.pieces: list[Generated] = []

    async def __call__(self, request: GenerateRequest | None = None) -> Reply | Failure:
        self.pieces = []
        async for piece in self.provider.generate(request or asked()):
            self.pieces.append(piece)
        *deltas, last = self.pieces
        assert isinstance(last, Reply | Failure)
        assert not any(isinstance(delta, Reply | Failure) for delta in deltas)
        return last

    async def reply(self, request: GenerateRequest | None = None) -> Reply:
        last = await self(request)
        assert isinstance(last, Reply), last
        return last

    async def failure(self, request: GenerateRequest | None = None) -> Failure:
        last = await self(request)
        assert isinstance(last, Failure), last
        return last

    def shown(self, kind: type[ReasoningDelta | TextDelta]) -> str:
        return "".join(piece.text for piece in self.pieces if isinstance(piece, kind))


def asked(*messages: Message, **fields: Any) -> GenerateRequest:
    fields = {"model": "claude-sonnet-4-5", "instruction": "Be brief.", "timeout": 5_000} | fields
    return GenerateRequest(messages=History(messages or (user_message("m1", "Hello"),)), **fields)


@pytest.fixture
def ask_for():
    """Builds a request; every field has a default."""
    return asked


@pytest.fixture
async def ask() -> AsyncIterator:
    """Opens the Anthropic wire to a URL. Its connections are closed after the test."""
    async with AsyncExitStack() as stack:

        def opened(url: str, **settings: Any) -> Asking:
            told = ProviderSettings(base_url=url, **settings)
            provider = open_provider(told, {"ANTHROPIC_API_KEY": KEY})
            stack.push_async_callback(provider.aclose)
            return Asking(provider)

        yield opened
