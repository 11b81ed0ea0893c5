"""The events of a Responses stream, folded into a reply."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from perstack.net.redaction import Redaction
from perstack.providers import Failure, ReasoningDelta, Reply, TextDelta
from perstack.providers.failure import (
    FINAL_NAMES,
    RETRYABLE_NAMES,
    too_large,
    trouble,
    vendor_failure,
)
from perstack.providers.limits import Arguments, Held, HeldKind, ReplyTooLarge
from perstack.providers.openai_responses_events import (
    DELTAS,
    ENDS,
    ERROR,
    ITEMS,
    Event,
    Item,
    Kind,
    Problem,
    Response,
    Unreadable,
    read_event,
    read_item,
    read_response,
)
from perstack.providers.openai_responses_proof import PHASES, phase_mark, thinking_of
from perstack.providers.wire import arguments
from perstack.schema.message import ExpertPart, TextPart, ToolCallPart
from perstack.schema.usage import NO_USAGE

REFUSAL = "refusal"
FILTERED = "content_filter"
CUT = "incomplete"
"""The reason of a reply that was cut for a reason not given."""
_HELD_AS: dict[Kind, HeldKind] = {
    "text": "text",
    "refusal": "text",
    "summary": "thinking",
    "thought": "thinking",
}


class _OpenItem:
    """An output item while it arrives. What it is said to hold in the end counts first.

    `held` counts what that is, and raises ReplyTooLarge.
    """

    __slots__ = ("_arguments", "_held", "_kinds", "is_done", "pieces", "told")

    def __init__(self, held: Held) -> None:
        held.part()
        self._held = held
        self._arguments = Arguments(held)
        self.told = Item()
        self.is_done = False
        self.pieces: dict[tuple[Kind, int], list[str]] = {}
        self._kinds: set[Kind] = set()  # that have pieces

    def hold(self, data: msgspec.Raw, *, is_done: bool) -> None:
        """Take what the item is said to hold. Raises Unreadable."""
        self._held.grow("items", len(bytes(data)))
        self.told, self.is_done = read_item(data), is_done
        self._held.part(len(self.told.content or ()) + len(self.told.summary or ()))

    def grow(self, kind: Kind, index: int, delta: str) -> str:
        """Keep a piece of the part at `index`. Gives what a reader sees of it."""
        if kind == "arguments":
            self._arguments.grow(delta)
            return ""
        self._held.grow(_HELD_AS[kind], len(delta))
        pieces = self.pieces.get((kind, index))
        if pieces is not None:
            pieces.append(delta)
            return delta
        self._held.part()
        is_further = kind in ("summary", "thought") and kind in self._kinds
        self._kinds.add(kind)
        self.pieces[kind, index] = [delta]
        return f"\n\n{delta}" if is_further else delta

    @property
    def text(self) -> str:
        told = [piece.text for piece in self.told.content or () if piece.type == "output_text"]
        return "".join(told) or "".join(self._streamed("text"))

    @property
    def refusal(self) -> str:
        told = [piece.refusal for piece in self.told.content or ()]
        return "".join(told) or "".join(self._streamed("refusal"))

    @property
    def arguments(self) -> str:
        return self.told.arguments or self._arguments.text

    @property
    def summary(self) -> list[str]:
        return [piece.text for piece in self.told.summary or ()] or self._streamed("summary")

    @property
    def thoughts(self) -> list[str]:
        return [piece.text for piece in self.told.content or ()] or self._streamed("thought")

    @property
    def encrypted_content(self) -> str:
        """Whole only once the item is done, says the vendor."""
        return (self.is_done and self.told.encrypted_content) or ""

    def _streamed(self, kind: Kind) -> list[str]:
        return ["".join(self.pieces[key]) for key in sorted(self.pieces) if key[0] == kind]


class ReplyBuilder:
    """One reply while it arrives. `names` gives back the names that the wire changed.

    Proofs are sealed for `wire`. A failure of the vendor's says nothing that `redaction`
    hides; a reply is the model's. Ask for `reply` once `is_done`, or when the stream has
    ended. The vendor counts tokens in its last event alone.
    """

    def __init__(self, names: Mapping[str, str], redaction: Redaction, *, wire: str) -> None:
        self.is_done = False
        self._names = names
        self._redaction = redaction
        self._wire = wire
        self._held = Held()
        self._items: dict[int, _OpenItem] = {}
        self._usage = NO_USAGE
        self._cut_for = ""
        self._failure: Failure | None = None

    def feed(self, events: Sequence[bytes]) -> list[ReasoningDelta | TextDelta]:
        """What `events` add for the reader's eyes. Deltas that arrive together are joined."""
        shown: list[tuple[bool, list[str]]] = []
        for data in events:
            if self.is_done:
                break
            try:
                text, is_text = self._shown(data)
            except ReplyTooLarge as error:
                self._fail(too_large(error))
                break
            if not text:
                continue
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
            message = "The model's server hung up inside the stream."
            return trouble("Disconnected", message, is_retryable=True)
        items = [self._items[index] for index in sorted(self._items)]
        if refusal := "".join(item.refusal for item in items):
            message = f"The model refused to answer: {refusal}"
            return vendor_failure(REFUSAL, message, self._redaction, self._usage)
        called: set[str] = set()
        problems: dict[str, str] = {}
        try:
            contents = tuple(part for item in items for part in self._parts(item, called, problems))
        except ReplyTooLarge as error:
            return too_large(error, self._usage)
        return Reply(
            contents=contents,
            usage=self._usage,
            is_truncated=bool(self._cut_for),
            problems=problems,
        )

    def _shown(self, data: bytes) -> tuple[str, bool]:
        """Take an event. Gives what it shows a reader, and whether that is text.

        Raises:
            ReplyTooLarge: with it the reply passed a limit.
        """
        try:
            event = read_event(data)
            if event is None:
                return "", False
            kind = DELTAS.get(event.type)
            if kind is None:
                self._take(event)
                return "", False
        except Unreadable:
            message = "The model's server sent an event that cannot be read."
            self._fail(trouble("UnreadableResponse", message, is_retryable=True))
            return "", False
        index = event.summary_index if kind == "summary" else event.content_index
        text = self._item(event.output_index).grow(kind, index, event.delta)
        return ("", False) if kind in ("arguments", "refusal") else (text, kind == "text")

    def _take(self, event: Event) -> None:
        if event.type in ITEMS:
            is_done = event.type.endswith("done")
            self._hold(event.output_index, event.item, is_done=is_done)
        elif event.type in ENDS:
            self._end(event.type, read_response(event.response))
        elif event.type == ERROR or (event.error and not event.type):
            self._fail_with(event.problem)

    def _item(self, index: int) -> _OpenItem:
        item = self._items.get(index)
        if item is None:
            item = self._items[index] = _OpenItem(self._held)
        return item

    def _hold(self, index: int, data: msgspec.Raw, *, is_done: bool) -> None:
        item = self._item(index)
        if is_done or not item.is_done:
            item.hold(data, is_done=is_done)

    def _end(self, name: str, response: Response) -> None:
        """The last event. Items that were not streamed to their end stand in it too."""
        self._usage = response.usage
        for index, data in enumerate(response.output or ()):
            if not self._item(index).is_done:
                self._hold(index, data, is_done=True)
        self._cut_for = response.reason or (CUT if name == "response.incomplete" else "")
        if name == "response.failed" or response.error is not None:
            self._fail_with(response.error or Problem())
        elif self._cut_for == FILTERED:
            message = "The vendor's content filter ended the reply."
            self._fail(trouble(FILTERED, message, is_retryable=False))
        self.is_done = True

    def _fail_with(self, problem: Problem) -> None:
        """A failure of the vendor's own telling, under the name that says most of a retry."""
        code = str(problem.code or "")
        name = code or problem.type or ERROR
        if problem.type in RETRYABLE_NAMES and code not in FINAL_NAMES | RETRYABLE_NAMES:
            name = problem.type
        message = problem.message or "The model's server reported an error."
        self._fail(vendor_failure(name, message, self._redaction))

    def _fail(self, failure: Failure) -> None:
        self.is_done = True
        self._failure = msgspec.structs.replace(failure, usage=self._usage)

    def _parts(
        self, item: _OpenItem, called: set[str], problems: dict[str, str]
    ) -> Iterator[ExpertPart]:
        told = item.told
        match told.type:
            case "message" if text := item.text:
                if told.phase in PHASES:
                    yield phase_mark(self._wire, told.phase)
                yield TextPart(text=text)
            case "reasoning":
                encrypted = item.encrypted_content
                thinking = thinking_of(
                    self._wire, told.id or "", encrypted, item.summary, item.thoughts
                )
                if thinking is not None:
                    yield thinking
            case "function_call":
                call_id = told.call_id or ""
                if not call_id or call_id in called:  # each call is answered under its own id
                    call_id = f"{call_id or 'call'}-{len(called)}"
                called.add(call_id)
                told_args = item.arguments
                self._held.values(told_args)
                args, problem = arguments(told_args)
                if problem:
                    problems[call_id] = problem
                name = told.name or ""
                yield ToolCallPart(
                    tool_call_id=call_id, tool_name=self._names.get(name, name), args=args
                )
            case _:
                pass
