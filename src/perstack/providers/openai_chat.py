"""Models behind a Chat Completions endpoint: OpenAI's, and those of compatible servers."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import msgspec

from perstack.providers import Failure, Generated, GenerateRequest
from perstack.providers.endpoint import Endpoint
from perstack.providers.models import model_info
from perstack.providers.openai_chat_body import request_body
from perstack.providers.openai_chat_quirks import Quirks
from perstack.providers.openai_chat_stream import ReplyBuilder
from perstack.providers.openai_schema import schema_problem
from perstack.providers.wire import wire_name


class ChatModel:
    """The Provider for one server that speaks Chat Completions.

    A refusal, and a reply that a content filter ended, are failures; a reply cut at the
    token limit is a reply and `is_truncated`. A tool that OpenAI would refuse is a
    failure before anything is sent.
    """

    def __init__(self, endpoint: Endpoint, quirks: Quirks) -> None:
        self._endpoint = endpoint
        self._quirks = quirks

    def __repr__(self) -> str:
        return f"ChatModel({self._endpoint!r})"

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Generated, None]:
        """One reply to `request`, streamed."""
        quirks = self._quirks
        if quirks.is_vendor and (refused := schema_problem(request.tools)) is not None:
            yield refused
            return
        builder = ReplyBuilder(
            {wire_name(tool.name): tool.name for tool in request.tools},
            self._endpoint.redaction,
            wire=quirks.wire,
            place=len(request.messages),
        )
        body = request_body(request, model_info(quirks.provider, request.model), quirks)
        async with self._endpoint.post(body, request.timeout) as answer:
            while not builder.is_done:
                events = await answer.read()
                if isinstance(events, Failure):
                    yield msgspec.structs.replace(events, usage=builder.usage)
                    return
                if events is None:
                    break
                for delta in builder.feed(events):
                    yield delta
            await answer.finish()
        yield builder.reply()

    def load_client(self) -> None:
        """Load the HTTP client now: the first request would wait for it."""
        self._endpoint.load_client()

    async def aclose(self) -> None:
        """Close connections. May be called twice."""
        await self._endpoint.aclose()
