"""A line of JSON is harmless on a terminal, and the same JSON."""

from __future__ import annotations

import json
import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perstack.schema.line import json_document, json_line
from perstack.views.plain import plain
from views.test_plain import BIDI

TEXTS = st.text(
    st.one_of(
        st.characters(codec="utf-8"),
        st.characters(codec="utf-8", categories=["Cc", "Cf", "Zl", "Zp"]),
        st.sampled_from("\x1b\x9b\x7f\u00a0\u2014\ufffd\U000e0041\U000e1000\u0600" + BIDI),
    )
)
UNESCAPED = msgspec.json.encode


@given(st.dictionaries(TEXTS, TEXTS | st.lists(TEXTS)))
def test_a_line_is_the_same_json_with_nothing_raw_that_a_view_would_escape(value: object):
    line = json_line(value)
    assert json.loads(line) == value
    assert plain(line.decode(), one_line=True) == line.decode()
    assert plain(UNESCAPED(value).decode(), one_line=True) != UNESCAPED(value).decode() or (
        line == UNESCAPED(value)
    )


@pytest.mark.parametrize("code", [0x7F, 0x80, 0x9B, 0x9F, 0xAD, 0x2028, 0x202E, 0xFEFF, 0x200B])
def test_a_character_that_is_not_for_terminals_stands_as_an_escape(code: int):
    assert json_line({"a": f"x{chr(code)}y"}) == b'{"a":"x\\u%04xy"}' % code


def test_a_document_spells_out_what_is_no_unicode():
    value = {"a": ("x\udcffy", ["\x9b"]), "b": 1}
    document = json_document(value)
    assert json.loads(document) == {"a": [r"x\udcffy", ["\x9b"]], "b": 1}
    assert document.startswith(b'{\n  "a"')
    assert document.isascii()


def test_invisible_letters_stand_as_a_pair_of_escapes():
    assert json_line("\U000e0041\U000e0042") == rb'"\udb40\udc41\udb40\udc42"'


@pytest.mark.parametrize(
    "text", ["plain", "Grüße — “so” …", "漢字、かな。", "😀 👩‍💻", "\u0600\ufffd"]
)
def test_text_that_is_harmless_stays_as_it_is(text: str):
    assert json_line(text) == f'"{text}"'.encode()
    assert not re.search(rb"\\\\u", json_line(text))
