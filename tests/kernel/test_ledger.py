"""A map that grows and never changes what it held before."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perstack.kernel.ledger import Ledger

KEYS = st.sampled_from("abcd")


@given(st.lists(st.tuples(st.integers(0, 30), KEYS, st.integers())))
def test_every_ledger_goes_on_seeing_what_it_saw_whatever_grows_from_it(steps):
    ledgers: list[Ledger[int]] = [Ledger()]
    seen: list[dict[str, int]] = [{}]
    for place, key, value in steps:
        ledgers.append(ledgers[place % len(ledgers)].plus(key, value))
        seen.append({**seen[place % len(seen)], key: value})
    for ledger, expected in zip(ledgers, seen, strict=True):
        assert dict(ledger) == expected
        assert list(ledger) == list(expected)
        assert len(ledger) == len(expected)
        assert all((key in ledger) == (key in expected) for key in "abcd")


def test_ledgers_are_equal_by_what_they_hold():
    one, other = Ledger[int]().plus("a", 1), Ledger[int]().plus("a", 0).plus("a", 1)
    assert one == other
    assert one != one.plus("b", 2)
    assert repr(one) == "Ledger({'a': 1})"


def test_what_came_later_is_not_there_earlier():
    early = Ledger[int]()
    early.plus("a", 1)
    with pytest.raises(KeyError):
        early["a"]
    assert early.get("a") is None


def test_it_may_grow_while_somebody_reads_it():
    ledger = Ledger[int]().plus("a", 1).plus("b", 2)
    assert [ledger.plus(key + "x", 0) and key for key in ledger] == ["a", "b"]
