"""A model that says what a script tells it to, in this process."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Literal, Self, TypeAlias, TypeVar

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
from perstack.schema.keys import parse_key
from perstack.schema.message import (
    ExpertMessage,
    ExpertPart,
    Json,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolMessage,
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

_T = TypeVar("_T")

SHOWN = 200
"""Characters of a request that a failure repeats."""


class ScriptedModel:
    """A Provider whose replies are known beforehand.

    `script` is a list of answers or a function of the request. A list is given out in
    the order of the requests or, with `by="turn"`, by the number of replies in the
    request's history: then a new model goes on where another one stopped, each run
    begins at the first answer, and a failure is given to it once. Past the end of a
    list every request fails, with the name "ScriptExhausted", no retry, and what was
    asked in its message. Runs that go on at the same time need `by="turn"`, a function,
    or `for_experts`.

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
        self._script = script if callable(script) or by == "arrival" else _Turns(script)
        self._before = before

    @classmethod
    def for_experts(
        cls,
        scripts: Mapping[str, Sequence[Answer]],
        *,
        before: Callable[[GenerateRequest], Awaitable[object]] | None = None,
    ) -> Self:
        """A model with a script for each Expert, by its key or name.

            model = ScriptedModel.for_experts({
                "editor": [call("writer", {"query": "A line about rain."}), say("Printed.")],
                "writer": [say("It rains.")],
            })

        A script is played from its beginning in each run of its Expert, by turn, so that
        delegates may run at the same time. An Expert without one fails with the name
        "UnexpectedExpert".
        """
        return cls(_Cast(scripts), before=before)

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Generated, None]:
        """The script's answer to `request`."""
        place = len(self.requests)
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
        return exhausted(f"The script has no answer {place + 1}", request)


class _Turns:
    """A script by turn, as a function of the request."""

    def __init__(self, script: Sequence[Answer], whose: str = "The script") -> None:
        self._turns = turns(script, _is_kept)
        self._whose = whose
        self._asked: Counter[tuple[str, int]] = Counter()

    def __call__(self, request: GenerateRequest) -> Answer:
        turn = sum(isinstance(message, ExpertMessage) for message in request.messages)
        times = self._asked[(request.cache_key, turn)]
        self._asked[(request.cache_key, turn)] += 1
        answers = self._turns[turn] if turn < len(self._turns) else ()
        if not answers or (times >= len(answers) and not _is_kept(answers[-1])):
            return exhausted(f"{self._whose} has no answer {turn + 1}", request)
        return answers[min(times, len(answers) - 1)]


class _Cast:
    """A script for each Expert, as a function of the request."""

    def __init__(self, scripts: Mapping[str, Sequence[Answer]]) -> None:
        self._scripts = {
            key: _Turns(script, f"The script of the Expert {key!r}")
            for key, script in scripts.items()
        }

    def __call__(self, request: GenerateRequest) -> Answer:
        key = request.expert_key
        script = self._scripts.get(key)
        if script is None and key:
            script = self._scripts.get(parse_key(key).name)
        if script is not None:
            return script(request)
        known = ", ".join(self._scripts) or "none"
        message = f"There is no script for the Expert {key!r}, only for: {known}."
        return fail("UnexpectedExpert", message=f"{message} {_asked(request)}")


def turns(answers: Sequence[_T], is_kept: Callable[[_T], bool]) -> tuple[tuple[_T, ...], ...]:
    """The answers by turn: each turn ends with a reply that is kept in the history.

    Before it may stand answers that are not, such as failures: the same turn is then
    asked again. The last turn may have none that is kept.
    """
    groups: list[tuple[_T, ...]] = [()]
    for answer in answers:
        groups[-1] = (*groups[-1], answer)
        if is_kept(answer):
            groups.append(())
    return tuple(group for group in groups if group)


def exhausted(problem: str, request: GenerateRequest) -> Failure:
    """The failure past the end of a script: what is missing, and what was asked."""
    return fail("ScriptExhausted", message=f"{problem}. {_asked(request)}")


def _asked(request: GenerateRequest) -> str:
    """What a request is about: its newest message, in short."""
    newest = request.messages[-1] if request.messages else None
    if isinstance(newest, ToolMessage):
        results = ", ".join(
            f"{result.tool_name}: "
            + "".join(part.text for part in result.contents if isinstance(part, TextPart))
            for result in newest.contents
        )
        return f"It was asked after the results of its calls: {_short(results)}"
    parts = newest.contents if newest is not None else ()
    words = "".join(part.text for part in parts if isinstance(part, TextPart))
    return f"It was asked: {_short(words)}"


def _short(text: str) -> str:
    return repr(text if len(text) <= SHOWN else text[:SHOWN] + "…")


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


def _is_kept(answer: Answer) -> bool:
    """Whether a run keeps it in its history: no failure, nothing empty, no calls cut off."""
    if isinstance(answer, str):
        return bool(answer.strip())
    last = answer if isinstance(answer, Reply | Failure) else answer[-1] if answer else None
    if not isinstance(last, Reply):
        return False
    message = last.message
    return bool(message.text.strip()) or (bool(message.calls) and not last.is_truncated)


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
