"""`.env` files."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perstack.config.dotenv import load_env, parse_env
from perstack.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("A=1", {"A": "1"}),
        ("A=1\nB=2\n", {"A": "1", "B": "2"}),
        ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("\ufeffA=1", {"A": "1"}),
        ("export A=1", {"A": "1"}),
        ("  A = 1  ", {"A": "1"}),
        ("A=", {"A": ""}),
        ("A=\nB=2", {"A": "", "B": "2"}),
        ("A= # nothing\nB=2", {"A": "", "B": "2"}),
        ("A=a b  # c", {"A": "a b"}),
        ("A=a#b", {"A": "a#b"}),
        ("A=https://x/#y", {"A": "https://x/#y"}),
        ("A=b=c==", {"A": "b=c=="}),
        ("# x\n\n  # y\nA=1", {"A": "1"}),
        ("A=1\n   ", {"A": "1"}),
        ('A="a # b" # c', {"A": "a # b"}),
        ("A='a # b'# c", {"A": "a # b"}),
        ('A=""', {"A": ""}),
        (r'A="\n\r\t\"\\\$\x"', {"A": '\n\r\t"\\$\\x'}),
        (r"A='\n$B'", {"A": r"\n$B"}),
        ('A="one\ntwo"\nB=3', {"A": "one\ntwo", "B": "3"}),
        ("B=1\nA=$B${B}$(B)`B`", {"B": "1", "A": "$B${B}$(B)`B`"}),
        ('B=1\nA="$B"', {"B": "1", "A": "$B"}),
        ("A=it's", {"A": "it's"}),
        ("A=1\nA=2", {"A": "2"}),
        ("export=1", {"export": "1"}),
    ],
)
def test_a_file_says_what_it_says(text: str, expected: dict[str, str]) -> None:
    assert parse_env(text, ".env") == expected


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("canary", 1),
        ("A=1\n\n# x\ncanary canary", 4),
        ("A=1\n1A=canary", 2),
        ("=canary", 1),
        ("A-B=canary", 1),
        ("A=1\nB='canary", 2),
        ('A="x\ny"\nB="canary\n\n', 3),
        ('A="x"canary', 1),
        ('A="x\n"canary', 2),
        ("A='x' canary", 1),
        ("A=canary\0", 1),
        (f"{'canary' * 50}=1", 1),
        ("export canary", 1),
    ],
)
def test_a_bad_line_is_named_and_not_repeated(text: str, line: int) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_env(text, "dir/.env")
    assert caught.value.message.startswith(f"dir/.env:{line} ")
    assert "canary" not in caught.value.message


@given(st.dictionaries(st.from_regex(r"[A-Z_][A-Z0-9_]{0,8}", fullmatch=True), st.text()))
def test_double_quotes_can_hold_anything_but_nul(variables: dict[str, str]) -> None:
    kept = {
        name: value.replace("\0", "").replace("\r\n", "\n").encode(errors="replace").decode()
        for name, value in variables.items()
    }
    escaped = {
        name: value.replace("\\", "\\\\").replace('"', '\\"') for name, value in kept.items()
    }
    text = "".join(f'{name}="{value}"\n' for name, value in escaped.items())
    assert parse_env(text, ".env") == kept


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(ConfigurationError):
        assert all(map(str.isascii, parse_env(text, ".env")))


def test_the_process_wins_and_then_the_first_file(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("A=first\nB=first\n")
    second.write_text("A=second\nB=second\nC=second\n")
    environ = {"A": "process", "EMPTY": ""}
    merged = load_env([first, tmp_path / "none", second], environ)
    assert merged == {"A": "process", "EMPTY": "", "B": "first", "C": "second"}
    assert environ == {"A": "process", "EMPTY": ""}


def test_a_required_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none does not exist; it was named by"):
        load_env([tmp_path / "none"], {}, required=True)


def test_variables_that_load_code_are_left_out_and_reported(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("LD_PRELOAD=canary\nnode_options=canary\nKEY=1\n")
    heard: list[str] = []
    assert load_env([path], {}, warn=heard.append) == {"KEY": "1"}
    assert len(heard) == 2
    assert "LD_PRELOAD" in heard[0]
    assert "canary" not in "".join(heard)
