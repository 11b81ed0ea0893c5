"""Text from anywhere is safe on a terminal, and plain text stays as it is."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perstack.views.plain import plain

BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
NASTY = st.text(
    st.one_of(
        st.characters(codec=None),
        st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp"]),
        st.sampled_from("\x1b\x9b\r\n\t\\a" + BIDI),
    ),
    max_size=60,
)
LIMITS = st.one_of(st.none(), st.integers(0, 40))


@given(NASTY, LIMITS, st.booleans())
def test_nothing_that_moves_hides_or_reorders_text_is_left(
    text: str, limit: int | None, one_line: bool
) -> None:
    shown = plain(text, limit, one_line=one_line)
    allowed = "" if one_line else "\n\t"
    assert all(unicodedata.category(char) != "Cc" or char in allowed for char in shown)
    assert not set(shown) & set(BIDI + "\u2028\u2029\ufeff\u200b")
    assert not any(0xE0000 <= ord(char) < 0xE0080 for char in shown)
    shown.encode()


@given(NASTY, st.integers(0, 40), st.booleans())
def test_a_limit_holds_and_cuts_between_escapes(text: str, limit: int, one_line: bool) -> None:
    whole = plain(text, one_line=one_line)
    shown = plain(text, limit, one_line=one_line)
    assert len(shown) <= limit
    assert (shown == whole) == (len(whole) <= limit)
    if shown != whole and limit:
        assert shown.endswith("…")
        assert whole.startswith(shown[:-1])
        heads = {plain(text[:end], one_line=one_line) for end in range(len(text) + 1)}
        assert shown[:-1] in heads


@given(NASTY, st.booleans())
def test_what_is_shown_is_plain(text: str, one_line: bool) -> None:
    shown = plain(text, one_line=one_line)
    assert plain(shown, one_line=one_line) == shown


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=40))
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert plain(text, one_line=True) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\x1b]52;c;aGk=\x07", r"\x1b]52;c;aGk=\x07"),
        ("\x9b2J", r"\x9b2J"),
        ("100%\rfake", r"100%\rfake"),
        ("a\r\nb\n", "a\nb\n"),
        ("a\tb", "a\tb"),
        ("user\u202etxt.exe", r"user\u202etxt.exe"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
        ("日本語 👩\u200d💻 é", "日本語 👩\u200d💻 é"),
        (r"C:\new", r"C:\new"),
    ],
)
def test_what_is_unsafe_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_one_line_is_one_line() -> None:
    assert plain("a\nb\tc", one_line=True) == r"a\nb\tc"


def test_a_huge_text_is_not_read_to_its_end() -> None:
    class Counted(str):
        __slots__ = ()

        def __getitem__(self, key: object) -> str:
            assert isinstance(key, slice)
            assert key.stop is not None
            assert key.stop < 100
            return super().__getitem__(key)

        def replace(self, *_: object) -> str:  # type: ignore[override]
            raise AssertionError("the whole text was read")

    assert plain(Counted("x" * 10_000), 20) == "x" * 19 + "…"
