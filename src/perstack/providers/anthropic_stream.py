"""The events of a Messages stream, folded into a reply.

https://docs.claude.com/en/docs/build-with-claude/streaming
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from perstack.net.redaction import Redaction
from perstack.providers import Failure, ReasoningDelta, Reply, TextDelta
from perstack.providers.failure import too_large, trouble, vendor_failure
from perstack.providers.limits import Arguments, Held, HeldKind, ReplyTooLarge
from perstack.providers.wire import arguments, evened_json, tokens
from perstack.schema.message import ExpertPart, TextPart, ThinkingPart, ToolCallPart
from perstack.schema.usage import Usage

KNOWN_EVENTS = frozenset(
    {
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
        "error",
    }
)

REFUSALS = {
    "refusal": "The model refused to answer.",
    "model_context_window_exceeded": (
        "The conversation no longer fits the model's context window: "
        "the reply was cut where it ended."
    ),
}
"""Stop reasons that leave no reply worth keeping."""


class _Counts(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None


class _Started(msgspec.Struct):
    usage: _Counts | None = None


class _Block(msgspec.Struct):
    type: str
    id: str = ""
    name: str = ""
    text: str = ""
    thinking: str = ""
    signature: str = ""
    data: str = ""
    input: msgspec.Raw = msgspec.Raw()


class _Delta(msgspec.Struct):
    type: str = ""
    text: str = ""
    thinking: str = ""
    signature: str = ""
    partial_json: str = ""
    stop_reason: str | None = None


class _Error(msgspec.Struct):
    type: str = "error"
    message: str = ""


class _Event(msgspec.Struct):
    type: str
    index: int = 0
    message: _Started | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: _Counts | None = None
    error: _Error | None = None


class _Named(msgspec.Struct):
    type: str = ""


_decode_event = msgspec.json.Decoder(_Event).decode
_decode_name = msgspec.json.Decoder(_Named).decode


class _OpenBlock:
    """A content block while it arrives. Counts what it holds in `held`."""

    __slots__ = ("_held", "_kind", "arguments", "given", "pieces", "signature", "start")

    def __init__(self, start: _Block, held: Held) -> None:
        self.start = start
        self._held = held
        self._kind: HeldKind = "thinking" if start.type == "thinking" else "text"
        self.arguments = Arguments(held)
        # Kept as text: decoded here and again encoded it would take much more room.
        self.given = bytes(start.input).decode(errors="replace")
        start.input = msgspec.Raw()
        opening = start.thinking if start.type == "thinking" else start.text
        self.pieces = [opening] if opening else []
        self.signature = [start.signature]

    def grow(self, delta: _Delta) -> None:
        """Keep what `delta` adds. Raises ReplyTooLarge."""
        if piece := delta.text or delta.thinking:
            self._held.grow(self._kind, len(piece))
            self.pieces.append(piece)
        elif delta.partial_json:
            self.arguments.grow(delta.partial_json)
        elif delta.signature:
            self._held.grow("thinking", len(delta.signature))
            self.signature.append(delta.signature)


class ReplyBuilder:
    """One reply while it arrives. `names` gives back the names that the wire changed.

    A failure of the vendor's says nothing that `redaction` hides; a reply is the model's.
    Ask for `reply` once `is_done`, or when the stream has ended.
    """

    def __init__(self, names: Mapping[str, str], redaction: Redaction) -> None:
        self.is_done = False
        self._redaction = redaction
        self._names = names
        self._held = Held()
        self._blocks: dict[int, _OpenBlock] = {}
        self._counts = _Counts()
        self._stop_reason: str | None = None
        self._failure: Failure | None = None

    def feed(self, events: Sequence[bytes]) -> list[ReasoningDelta | TextDelta]:
        """What `events` add for the reader's eyes. Deltas that arrive together are joined."""
        shown: list[tuple[bool, list[str]]] = []
        for data in events:
            event = self._event(data)
            if event is not None:
                try:
                    self._take(event, len(data))
                except ReplyTooLarge as error:
                    self._fail(too_large(error))
            if self.is_done:
                break
            if event is None:
                continue
            delta = event.delta
            if delta is None or not (text := delta.text or delta.thinking):
                continue
            is_text = delta.type == "text_delta"
            if shown and shown[-1][0] is is_text:
                shown[-1][1].append(text)
            else:
                shown.append((is_text, [text]))
        return [
            (TextDelta if is_text else ReasoningDelta)(text="".join(texts))
            for is_text, texts in shown
        ]

    def reply(self) -> Reply | Failure:
        """The whole reply, or why there is none."""
        if self._failure is not None:
            return self._failure
        if not self.is_done:
            failure = trouble(
                "Disconnected", "The model's server hung up inside the stream.", is_retryable=True
            )
            return msgspec.structs.replace(failure, usage=self.usage)
        if words := REFUSALS.get(self._stop_reason or ""):
            failure = trouble(self._stop_reason or "", words, is_retryable=False)
            return msgspec.structs.replace(failure, usage=self.usage)
        called: set[str] = set()
        problems: dict[str, str] = {}
        try:
            contents = tuple(
                part
                for index in sorted(self._blocks)
                if (part := self._part(index, self._blocks[index], called, problems)) is not None
            )
        except ReplyTooLarge as error:
            return too_large(error, self.usage)
        return Reply(
            contents=contents,
            usage=self.usage,
            is_truncated=self._stop_reason == "max_tokens",
            problems=problems,
        )

    @property
    def usage(self) -> Usage:
        """Tokens counted so far. The vendor reports cached input beside the rest of it."""
        counts = self._counts
        cached = tokens(counts.cache_read_input_tokens)
        stored = tokens(counts.cache_creation_input_tokens)
        read = tokens(counts.input_tokens) + stored + cached
        written = tokens(counts.output_tokens)
        return Usage(
            input_tokens=tokens(read),
            output_tokens=written,
            total_tokens=tokens(read + written),
            cached_input_tokens=cached,
            cache_write_input_tokens=stored,
        )

    def _event(self, data: bytes) -> _Event | None:
        """The event in `data`; None for one we have no use for, or for trouble."""
        try:
            return _decode_event(data)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            pass
        try:
            whole = evened_json(data)
            if _decode_name(whole).type not in KNOWN_EVENTS:
                return None
            return _decode_event(whole)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            message = "The model's server sent an event that cannot be read."
            self._fail(trouble("UnreadableResponse", message, is_retryable=True))
            return None

    def _take(self, event: _Event, size: int) -> None:
        """Keep what an event of `size` bytes says. Raises ReplyTooLarge."""
        match event.type:
            case "content_block_delta" if event.delta is not None:
                if (block := self._blocks.get(event.index)) is not None:
                    block.grow(event.delta)
            case "content_block_start" if event.content_block is not None:
                self._held.part()
                self._held.grow("items", size)
                self._blocks[event.index] = _OpenBlock(event.content_block, self._held)
            case "message_start" if event.message is not None:
                self._count(event.message.usage)
            case "message_delta":
                self._count(event.usage)
                if event.delta is not None and event.delta.stop_reason:
                    self._stop_reason = event.delta.stop_reason
            case "message_stop":
                self.is_done = True
            case "error":
                told = event.error or _Error()
                message = told.message or "The model's server reported an error."
                self._fail(vendor_failure(told.type, message, self._redaction, self.usage))
            case _:
                pass

    def _count(self, counts: _Counts | None) -> None:
        """Later counts replace earlier ones: the vendor's are totals."""
        if counts is None:
            return
        for field in counts.__struct_fields__:
            value = getattr(counts, field)
            if value is not None:
                setattr(self._counts, field, value)

    def _fail(self, failure: Failure) -> None:
        self.is_done = True
        if self._failure is None:
            self._failure = msgspec.structs.replace(failure, usage=self.usage)

    def _part(
        self, index: int, block: _OpenBlock, called: set[str], problems: dict[str, str]
    ) -> ExpertPart | None:
        start, text = block.start, "".join(block.pieces)
        match start.type:
            case "text":
                return TextPart(text=text) if text else None
            case "thinking":
                signature = "".join(block.signature)
                if not text and not signature:
                    return None
                return ThinkingPart(thinking=text, signature=signature or None)
            case "redacted_thinking":
                return ThinkingPart(thinking=start.data, redacted=True)
            case "tool_use":
                call_id = start.id
                if not call_id or call_id in called:  # each call is answered under its own id
                    call_id = f"{call_id or 'call'}-{index}"
                called.add(call_id)
                told = block.arguments.text
                told = told if told.strip() else block.given
                self._held.values(told)
                args, problem = arguments(told)
                if problem:
                    problems[call_id] = problem
                name = self._names.get(start.name, start.name)
                return ToolCallPart(tool_call_id=call_id, tool_name=name, args=args)
            case _:
                return None
