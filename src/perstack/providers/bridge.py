"""The Provider for every vendor that is asked through pydantic-ai.

The library knows how each vendor's messages look; what goes over the network, and how
long it may take, is ours (`bridge_transport`). What it makes of a stream is a reply of
ours in `bridge_reply`, and what it raises a failure in `bridge_failure`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, suppress
from typing import TYPE_CHECKING, Any, Protocol

import anyio
import anyio.lowlevel
import msgspec
from pydantic_ai.direct import model_request_stream  # noqa: TID253 - loaded with the first provider
from pydantic_ai.messages import InstructionPart, PartStartEvent  # noqa: TID253 - see above
from pydantic_ai.models import ModelRequestParameters  # noqa: TID253 - see above
from pydantic_ai.tools import ToolDefinition as OfferedTool  # noqa: TID253 - see above

from perstack.errors import ConfigurationError
from perstack.net.redaction import Redaction
from perstack.providers import Failure, Generated, GenerateRequest, ReasoningDelta, Reply, TextDelta
from perstack.providers.bridge_call import Call, within
from perstack.providers.bridge_failure import failure_of
from perstack.providers.bridge_messages import Translator, sayable
from perstack.providers.bridge_reply import delta_of, reply_of, usage_of, whole
from perstack.providers.bridge_warnings import hush
from perstack.providers.failure import trouble
from perstack.providers.http import SILENCE_SECONDS
from perstack.providers.wire import wire_name
from perstack.schema.usage import NO_USAGE, Usage

if TYPE_CHECKING:
    from pydantic_ai.models import Model, StreamedResponse
    from pydantic_ai.settings import ModelSettings

MAX_PARTS = 1_000
"""Texts, thoughts and calls of one reply: the library's time grows with their square."""


class Vendor(Protocol):
    """A vendor, opened with our key and our connections.

    Attributes:
        way_out: how to give it credentials, for an error.
    """

    way_out: str

    @property
    def redaction(self) -> Redaction:
        """Hides its secrets, as far as they are known by now."""
        ...

    def model(self, name: str) -> Model[Any]:
        """The library's model `name`. Raises ConfigurationError where there is none."""
        ...

    def wire(self, name: str) -> str:
        """Whose proofs the model `name` takes back."""
        ...

    def takes_thoughts(self, model: Model[Any]) -> bool:
        """Whether `model` is shown again what it thought."""
        ...

    def refused(self, request: GenerateRequest) -> Failure | None:
        """Why it would not take the request's tools; None if it would."""
        ...

    def settings(self, request: GenerateRequest, model: Model[Any]) -> ModelSettings:
        """What is asked for beside the messages: reasoning, limits, caching."""
        ...

    def lane(self) -> AbstractContextManager[None]:
        """What a request takes up while it runs."""
        ...

    async def aclose(self) -> None:
        """Close connections. May be called twice."""
        ...


class BridgedModel:
    """The Provider for the models of `vendor`.

    A reply that the vendor's filter ended, and one that filled the context window, are
    failures under the vendor's own reason; a reply cut at its limit is `is_truncated`.
    """

    def __init__(self, vendor: Vendor) -> None:
        self._vendor = vendor

    def __repr__(self) -> str:
        return f"BridgedModel({type(self._vendor).__name__})"

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Generated, None]:
        """One reply to `request`, streamed."""
        if (refused := self._vendor.refused(request)) is not None:
            yield refused
            return
        try:
            model = self._vendor.model(request.model)
        except ConfigurationError as error:
            message = self._vendor.redaction.hidden(error.message)
            yield trouble("ConfigurationError", message, is_retryable=False)
            return
        with self._vendor.lane():
            exchange = _Exchange(self._vendor, model, request)
            try:
                last = await exchange.open()
                while last is None or isinstance(last, ReasoningDelta | TextDelta):
                    if last is not None:
                        yield last
                    last = await exchange.read()
            finally:
                await exchange.close()
        yield last

    async def aclose(self) -> None:
        """Close connections. May be called twice."""
        await self._vendor.aclose()


