"""Amazon Bedrock through botocore, whose requests go over our own connections.

botocore works in threads. A thread only waits for what the event loop does on its
behalf, so a request that is cancelled ends at once, and its thread with it. Looking for
credentials where none are given (an instance's role) is botocore's own, at the first
request. Requests are signed, and a signature does not tell the key; a session token
stands in each request, and is taken out of what botocore logs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

import anyio
import anyio.from_thread
import anyio.to_thread
import httpx2
from pydantic_ai.models.bedrock import (  # noqa: TID253 - loaded with the first such provider
    BedrockConverseModel,
    BedrockModelSettings,
)
from pydantic_ai.providers.bedrock import BedrockProvider  # noqa: TID253 - see above

from perstack.net.redaction import Redaction
from perstack.providers import Failure, GenerateRequest
from perstack.providers.anthropic_limits import token_limits
from perstack.providers.bridge_call import current_call
from perstack.providers.bridge_proof import proof_of
from perstack.providers.bridge_reasoning import thinking_of
from perstack.providers.bridge_schema import claude_problem, no_object, refused_tool
from perstack.providers.bridge_transport import STAND_IN, Transport
from perstack.schema.history import History
from perstack.schema.message import ExpertMessage, ThinkingPart, UserMessage

if TYPE_CHECKING:
    from pydantic_ai.models import Model
    from pydantic_ai.settings import ModelSettings

TALKATIVE = ("auth", "awsrequest", "endpoint", "hooks", "parsers", "retryhandler")
"""Modules of botocore whose loggers show requests or answers."""


class Bedrock:
    """The models of Bedrock. `secrets` are those that its client knows by now."""

    def __init__(
        self, client: Any, transport: Transport, way_out: str, secrets: Callable[[], list[str]]
    ) -> None:
        self.way_out = way_out
        self._transport = transport
        self._secrets = secrets
        self._provider = BedrockProvider(bedrock_client=client)
        self._discretion = _Discretion(lambda: self.redaction)
        client.meta.events.register("before-send.bedrock-runtime", Courier(transport))
        for name in TALKATIVE:
            logging.getLogger(f"botocore.{name}").addFilter(self._discretion)

    @property
    def redaction(self) -> Redaction:
        return Redaction((*self._transport.secrets, *self._secrets()))

    def model(self, name: str) -> Model[Any]:
        as_it_came = cast("Any", {"json_schema_transformer": None})
        return BedrockConverseModel(name, provider=self._provider, profile=as_it_came)

    def wire(self, name: str) -> str:
        """Claude's proofs are Claude's."""
        return "amazon-bedrock-claude" if _claude(name) else "amazon-bedrock"

    def takes_thoughts(self, model: Model[Any]) -> bool:
        return bool(model.profile.get("bedrock_send_back_thinking_parts", False))

    def refused(self, request: GenerateRequest) -> Failure | None:
        problem = claude_problem if _claude(request.model) else no_object
        return refused_tool("Bedrock", request.tools, problem)

    def settings(self, request: GenerateRequest, model: Model[Any]) -> ModelSettings:
        """Cache marks after instruction, tools and the newest messages, where models take them.

        A Claude that counts tokens to think gets a number of them, others a level.
        """
        settings = BedrockModelSettings(cache=True, tool_choice=request.tool_choice)
        name = _claude(request.model)
        if not name or model.profile.get("bedrock_supports_adaptive_thinking", False):
            settings["thinking"] = thinking_of(request.reasoning_budget)
            return settings
        limits = token_limits(name, request.reasoning_budget)
        settings["max_tokens"] = limits.max_tokens
        if limits.thinking and _may_think(request.messages, self.wire(request.model)):
            settings["bedrock_additional_model_requests_fields"] = {
                "thinking": {"type": "enabled", "budget_tokens": limits.thinking}
            }
        return settings

    @contextmanager
    def _lane(self) -> Generator[None]:
        limiter = anyio.to_thread.current_default_thread_limiter()
        limiter.total_tokens += 1
        try:
            yield
        finally:
            limiter.total_tokens -= 1

    def lane(self) -> AbstractContextManager[None]:
        """A stream holds a thread while it waits: it brings its own, and takes nobody's."""
        return self._lane()

    async def aclose(self) -> None:
        for name in TALKATIVE:
            logging.getLogger(f"botocore.{name}").removeFilter(self._discretion)
        await self._transport.aclose()


class Courier:
    """Carries botocore's requests, as the handler of its event `before-send`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def __call__(self, request: Prepared, **_: object) -> Any:
        """The response to `request`. Called in a worker thread."""
        return anyio.from_thread.run(self._carry, request)

    async def _carry(self, request: Prepared) -> Any:
        call = current_call()
        body = request.body or b""
        headers = {name: _text(value) for name, value in request.headers.items()}
        if self._transport.has_key:
            headers["authorization"] = f"Bearer {STAND_IN}"
        asked = httpx2.Request(
            request.method,
            request.url,
            headers=headers,
            content=body.encode() if isinstance(body, str) else bytes(body),
        )
        with call.cancellable():
            response = await self._transport.handle_async_request(asked)
            raw = _Raw(response, call.cancellable)
            made = import_module("botocore.awsrequest").AWSResponse
            return made(request.url, response.status_code, dict(response.headers), raw)
        raise ConnectionAbortedError("The request was cancelled.")


class Prepared(Protocol):
    """A request of botocore's, signed."""

    method: str
    url: str
    headers: Any
    body: bytes | bytearray | str | None


class _Raw:
    """A response's bytes, as botocore reads them in its threads."""

    def __init__(
        self, response: httpx2.Response, cancellable: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self._response = response
        self._cancellable = cancellable
        self._chunks = aiter(cast("httpx2.AsyncByteStream", response.stream))

    def stream(self, *_: object, **__: object) -> Iterator[bytes]:
        while (chunk := anyio.from_thread.run(self._next)) is not None:
            yield chunk

    def close(self) -> None:
        anyio.from_thread.run(self._response.aclose)

    async def _next(self) -> bytes | None:
        with self._cancellable():
            return await anext(self._chunks, None)
        raise ConnectionAbortedError("The request was cancelled.")


class _Discretion(logging.Filter):
    """Takes secrets out of what is logged."""

    def __init__(self, redaction: Callable[[], Redaction]) -> None:
        super().__init__()
        self._redaction = redaction

    def filter(self, record: logging.LogRecord) -> bool:
        redaction = self._redaction()
        record.msg, record.args = redaction.hidden(record.getMessage()), ()
        trace = record.exc_text or ""
        if record.exc_info and not trace:
            trace = _WORDS.formatException(record.exc_info)
        record.exc_info, record.exc_text = None, redaction.hidden(trace) or None
        return True


_WORDS = logging.Formatter()


def _claude(model: str) -> str:
    """Claude's own name for `model`; empty for one that is none."""
    _, found, name = model.partition("anthropic.")
    return name if found else ""


def _may_think(history: History, wire: str) -> bool:
    """Whether Claude accepts thinking here: not from the middle of a tool loop on.

    The first reply since the user spoke must begin with a thought that it signed.
    """
    first: ExpertMessage | None = None
    for index in range(len(history) - 1, -1, -1):
        message = history[index]
        if isinstance(message, UserMessage):
            break
        if isinstance(message, ExpertMessage) and message.contents:
            first = message
    if first is None:
        return True
    opening = first.contents[0]
    return isinstance(opening, ThinkingPart) and proof_of(wire, opening) is not None


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
