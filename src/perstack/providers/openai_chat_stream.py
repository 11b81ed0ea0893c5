"""The chunks of a Chat Completions stream, folded into a reply."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from perstack.net.redaction import Redaction
from perstack.providers import Failure, ReasoningDelta, Reply, TextDelta
from perstack.providers.failure import (
    FINAL_NAMES,
    RETRYABLE_NAMES,
    RETRYABLE_STATUSES,
    too_large,
    trouble,
    vendor_failure,
)
from perstack.providers.limits import Held, ReplyTooLarge
from perstack.providers.openai_chat_calls import OpenCalls
from perstack.providers.openai_chat_chunk import Delta, Problem, read_chunk
from perstack.providers.wire import encode_json, sealed
from perstack.schema.message import ExpertPart, Json, TextPart, ThinkingPart
from perstack.schema.usage import NO_USAGE, Usage

DONE = b"[DONE]"
CUT = "length"
FAILURES = {
    "content_filter": ("The vendor's content filter ended the reply.", False),
    "insufficient_system_resource": ("The vendor ran out of resources in the reply.", True),
    "error": ("The model's server ended the reply with an error.", True),
}
"""Finish reasons that leave no reply worth keeping: what to say, and whether to come back."""


class ReplyBuilder:
    """One reply while it arrives. `names` gives back the names that the wire changed.

    Reasoning is sealed for `wire`. `place`, a number for each request of a run, tells
    calls apart that a server gave no id. A failure of the vendor's says nothing that
    `redaction` hides; a reply is the model's. Ask for `reply` once `is_done`, or when
    the stream has ended.
    """

    def __init__(
        self, names: Mapping[str, str], redaction: Redaction, *, wire: str, place: int
    ) -> None:
        self.is_done = False
        self.usage: Usage = NO_USAGE
        self._redaction = redaction
        self._wire = wire
        self._text: list[str] = []
        self._refusal: list[str] = []
        self._held = Held()
        self._thoughts = _Thoughts(self._held)
        self._calls = OpenCalls(names, place, self._held)
        self._finish_reason = ""
        self._failure: Failure | None = None

    def feed(self, events: Sequence[bytes]) -> list[ReasoningDelta | TextDelta]:
        """What `events` add for the reader's eyes. Deltas that arrive together are joined."""
        shown: list[tuple[bool, list[str]]] = []
        for data in events:
            if self.is_done:
                break
            try:
                for text, is_text in self._read(data):
                    if shown and shown[-1][0] is is_text:
                        shown[-1][1].append(text)
                    else:
                        shown.append((is_text, [text]))
            except ReplyTooLarge as error:
                self._fail(too_large(error))
            except (msgspec.MsgspecError, ValueError, RecursionError):
                self._fail_unreadable()
        return [
            (TextDelta if is_text else ReasoningDelta)(text="".join(texts))
            for is_text, texts in shown
        ]

    def reply(self) -> Reply | Failure:
        """The whole reply, or why there is none."""
        if self._failure is not None:
            return msgspec.structs.replace(self._failure, usage=self.usage)
        if not self.is_done and not self._finish_reason:
            message = "The model's server hung up inside the stream."
            failure = trouble("Disconnected", message, is_retryable=True)
            return msgspec.structs.replace(failure, usage=self.usage)
        if words := FAILURES.get(self._finish_reason):
            failure = trouble(self._finish_reason, words[0], is_retryable=words[1])
            return msgspec.structs.replace(failure, usage=self.usage)
        if self._refusal:
            message = f"The model refused to answer: {''.join(self._refusal)}"
            return vendor_failure("refusal", message, self._redaction, self.usage)
        try:
            calls, problems = self._calls.parts()
        except ReplyTooLarge as error:
            return too_large(error, self.usage)
        contents: list[ExpertPart] = []
        if (thinking := self._thoughts.part(self._wire)) is not None:
            contents.append(thinking)
        if text := "".join(self._text):
            contents.append(TextPart(text=text))
        return Reply(
            contents=(*contents, *calls),
            usage=self.usage,
            is_truncated=self._finish_reason == CUT,
            problems=problems,
        )

    def _read(self, data: bytes) -> Iterator[tuple[str, bool]]:
        """Take one event. Gives what it shows a reader, and whether that is text.

        Raises ReplyTooLarge, and what a call raises whose arguments cannot be read.
        """
        if data.strip() == DONE:
            self.is_done = True
            return
        chunk = read_chunk(data)
        if chunk is None:
            self._fail_unreadable()
            return
        if chunk.usage is not None:
            self.usage = chunk.usage.usage
        if (problem := chunk.problem) is not None:
            self._fail(self._told(problem))
            return
        for choice in chunk.choices or ():
            if choice.index:
                continue
            if choice.delta is not None:
                yield from self._grow(choice.delta)
            if choice.finish_reason:
                self._finish_reason = choice.finish_reason

    def _grow(self, delta: Delta) -> Iterator[tuple[str, bool]]:
        if thought := self._thoughts.grow(delta):
            yield thought, False
        if delta.content:
            self._held.grow("text", len(delta.content))
            self._text.append(delta.content)
            yield delta.content, True
        if delta.refusal:
            self._held.grow("text", len(delta.refusal))
            self._refusal.append(delta.refusal)
        for call in delta.tool_calls or ():
            self._calls.grow(call)

    def _told(self, problem: Problem) -> Failure:
        """A failure of the server's own telling, under the name that says most of a retry."""
        code = problem.code
        name = (code if isinstance(code, str) else "") or problem.type or "error"
        if problem.type in RETRYABLE_NAMES and name not in FINAL_NAMES | RETRYABLE_NAMES:
            name = problem.type
        message = problem.message or "The model's server reported an error."
        failure = vendor_failure(name, message, self._redaction)
        if not isinstance(code, int):
            return failure
        passes = code in RETRYABLE_STATUSES or 500 <= code < 600
        error = msgspec.structs.replace(
            failure.error,
            status_code=code,
            is_retryable=(passes or failure.error.is_retryable) and name not in FINAL_NAMES,
        )
        return msgspec.structs.replace(failure, error=error)

    def _fail_unreadable(self) -> None:
        message = "The model's server sent an event that cannot be read."
        self._fail(trouble("UnreadableResponse", message, is_retryable=True))

    def _fail(self, failure: Failure) -> None:
        self.is_done = True
        self._failure = failure


