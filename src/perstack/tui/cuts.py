"""Where a long text may be cut in two, so that both halves look as they did in one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from markdown_it.token import Token


class Cut(NamedTuple):
    """A place in a text. `again` has to stand before what follows; `is_apart`: a block ended."""

    at: int
    again: str = ""
    is_apart: bool = False


NOWHERE = Cut(0)


def cut_between(tokens: Sequence[Token], text: str) -> Cut:
    """Before the last block of `text`, or before the last part of it where it is the only one."""
    lines = text.splitlines(keepends=True)
    starts = [0, *accumulate(map(len, lines))]
    tops = [token for token in tokens if token.level == 0 and token.map]
    if not tops:
        return NOWHERE
    last = tops[-1]
    begins, ends = last.map or (0, 0)
    if begins > 0:
        return Cut(starts[begins], is_apart=True)
    parts = [token.map[0] for token in tokens if token.level in {1, 2} and token.map]
    match last.type:
        case "fence" if not lines[-1].lstrip().startswith(last.markup):
            return Cut(starts[ends - 1], f"{last.markup}{last.info}\n")
        case "table_open":
            return Cut(starts[max(parts)], "".join(lines[:2]))
        case "bullet_list_open" | "ordered_list_open" | "blockquote_open" if parts:
            return Cut(starts[max(parts)])
        case _:
            return NOWHERE


def cut_anywhere(text: str) -> Cut:
    """After the last line, or the last word, whatever it is in."""
    return Cut(max(text.rfind("\n"), text.rfind(" ")) + 1 or len(text))
