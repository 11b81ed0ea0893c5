"""A map that grows and never changes what it held before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TypeVar

V = TypeVar("V")


class Ledger(Mapping[str, V]):
    """Values by id, in the order they came, immutable from outside.

    `plus` gives a new Ledger in constant time: both share one dict, and the older
    one goes on seeing only its own length of it. A reply with ten thousand calls
    costs ten thousand entries, and not their square.
    """

    __slots__ = ("_items", "_length")

    def __init__(self) -> None:
        self._items: dict[str, tuple[int, V]] = {}
        self._length = 0

    def plus(self, key: str, value: V) -> Ledger[V]:
        """A Ledger with `value` under `key`, behind these or in the place of the one there."""
        grown: Ledger[V] = Ledger()
        if len(self._items) == self._length and key not in self._items:
            grown._items = self._items
        else:
            grown._items = dict(islice(self._items.items(), self._length))
        place = grown._items[key][0] if key in grown._items else self._length
        grown._items[key] = (place, value)
        grown._length = len(grown._items)
        return grown

    def __getitem__(self, key: str) -> V:
        place, value = self._items[key]
        if place >= self._length:
            raise KeyError(key)
        return value

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[str]:
        # A list of its own: the shared dict may grow while somebody reads.
        return iter(list(islice(self._items, self._length)))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Ledger({dict(self)!r})"
