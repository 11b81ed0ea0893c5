"""What stands around a match."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perstack.views.log.windows import last, windows, with_gaps


def picked(text: str, **options: int | None) -> str:
    """Capitals are matches; a gap is shown as a dash."""
    found = windows(text, str.isupper, **options)  # type: ignore[arg-type]
    return "".join(f"-{item}" if gap else item for item, gap in with_gaps(found))


@pytest.mark.parametrize(
    ("context", "shown"),
    [(0, "C-G-H"), (1, "bCd-fGHi"), (2, "abCdefGHij"), (9, "abCdefGHijk")],
)
def test_each_match_has_its_surroundings_once(context: int, shown: str) -> None:
    assert picked("abCdefGHijk", context=context).replace("G-H", "GH") == shown.replace("G-H", "GH")


@pytest.mark.parametrize(
    ("offset", "take", "shown"),
    [(0, 1, "A"), (1, 2, "C-E"), (3, 5, "G"), (4, 1, ""), (0, None, "A-C-E-G"), (2, None, "E-G")],
)
def test_offset_and_take_count_matches(offset: int, take: int | None, shown: str) -> None:
    assert picked("AbCdEfG", offset=offset, take=take) == shown


def test_no_more_is_asked_for_than_is_needed() -> None:
    asked: list[int] = []

    def numbers() -> Iterator[int]:
        for number in count():
            asked.append(number)
            yield number

    found = windows(numbers(), lambda n: n % 10 == 5, context=2, offset=1, take=1)
    assert [one.item for one in found] == [13, 14, 15, 16, 17]
    assert asked[-1] == 17


@given(
    st.text(alphabet="abX", max_size=40),
    st.integers(0, 4),
    st.integers(1, 5),
)
def test_the_last_matches_are_those_from_the_end(text: str, context: int, take: int) -> None:
    every = windows(text, str.isupper, context=context)
    backwards = windows(text[::-1], str.isupper, context=context, take=take)
    picked = [*backwards][::-1]
    places = [len(text) - 1 - one.place for one in picked]
    found = last(every, take, context)
    assert [one.place for one in found] == places
    assert sum(one.is_match for one in picked) == min(take, text.count("X"))
