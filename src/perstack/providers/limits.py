"""How much of an answer is kept, so that no server fills the memory or holds up the loop.

The most that any model writes today is far below each limit. Sizes are characters of
text unless a name says bytes.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

MEGABYTE = 1024 * 1024
MAX_EVENT_BYTES = 8 * MEGABYTE
"""The longest event. The longest arguments may stand in one, where escapes double them."""
MAX_ODD_EVENT_BYTES = MEGABYTE
"""The longest event that is read the slow way."""
MAX_ARGUMENTS = 4 * MEGABYTE
"""Of one call. Longer ones are that call's problem, and the model's to do better."""
MAX_HELD = 16 * MEGABYTE
"""Of a reply's text, of its thinking, and of its calls."""
MAX_PARTS = 1_000
"""Of a reply: blocks, calls, output items, and the pieces that those are made of."""
MAX_VALUES = 100_000
"""JSON values in one event, or in the arguments of one call: `[]` is 3 bytes there, 80 here."""

HeldKind: TypeAlias = Literal["text", "thinking", "calls", "items"]


class ReplyTooLarge(Exception):
    """A reply passed a limit. Its text says which."""


class Held:
    """Counts what a reply holds while it arrives.

    Raises:
        ReplyTooLarge: from each method, once that would pass a limit.
    """

    __slots__ = ("_parts", "_sizes", "_values")

    def __init__(self) -> None:
        self._parts = 0
        self._values = 0
        self._sizes: dict[HeldKind, int] = {"text": 0, "thinking": 0, "calls": 0, "items": 0}

    def part(self, count: int = 1) -> None:
        """Count `count` more parts."""
        self._parts += count
        if self._parts > MAX_PARTS:
            raise ReplyTooLarge(f"The reply has more than {MAX_PARTS} parts.")

    def grow(self, kind: HeldKind, size: int) -> None:
        """Count `size` more characters of one kind."""
        size += self._sizes[kind]
        self._sizes[kind] = size
        if size > MAX_HELD:
            raise ReplyTooLarge(f"The reply has more than {MAX_HELD} characters of {kind}.")

    def values(self, arguments: str) -> None:
        """Count the values in a call's arguments. Twice what one call may have is too many."""
        self._values += min(values_in(arguments), MAX_VALUES)
        if self._values > 2 * MAX_VALUES:
            raise ReplyTooLarge(f"The reply's calls have more than {2 * MAX_VALUES} values.")


class Arguments:
    """The arguments of a call while they arrive.

    Past the limit nothing more is kept: what is kept is then too long to be read.
    """

    __slots__ = ("_held", "_size", "pieces")

    def __init__(self, held: Held) -> None:
        self._held = held
        self._size = 0
        self.pieces: list[str] = []

    def grow(self, piece: str) -> None:
        """Add `piece`. Raises ReplyTooLarge, as `Held` does."""
        if self._size > MAX_ARGUMENTS:
            return
        self._size += len(piece)
        self._held.grow("calls", len(piece))
        self.pieces.append(piece)

    @property
    def text(self) -> str:
        """What has been kept."""
        return "".join(self.pieces)


def is_crowded(event: bytes) -> bool:
    """Whether an event holds so many JSON values that decoding it would fill the memory."""
    return len(event) > MAX_VALUES and values_in(event.decode("latin-1")) > MAX_VALUES


def values_in(text: str) -> int:
    """About how many values the JSON `text` holds: never fewer. Takes no memory to speak of.

    What stands inside strings is set aside only where it could matter.
    """
    count = _marks(text)
    if count <= MAX_VALUES // 10:
        return count
    bare = text.replace("\\\\", "").replace('\\"', "")
    quotes = bare.count('"')
    if quotes > 4 * MAX_VALUES:  # a key and a value have two each
        return quotes // 4
    return sum(map(_marks, bare.split('"')[::2]))


def _marks(text: str) -> int:
    return text.count(",") + text.count("[") + text.count("{")
