"""What stands around a match: pure, over sequences of anything."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Picked(NamedTuple, Generic[T]):
    """An item that is shown: its place in the sequence, and whether it is a match itself."""

    place: int
    item: T
    is_match: bool


def windows(
    items: Iterable[T],
    is_match: Callable[[T], bool],
    *,
    context: int = 0,
    offset: int = 0,
    take: int | None = None,
) -> Iterator[Picked[T]]:
    """The matches, and up to `context` items before and after each, in order and once.

    Of the matches, `offset` are passed by and at most `take` are given; no more items
    are asked for than that needs.
    """
    before: deque[Picked[T]] = deque(maxlen=context)
    matches = after = 0
    for place, item in enumerate(items):
        found = is_match(item)
        matches += found
        is_last = take is not None and matches >= offset + take
        if found and matches > offset and (take is None or matches <= offset + take):
            yield from before
            before.clear()
            yield Picked(place, item, is_match=True)
            after = context
        elif after > 0:
            yield Picked(place, item, is_match=False)
            after -= 1
        else:
            before.append(Picked(place, item, is_match=False))
        if is_last and after == 0:
            return


def last(picked: Iterable[Picked[T]], take: int, context: int) -> list[Picked[T]]:
    """The last `take` matches of what `windows` gave, with what stands around them."""
    kept: deque[Picked[T]] = deque()
    places: deque[int] = deque(maxlen=take)
    for one in picked:
        kept.append(one)
        if one.is_match:
            places.append(one.place)
        while places and kept[0].place < places[0] - context:
            kept.popleft()
    return list(kept)


def with_gaps(picked: Iterable[Picked[T]]) -> Iterator[tuple[T, bool]]:
    """The items, each with whether something was left out ahead of it, the first apart."""
    place: int | None = None
    for one in picked:
        yield one.item, place is not None and abs(one.place - place) != 1
        place = one.place
