"""A model that says what a script tells it to, in this process."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Literal, TypeAlias

import msgspec

from perstack.providers import (
    Failure,
    Generated,
    GenerateRequest,
    ReasoningDelta,
    Reply,
    TextDelta,
)
from perstack.schema.checkpoint import RunError
from perstack.schema.message import (
    ExpertMessage,
    ExpertPart,
    Json,
    TextPart,
    ThinkingPart,
    ToolCallPart,
)
from perstack.schema.usage import NO_USAGE, Usage

Answer: TypeAlias = str | Reply | Failure | Sequence[Generated]
"""Text, a whole reply, a failure, or deltas that end with a reply or a failure."""

Script: TypeAlias = (
    Sequence[Answer]
    | Callable[[GenerateRequest], Answer]
    | Callable[[GenerateRequest], Awaitable[Answer]]
)
"""Answers in order, or a function of the request, plain or async."""


class ScriptedModel:
    """A Provider whose replies are known beforehand.

    `script` is a list of answers or a function of the request. A list is given out in
    the order of the requests or, with `by="turn"`, by the number of replies in the
    request's history: then a new model goes on where another one stopped. Past its end
    every request fails, with the name "ScriptExhausted" and no retry. Runs that go on at
    the same time need a function, or a model each.

    Replies stream as one delta for each thinking and text part. A call without an id is
    named `call-{messages}-{place}` after the request's length and its place in the
    reply: the same request always gets the same ids.

    Attributes:
        requests: every request so far, in the order they came.
    """

    def __init__(
        self,
        script: Script = (),
        *,
        by: Literal["arrival", "turn"] = "arrival",
        before: Callable[[GenerateRequest], Awaitable[object]] | None = None,
    ) -> None:
        """`before` is awaited ahead of every answer: a test can hold the model there."""
        self.requests: list[GenerateRequest] = []
        self.is_closed = False
        self._script = script
        self._by = by
        self._before = before

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Generated, None]:
        """The script's answer to `request`."""
        place = len(self.requests)
        if self._by == "turn":
            place = sum(isinstance(message, ExpertMessage) for message in request.messages)
        self.requests.append(request)
        if self._before is not None:
            await self._before(request)
        answer = await self._answer(request, place)
        for piece in _streamed(answer):
            yield _named(piece, len(request.messages)) if isinstance(piece, Reply) else piece

    async def aclose(self) -> None:
        """Note that the model was closed. It answers all the same."""
        self.is_closed = True

    async def _answer(self, request: GenerateRequest, place: int) -> Answer:
        if callable(self._script):
            answer = self._script(request)
            return await answer if inspect.isawaitable(answer) else answer
        if place < len(self._script):
            return self._script[place]
        return fail("ScriptExhausted", message=f"The script has no answer {place + 1}.")


def say(text: str, *, thinking: str = "", usage: Usage = NO_USAGE) -> Reply:
    """A reply in words, after `thinking` where given."""
    return Reply(contents=(*_thought(thinking), TextPart(text=text)), usage=usage)


def call(
    tool: str,
    args: Mapping[str, object] | None = None,
    *,
    id: str = "",  # noqa: A002 - the field's own name
    text: str = "",
    thinking: str = "",
    usage: Usage = NO_USAGE,
) -> Reply:
    """A reply that calls one tool, after `thinking` and `text` where given."""
    called: Json = dict(args or {})
    said = (TextPart(text=text),) if text else ()
    part = ToolCallPart(tool_call_id=id, tool_name=tool, args=called)
    return Reply(contents=(*_thought(thinking), *said, part), usage=usage)


def together(*replies: Reply) -> Reply:
    """One reply with the parts of all: `together(call("a"), call("b"))` calls two tools."""
    return Reply(
        contents=tuple(part for reply in replies for part in reply.contents),
        usage=sum((reply.usage for reply in replies), NO_USAGE),
        is_truncated=any(reply.is_truncated for reply in replies),
        problems={key: problem for reply in replies for key, problem in reply.problems.items()},
    )


def fail(
    name: str = "overloaded_error",
    status: int | None = None,
    retryable: bool = False,  # noqa: FBT001, FBT002 - reads well by name, and is short in a script
    *,
    message: str = "",
    retry_after: int | None = None,
) -> Failure:
    """A failure as a vendor would report it. `retry_after` is ms."""
    error = RunError(
        name=name,
        message=message or f"The script says {name}.",
        status_code=status,
        is_retryable=retryable,
    )
    return Failure(error=error, retry_after=retry_after)


def _thought(thinking: str) -> tuple[ExpertPart, ...]:
    return (ThinkingPart(thinking=thinking, signature="scripted"),) if thinking else ()


def _streamed(answer: Answer) -> Sequence[Generated]:
    if isinstance(answer, str):
        answer = say(answer)
    if isinstance(answer, Failure):
        return (answer,)
    if not isinstance(answer, Reply):
        return answer
    pieces: list[Generated] = []
    for part in answer.contents:
        if isinstance(part, ThinkingPart) and not part.redacted:
            pieces.append(ReasoningDelta(text=part.thinking))
        elif isinstance(part, TextPart):
            pieces.append(TextDelta(text=part.text))
    return (*pieces, answer)


def _named(reply: Reply, length: int) -> Reply:
    """The reply with an id for every call that has none."""
    contents = tuple(
        msgspec.structs.replace(part, tool_call_id=f"call-{length}-{place}")
        if isinstance(part, ToolCallPart) and not part.tool_call_id
        else part
        for place, part in enumerate(reply.contents)
    )
    return msgspec.structs.replace(reply, contents=contents)
