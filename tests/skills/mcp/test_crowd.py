"""How many values a JSON text holds, told without parsing it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perstack.skills.mcp.crowd import is_crowded, values_in

words = st.text(alphabet='a\\",:[]{} é\n', max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | words,
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(words, inner, max_size=6),
    max_leaves=40,
)


def count(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + sum(map(count, value.values()))
    if isinstance(value, list):
        return 1 + sum(map(count, value))
    return 1


@given(json_values, st.booleans())
def test_no_value_is_missed_and_few_are_counted_that_are_none(value: Any, ascii_only: bool):
    data = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert count(value) <= values_in(data) <= 2 * count(value)


@given(json_values, st.integers(1, 20))
def test_a_text_that_holds_more_than_it_may_is_always_found(value: Any, most: int):
    data = json.dumps(value).encode()
    assert is_crowded(data, most) >= (count(value) > most)
    assert is_crowded(data, most) <= (values_in(data) > most)


@given(st.lists(words, min_size=1), st.integers(0, 8))
def test_it_does_not_matter_where_a_long_text_is_cut(texts: list[str], shift: int):
    value = ["x" * shift, "\\" * 70_000, *texts * 200]
    data = json.dumps(value, ensure_ascii=False).encode()
    assert count(value) <= values_in(data) <= count(value) + 1


@pytest.mark.parametrize("text", ['","' * 1000, '\\",{[' * 1000, "a,b " * 1000])
def test_what_stands_in_a_string_is_no_value(text: str):
    assert not is_crowded(json.dumps({"text": text}).encode(), 100)
