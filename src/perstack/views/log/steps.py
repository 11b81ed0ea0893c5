"""Which steps are meant: `5`, `>5`, `>=5`, `<5`, `<=5` or `1-10`."""

from __future__ import annotations

import re
from typing import NamedTuple

from perstack.errors import UsageError

_STEPS = re.compile(r"(>=|<=|>|<)?([0-9]{1,9})|([0-9]{1,9})-([0-9]{1,9})")
_MOST = 10**9


class Steps(NamedTuple):
    """The steps from `first` to `last`, both of them included."""

    first: int
    last: int

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and self.first <= number <= self.last


def parse_steps(text: str) -> Steps:
    """The steps that `text` names.

    Raises:
        UsageError: it names none.
    """
    found = _STEPS.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"--step: {text[:80]!a} is none of 5, >5, >=5, <5, <=5, 1-10")
    comparison, number, first, last = found.groups()
    if number is None:
        if int(first) > int(last):
            raise UsageError(f"--step: {text.strip()} ends before it begins")
        return Steps(int(first), int(last))
    at = int(number)
    match comparison:
        case ">":
            return Steps(at + 1, _MOST)
        case ">=":
            return Steps(at, _MOST)
        case "<":
            return Steps(0, at - 1)
        case "<=":
            return Steps(0, at)
        case _:
            return Steps(at, at)
