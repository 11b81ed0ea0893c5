"""OpenAI's models, and others' that speak the same dialect, over the Responses API."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from perstack.providers import Failure, Generated, GenerateRequest
from perstack.providers.endpoint import Endpoint
from perstack.providers.models import model_info
from perstack.providers.openai_responses_body import request_body
from perstack.providers.openai_responses_stream import ReplyBuilder
from perstack.providers.openai_schema import schema_problem
from perstack.providers.wire import wire_name


class ResponsesModel:
    """The Provider for models behind a Responses endpoint.

    `provider` is the name under which models are known. `is_vendor`: the server is
    OpenAI's, or Azure's; any other gets only what every server of the dialect takes.
    Nothing is stored there: reasoning goes back encrypted, and only to the provider
    that it came from.

    A refusal, and a reply that the vendor's filter ended, are failures; a reply that
    was cut is a reply and `is_truncated`. A tool that OpenAI would refuse is a failure
    before anything is sent.
    """

    def __init__(self, endpoint: Endpoint, *, provider: str, is_vendor: bool) -> None:
        self._endpoint = endpoint
        self._provider = provider
        self._is_vendor = is_vendor
        self._wire = f"{provider}-responses" if is_vendor else f"{provider}-responses-like"

    def __repr__(self) -> str:
        return f"ResponsesModel({self._endpoint!r})"

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Generated, None]:
        """One reply to `request`, streamed."""
        if self._is_vendor and (refused := schema_problem(request.tools)) is not None:
            yield refused
            return
        names = {wire_name(tool.name): tool.name for tool in request.tools}
        builder = ReplyBuilder(names, self._endpoint.redaction, wire=self._wire)
        info = model_info(self._provider, request.model)
        body = request_body(request, wire=self._wire, info=info, is_vendor=self._is_vendor)
        async with self._endpoint.post(body, request.timeout) as answer:
            while not builder.is_done:
                events = await answer.read()
                if isinstance(events, Failure):
                    yield events
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