class _Thoughts:
    """The reasoning of a reply, and the field it came in. Counts what it holds in `held`."""

    def __init__(self, held: Held) -> None:
        self._held = held
        self._field = ""
        self._pieces: list[str] = []
        self._details: list[_Detail] = []

    def grow(self, delta: Delta) -> str:
        """Keep what `delta` adds. Gives what a reader sees of it."""
        details = delta.reasoning_details or ()
        for told in details:
            words = _words(told)
            size = len(encode_json(told)) - ENVELOPE_BYTES
            self._held.grow("thinking", max(len(words), size))
            if not (self._details and self._details[-1].grow(told)):
                self._held.part()
                self._details.append(_Detail(told))
        text = delta.reasoning_content
        if text:
            self._field = "reasoning_content"
        elif text := delta.reasoning:
            self._field = "reasoning"
        if text:
            self._held.grow("thinking", len(text))
        else:
            text = "".join(_words(told) for told in details)
        if text:
            self._pieces.append(text)
        return text

    def part(self, wire: str) -> ThinkingPart | None:
        """The thinking part, with the field's name, or the details, for its proof."""
        thinking = "".join(self._pieces)
        if self._details:
            told = [detail.whole for detail in self._details]
            proof = encode_json(told).decode()
            return ThinkingPart(
                thinking=thinking, signature=sealed(wire, proof), redacted=not thinking
            )
        if not thinking:
            return None
        return ThinkingPart(thinking=thinking, signature=sealed(wire, self._field))


ENVELOPE_BYTES = 256
"""Of a reasoning detail: its type, format, id and index, told again with every piece."""
_GROWING = {"reasoning.text": "text", "reasoning.summary": "summary"}
"""Which field of a reasoning detail arrives in pieces, by the detail's type."""


class _Detail:
    """One of OpenRouter's `reasoning_details`, which go back as they came.

    https://openrouter.ai/docs/use-cases/reasoning-tokens
    """

    __slots__ = ("_field", "_pieces", "_told")

    def __init__(self, told: Json) -> None:
        self._told = told
        self._field = _GROWING.get(str(told.get("type")), "")
        self._pieces = [_words(told)]

    def grow(self, told: Json) -> bool:
        """Whether `told` is a further piece of this one; it is then part of it."""
        same = all(told.get(name) == self._told.get(name) for name in ("type", "index"))
        if not self._field or not same:
            return False
        self._pieces.append(_words(told))
        self._told |= {name: value for name, value in told.items() if value is not None}
        return True

    @property
    def whole(self) -> Json:
        return self._told | {self._field: "".join(self._pieces)} if self._field else self._told


def _words(told: Json) -> str:
    words = told.get(_GROWING.get(str(told.get("type")), ""))
    return words if isinstance(words, str) else ""
