"""The look over TOML text: it must see all that the parser would see."""

from __future__ import annotations

import tomllib
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perstack.config.toml import MAX_KEY_PARTS, MAX_NESTING, MAX_WORD_LENGTH, parse_toml
from perstack.errors import ConfigurationError

AT_THE_LIMIT = [
    "a = " + "[" * MAX_NESTING + "]" * MAX_NESTING,
    "a." * (MAX_KEY_PARTS - 1) + "b = 1",
    "a = " + "1" * MAX_WORD_LENGTH,
    'a = "' + "[" * 5000 + '"',
    "a = '" + "." * 5000 + "'",
    'a = """' + '""x\\"[' * 5000 + '"""""',
    "a = '''" + "''x[" * 5000 + "'''''",
    "# " + "[" * 5000 + "\na = 1",
    'a = "#" # [[[\nb = """#"""\n',
]


@pytest.mark.parametrize("text", AT_THE_LIMIT, ids=range(len(AT_THE_LIMIT)))
def test_what_is_allowed_is_read_as_the_parser_reads_it(text: str) -> None:
    assert parse_toml(text, "p") == tomllib.loads(text)


OVER_THE_LIMIT = [
    ("a = " + "[" * (MAX_NESTING + 1) + "]" * (MAX_NESTING + 1), "nested deeper"),
    ("a." * MAX_KEY_PARTS + "b = 1", "a key has more than"),
    ("a = " + "1" * (MAX_WORD_LENGTH + 1), "longer than"),
    ('a = """x""""\nb = ' + "[" * 40 + "]" * 40, "nested deeper"),
    ('a = ["""x"""", ' + "[" * 40 + "]" * 40 + "]", "nested deeper"),
    ("a = ['''x''''', " + "[" * 40 + "]" * 40 + "]", "nested deeper"),
    ('a = ["\\"", ' + "[" * 40 + "]" * 40 + "]", "nested deeper"),
    ('a = ["\\\\", ' + "[" * 40 + "]" * 40 + "]", "nested deeper"),
    ("a = ['\\', " + "[" * 40 + "]" * 40 + "]", "nested deeper"),
    ("a = [ # '\n" + "[" * 40 + "]" * 40 + "]", "nested deeper"),
    ('"a"."b"' + ' . "c"' * 20 + " = 1", "a key has more than"),
    ("a = [" + "1," * 50_001 + "]", "holds more than"),
]


@pytest.mark.parametrize(("text", "expected"), OVER_THE_LIMIT, ids=range(len(OVER_THE_LIMIT)))
def test_quotes_and_comments_do_not_hide_what_is_over_a_limit(text: str, expected: str) -> None:
    tomllib.loads(text)  # the parser itself would take it
    with pytest.raises(ConfigurationError, match=expected):
        parse_toml(text, "p")


def depth(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, cast("dict[str, object]", value).values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth, cast("list[object]", value)), default=0)
    return 0


pieces = st.sampled_from(
    [
        "a",
        "=",
        "=[",
        "[",
        "]",
        ",",
        '"',
        "'",
        '"""',
        "'''",
        "\\",
        "#",
        "\n",
        "\na=",
        "1",
        ".",
        '"x"',
    ]
)


@settings(max_examples=500, deadline=None)
@given(st.lists(pieces, max_size=25).map("".join), st.integers(40, 60))
def test_no_text_gets_deep_brackets_past_the_look(prefix: str, brackets: int) -> None:
    text = "a=[" + prefix + "[" * brackets + "]" * brackets + "]"
    try:
        parsed = parse_toml(text, "p")
    except ConfigurationError:
        return
    assert depth(parsed) <= 40