class _Exchange:
    """One request and what comes back, pulled event by event under its deadline."""

    def __init__(self, vendor: Vendor, model: Model[Any], request: GenerateRequest) -> None:
        self._vendor = vendor
        self._model = model
        self._request = request
        self._names = {wire_name(tool.name): tool.name for tool in request.tools}
        self._wire = vendor.wire(request.model)
        self._call = Call()
        self._deadline = anyio.current_time() + request.timeout / 1000
        self._stream: StreamedResponse | None = None

    async def open(self) -> Failure | None:
        """Send the request. Gives a Failure, or nothing yet."""
        try:
            hush()
            with within(self._call), anyio.fail_after(self._patience()):
                self._opening = self._opened()
                self._stream = await self._opening.__aenter__()
                self._events = aiter(self._stream)
        except Exception as error:  # noqa: BLE001 - the SDKs' errors have no common root
            return self._failure(error)
        return None

    async def read(self) -> ReasoningDelta | TextDelta | Reply | Failure | None:
        """What the next event adds (maybe nothing), and at the end the reply."""
        try:
            with within(self._call):
                with anyio.fail_after(self._patience()):
                    event = await anext(self._events, None)
                if event is None:
                    return self._reply()
            if isinstance(event, PartStartEvent):
                await self._begun(event.index)
            return delta_of(event)
        except Exception as error:  # noqa: BLE001 - see above
            return self._failure(error)

    async def close(self) -> None:
        """Let go of the connection, whatever has happened to it."""
        self._call.cancel()
        with anyio.CancelScope(shield=True):
            if self._stream is not None:
                with suppress(Exception):  # what it was for is over
                    await self._opening.__aexit__(None, None, None)
            await self._call.aclose()

    def _opened(self) -> AbstractAsyncContextManager[StreamedResponse]:
        request = self._request
        translator = Translator(
            self._wire,
            self._model.system,
            self._model.profile.get("tool_call_id_length") or 0,
            takes_thoughts=self._vendor.takes_thoughts(self._model),
        )
        return model_request_stream(
            self._model,
            translator.messages(request.messages),
            model_settings=self._vendor.settings(request, self._model),
            model_request_parameters=_parameters(request),
            instrument=False,
        )

    async def _begun(self, index: int) -> None:
        """A new part. The library looks through all parts at each, without a pause."""
        if index >= MAX_PARTS:
            message = f"The reply has more than {MAX_PARTS} parts."
            self._call.failure = trouble("ResponseTooLarge", message, is_retryable=False)
            raise EOFError
        await anyio.lowlevel.checkpoint()
        if anyio.current_time() >= self._deadline:
            raise TimeoutError

    def _reply(self) -> Reply | Failure:
        if self._stream is None or self._call.failure is not None:
            return self._failure(EOFError())
        return reply_of(self._stream.get(), self._wire, self._names, self._vendor.redaction)

    def _failure(self, error: Exception) -> Failure:
        if anyio.current_time() >= self._deadline:
            seconds = self._request.timeout / 1000
            message = f"The model did not finish within {seconds:g} s."
            failure = trouble("TimedOut", message, is_retryable=True)
        elif self._call.failure is not None:
            failure = self._call.failure
        else:
            failure = failure_of(
                error,
                self._vendor.redaction,
                self._vendor.way_out,
                is_answered=self._call.is_answered,
            )
        error_of = msgspec.structs.replace(
            failure.error, name=whole(failure.error.name), message=whole(failure.error.message)
        )
        return msgspec.structs.replace(failure, error=error_of, usage=self._usage())

    def _usage(self) -> Usage:
        """What was read before it broke is paid for."""
        return usage_of(self._stream.usage) if self._stream is not None else NO_USAGE

    def _patience(self) -> float:
        return min(SILENCE_SECONDS, max(0.0, self._deadline - anyio.current_time()))


def _parameters(request: GenerateRequest) -> ModelRequestParameters:
    """Tools as their servers describe them: `strict` would let the library rewrite them."""
    tools = [
        OfferedTool(
            name=wire_name(tool.name),
            description=sayable(tool.description.strip()) or None,
            parameters_json_schema=sayable(tool.input_schema),
            strict=False,
        )
        for tool in request.tools
    ]
    instruction = sayable(request.instruction)
    parts = [InstructionPart(instruction)] if instruction.strip() else None
    return ModelRequestParameters(function_tools=tools, instruction_parts=parts)
