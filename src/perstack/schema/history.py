"""A conversation that grows at its end and never changes before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar, cast, overload

from perstack.schema.message import Message

T = TypeVar("T")


class History(Sequence[Message]):
    """Messages in order, immutable from outside.

    `append` gives a new History in constant time: both share one list, and the
    older one goes on seeing only its own length of it. Encoded forms are kept
    beside the messages, so that a wire encodes each message once in its life.
    """

    __slots__ = ("_beside", "_encoded", "_items", "_length")

    def __init__(self, messages: Sequence[Message] = ()) -> None:
        self._items: list[Message] = list(messages)
        self._length = len(self._items)
        self._encoded: dict[str, list[Any]] = {}
        self._beside: dict[str, object] = {}

    def append(self, *messages: Message) -> History:
        """A History with `messages` after these."""
        if not messages:
            return self
        grown = History.__new__(History)
        if len(self._items) == self._length:
            grown._items, grown._encoded, grown._beside = self._items, self._encoded, self._beside
        else:
            grown._items, grown._encoded, grown._beside = self._items[: self._length], {}, {}
        grown._items.extend(messages)
        grown._length = self._length + len(messages)
        return grown

    def encoded(self, wire: str, encode: Callable[[Message], T]) -> list[T]:
        """`encode` of every message, remembered under the name `wire`.

        The list is the caller's own. `encode` must depend on the message alone.
        """
        kept: list[T] = self._encoded.setdefault(wire, [])
        kept.extend([encode(message) for message in self._items[len(kept) : self._length]])
        return kept[: self._length]

    def kept(self, name: str, make: Callable[[], T]) -> T:
        """An object kept beside the messages under `name`, made by `make` at first.

        All that share the messages share it: what it says of the first n messages
        must hold for every History that begins with them.
        """
        beside = cast("dict[str, T]", self._beside)
        if name not in beside:
            beside[name] = make()
        return beside[name]

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Message]:
        for index in range(self._length):
            yield self._items[index]

    @overload
    def __getitem__(self, index: int) -> Message: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Message, ...]: ...
    def __getitem__(self, index: int | slice) -> Message | tuple[Message, ...]:
        if isinstance(index, slice):
            return tuple(self._items[i] for i in range(*index.indices(self._length)))
        position = index + self._length if index < 0 else index
        if not 0 <= position < self._length:
            raise IndexError(index)
        return self._items[position]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, History):
            return NotImplemented
        return self._length == other._length and all(
            mine is theirs or mine == theirs for mine, theirs in zip(self, other, strict=True)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"History({list(self)!r})"
