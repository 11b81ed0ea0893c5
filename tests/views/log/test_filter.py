"""The small language of `--filter`."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perstack.errors import UsageError
from perstack.views.log.filter import MAX_DEPTH, MAX_LENGTH, parse_filter

EVENT: dict[str, Any] = {
    "type": "callTools",
    "stepNumber": 6,
    "ratio": 0.5,
    "isError": True,
    "none": None,
    "toolCalls": [
        {"skillName": "base", "args": {"a b": "x", "list": [1, [2, 3]]}},
        {"skillName": "web", "args": {}},
    ],
    "odd name": {"and": 1},
}

FITS = [
    '.type == "callTools"',
    '.type != "retry"',
    ".stepNumber > 5",
    ".stepNumber >= 6",
    ".stepNumber<7",
    ".stepNumber <= 6.0",
    ".stepNumber == 6.0",
    ".ratio == 5e-1",
    ".isError == true",
    ".none == null",
    ".missing == null",
    ".missing.deeper == null",
    ".type.deeper == null",
    '.missing != "x"',
    '.toolCalls[].skillName == "base"',
    '.toolCalls[].skillName != "base"',
    '.toolCalls[].args."a b" == "x"',
    ".toolCalls[].args.list[] == 1",
    ".toolCalls[].args.list[][] == 3",
    '."odd name".and == 1',
    '.type > "ca"',
    '.type == "\\u0063allTools"',
    '.stepNumber == 1 or .type == "callTools"',
    '.stepNumber == 6 and .type == "callTools"',
    ".stepNumber == 6 or .stepNumber == 1 and .stepNumber == 2",
    "(.stepNumber == 1 or .stepNumber == 6) and (.ratio < 1)",
    "  .stepNumber\n==\t6  ",
]

DOES_NOT_FIT = [
    '.type == "calltools"',
    ".stepNumber > 6",
    '.stepNumber == "6"',
    '.stepNumber > "5"',
    ".type > 5",
    ".isError == 1",
    ".isError > 0",
    ".stepNumber == true",
    ".none > null",
    ".none >= null",
    '.toolCalls[].skillName == "other"',
    ".missing[].x == null",
    ".missing[].x != 1",
    ".type[] == null",
    ".toolCalls == null",
    "(.stepNumber == 6 or .stepNumber == 1) and .stepNumber == 2",
]

WRONG = {
    "": (1, "a path such as .type"),
    "   ": (4, "a path such as .type"),
    ".type": (6, "a comparison"),
    ".type = 1": (7, "no meaning"),
    ".type ==": (9, "a JSON value"),
    ".type == call": (10, "a JSON value"),
    '.type == "call': (10, "no meaning"),
    ".type == 01": (10, "no JSON value"),
    ".type == 1.": (10, "no JSON value"),
    '.type == "\\x"': (10, "no JSON value"),
    ".type == 1 2": (12, "the end"),
    ".type == 1 and": (15, "a path"),
    ".type == 1 AND .a == 1": (12, '"and"'),
    "type == 1": (1, "a path"),
    "[] == 1": (1, "a path"),
    ".[] == 1": (1, "no meaning"),
    ".a[0] == 1": (3, "no meaning"),
    "(.a == 1": (9, '")"'),
    ".a == 1)": (8, "the end"),
    ".a == 1; .b == 2": (8, "no meaning"),
    ".a == __import__": (7, "no meaning"),
    ".a\u202e == 1": (3, "no meaning"),
    "(" * (MAX_DEPTH + 1) + ".a == 1": (MAX_DEPTH + 1, "bracket"),
    ".a" * (MAX_DEPTH + 1) + " == 1": (2 * MAX_DEPTH + 2, "path"),
}


@pytest.mark.parametrize("text", FITS)
def test_an_event_fits(text: str) -> None:
    assert parse_filter(text).matches(EVENT)


@pytest.mark.parametrize("text", DOES_NOT_FIT)
def test_an_event_does_not_fit(text: str) -> None:
    assert not parse_filter(text).matches(EVENT)


@pytest.mark.parametrize("text", WRONG, ids=[ascii(text)[:30] for text in WRONG])
def test_what_is_no_expression_is_refused_at_its_place(text: str) -> None:
    place, wanted = WRONG[text]
    with pytest.raises(UsageError) as caught:
        parse_filter(text)
    first, shown, caret = caught.value.message.split("\n")
    assert first.startswith(f"--filter, character {place}: "), first
    assert wanted in first
    assert shown.isprintable()
    assert caret.endswith("^")


def test_a_caret_stands_under_the_place() -> None:
    with pytest.raises(UsageError) as caught:
        parse_filter(".stepNumber > 5 and .type ~ 3")
    _, shown, caret = caught.value.message.split("\n")
    assert shown[caret.index("^")] == "~"


def test_an_expression_that_is_too_long_is_refused() -> None:
    with pytest.raises(UsageError, match=str(MAX_LENGTH)):
        parse_filter(".a == 1 or " * 400 + ".a == 1")


def test_a_filter_tells_at_which_fields_it_looks() -> None:
    parsed = parse_filter('.a.b == 1 or (."c d" == 2 and .e[].f == 3)')
    assert parsed.names == {"a", "c d", "e"}


@given(st.text(max_size=60) | st.text(alphabet='.[]()="<>! andor1a\\', max_size=60))
def test_any_text_is_an_expression_or_a_usage_error(text: str) -> None:
    with suppress(UsageError):
        assert parse_filter(text).matches(EVENT) in (True, False)
