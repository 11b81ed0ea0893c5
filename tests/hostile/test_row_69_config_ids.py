"""Row 69: ids and keys that would be paths, at the functions every entrance uses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perstack.errors import UsageError
from perstack.schema.keys import checked_id, is_id, parse_key

pytestmark = pytest.mark.hostile

PATHS = [
    *("", ".", "..", "../../x", "/etc/passwd", "a/b", "a\\b", "a/../b", "..%2fx", "a%00", "a\0"),
    *(
        "a\n",
        "\na",
        " a",
        "a ",
        "-rf",
        "_a",
        "~",
        "~root",
        "$HOME",
        "a:b",
        "C:x",
        "é",
        "\uff11",
        "a.b",
    ),
    *("a" * 129, "a" * 10_000, "a\u202eb", "\x1b[31m"),
]


@pytest.mark.parametrize("text", PATHS)
def test_row_69_no_path_is_an_id(text: str) -> None:
    assert not is_id(text)
    with pytest.raises(UsageError) as caught:
        checked_id(text, "job id")
    assert "is not a job id" in caught.value.message
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 400


@pytest.mark.parametrize("text", ["a", "0", "Job_1-x", "a" * 128])
def test_row_69_an_id_is_returned_as_it_came(text: str) -> None:
    assert checked_id(text, "job id") == text


@given(st.text(max_size=8))
def test_row_69_an_id_is_one_plain_name_of_a_folder(text: str) -> None:
    if is_id(text):
        assert text.isascii()
        assert not set(text) & set("/\\.\0 \n~$%:")
        assert text[0] not in "-_"


KEYS = [
    *("", ".", "../x", "/x", "a/b", "a/../b", "@/x", "@a", "@a/", "@a/b/c", "@../x", "@a/..", "A"),
    *("a@", "a@@b", "a@b@c", "a@../x", "a@1.0", "a@1.0.0/..", "a@Tag", "a\n", "a\0", "é", "-a"),
    *("a" * 256, "a@" + "b" * 600, "a@1.0." + "9" * 100, "\x1b[31m"),
]


@pytest.mark.parametrize("text", KEYS)
def test_row_69_no_path_is_an_expert_key(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_key(text)
    assert "is not an Expert key" in caught.value.message
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 500


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a", ("a", None, None)),
        ("@s/a", ("@s/a", None, None)),
        ("a@1.0.0", ("a", "1.0.0", None)),
        ("@s/a@1.0.0-rc.1+b", ("@s/a", "1.0.0-rc.1+b", None)),
        ("@s/a@latest", ("@s/a", None, "latest")),
        ("a" * 255 + "@" + "b" * 255, ("a" * 255, None, "b" * 255)),
    ],
)
def test_row_69_a_key_has_its_parts(text: str, parts: tuple[str, str | None, str | None]) -> None:
    assert parse_key(text) == parts
