"""What a server was trusted with is nowhere in what it says."""

from __future__ import annotations

import base64
import html
import json
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from perstack.schema.event import SkillConnected, SkillReported, SkillStderr
from perstack.skills.mcp import Patience
from perstack.skills.mcp.environment import secrets_of
from perstack.skills.mcp.lines import Complaints
from perstack.skills.mcp.redaction import Redaction
from skills.mcp.test_skill import ENVIRON, Told, hostile, opened, text

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

KEYS = {
    "plain": "canary-0123456789abcdef",
    "odd": 'ca"nary\\of/mine+and%more é~',
    "lines": "first line of it\nsecond/line of it\nthird one",
}


def traces(told: object, key: str) -> list[str]:
    """Pieces of the key, as it is or encoded, in anything."""
    said = repr(told)
    lines = [key, *key.splitlines(), key.encode().hex(), base64.b64encode(key.encode()).decode()]
    forms = {form for line in lines for form in (line, repr(line)[1:-1], json.dumps(line)[1:-1])}
    forms |= {
        quote(key, safe=""),
        json.dumps(key),
        base64.b64encode(f"user:{key}".encode()).decode(),
    }
    runs = {form[at : at + 12] for form in forms for at in range(len(form) - 11)}
    return sorted(run for run in runs if run in said or run.upper() in said or run.lower() in said)


ESCAPES = {
    "as it is": lambda key: key,
    "JSON": json.dumps,
    "JSON without escapes of letters": lambda key: json.dumps(key, ensure_ascii=False),
    "JSON in JSON": lambda key: json.dumps({"a": json.dumps([key])}),
    "JSON with escaped slashes": lambda key: json.dumps(key).replace("/", "\\/"),
    "numbers of all letters": lambda key: "".join(f"\\u{ord(one):04x}" for one in key),
    "numbers of some letters": lambda key: key[:2] + f"\\u{ord(key[2]):04X}" + key[3:],
    "Python": lambda key: "".join(f"\\x{ord(one):02x}" for one in key if ord(one) < 128),
    "URL": lambda key: quote(key, safe=""),
    "URL, every letter": lambda key: "".join(f"%{byte:02x}" for byte in key.encode()),
    "URL twice": lambda key: quote(quote(key, safe=""), safe=""),
    "HTML": html.escape,
    "HTML by numbers": lambda key: html.escape(key).replace("&#x27;", "&#39;"),
    "hex": lambda key: key.encode().hex(),
    "HEX": lambda key: key.encode().hex().upper(),
    "base64": lambda key: base64.b64encode(key.encode()).decode(),
    "base64 behind a name": lambda key: base64.b64encode(f"me:{key}".encode()).decode(),
    "base64 in the middle": lambda key: base64.urlsafe_b64encode(f"m:{key}:x".encode()).decode(),
    "a line": lambda key: " ".join(key.split()),
}


@pytest.mark.parametrize("escape", ESCAPES)
@pytest.mark.parametrize(
    "key", ["canary-0123456789abcdef", 'ca"na\ry of/mine+and%more ~\n2nd', "a<b>&'c'\"d\""]
)
def test_a_secret_is_hidden_however_it_is_escaped(key: str, escape: str):
    said = f"<{ESCAPES[escape](key)}>"
    hidden = Redaction([("KEY", key)]).hidden(said)
    assert "[KEY]" in hidden
    assert hidden[0] + hidden[-1] == "<>"
    assert len(hidden) < 24  # with the brackets of the JSON, or a digit of base64, around it


def test_a_secret_that_begins_with_another_is_hidden_to_its_end():
    short, long = "canary-0123456789", "canary-0123456789-and-more-of-it"
    for pairs in ([("A", short), ("B", long)], [("B", long), ("A", short)]):
        assert Redaction(pairs).hidden(f"{long} {short}") == "[B] [A]"


def test_secrets_that_overlap_are_hidden_whole():
    redaction = Redaction([("A", "0123456789abcdef"), ("B", "89abcdefghijklmn")])
    assert redaction.hidden("<0123456789abcdefghijklmn>") == "<[A]>"


def test_each_line_of_a_secret_is_a_secret():
    redaction = Redaction([("KEY", "-----BEGIN KEY-----\nMIIEvQIBADAN\nab\n-----END KEY-----\n")])
    said = "-----BEGIN KEY-----\r\nMIIEvQIBADAN\r\n"
    assert redaction.hidden(said) == "[KEY]\r\n[KEY]\r\n"


def test_short_values_and_other_words_stay():
    redaction = Redaction([("A", "short"), ("B", "a-longer-value")])
    said = 'a short text with 100% of "its" \\u0041 and \\n escapes'
    assert redaction.hidden(said) == said
    assert not Redaction([("A", "short")])


def test_text_around_a_hidden_escape_stays_as_it_was():
    redaction = Redaction([("KEY", "canary-0123456789")])
    said = "a%20b \\u0041 canary%2D0123456789 \\u0042 c%20d canary-0123456789!"
    assert redaction.hidden(said) == "a%20b \\u0041 [KEY] \\u0042 c%20d [KEY]!"


@pytest.mark.parametrize(
    "escape", ["as it is", "URL, every letter", "base64", "numbers of all letters"]
)
@pytest.mark.parametrize("kept", range(8, 40, 5))
def test_of_a_secret_on_an_edge_nothing_is_left(escape: str, kept: int):
    key = "canary-0123456789abcdef-" * 2
    redaction = Redaction([("KEY", key)])
    form = ESCAPES[escape](key)
    said = "x" * 1000 + form
    wide = len(form) // len(key)
    cut = said[: 1000 + kept * wide + 1]
    assert traces(redaction.hidden(redaction.without_end(cut)), key) == []
    assert redaction.without_end(cut).startswith("x" * 1000 + "[KEY]")
    rest = form[-kept * wide - 1 :] + "y" * 1000
    assert traces(redaction.hidden(redaction.without_start(rest)), key) == []
    assert redaction.start("x" * 90 + key, 100) == "x" * 90 + "[KEY]"


def test_the_value_of_a_place_and_of_what_every_server_gets_is_no_secret(tmp_path: Path):
    env = {
        "PATH": "/usr/bin:/usr/local/bin",
        "ROOT_DIR": str(tmp_path),
        "GONE_DIR": "/no/such/folder",
        "SERVICE_KEY": "0123456789",
        "DATABASE_URL": "postgres://me:pass%2Fword@host/base",
    }
    found = dict.fromkeys(value for _, value in secrets_of(env, (*env, "NOT_SET")) if value)
    assert list(found) == [
        "/no/such/folder",
        "0123456789",
        "postgres://me:pass%2Fword@host/base",
        "pass%2Fword",
        "pass/word",
    ]


TOKEN = "ntn_4f8a9c0123456789abcdef"
LINES = "-----BEGIN KEY-----\nMIIEvQIBADAN\n-----END KEY-----\n"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (json.dumps({"Authorization": f"Bearer {TOKEN}", "Version": "2022-06-28"}), TOKEN),
        (json.dumps({"type": "account", "private_key": LINES}), LINES),
        (json.dumps({"servers": [{"password": "hunter-2"}]}), "hunter-2"),
        (json.dumps([f"https://me:{TOKEN}@example.com"]), TOKEN),
        (f'"{TOKEN}"', TOKEN),
        (f"Bearer {TOKEN}", TOKEN),
        (f"https://example.com/mcp?apiKey={TOKEN}&more=1", TOKEN),
        ("https://example.com/mcp?token=hunter%2d2", "hunter-2"),
        ("Server=db-01.example.com;User Id=sa;Password=hunter-2;", "hunter-2"),
    ],
)
def test_a_secret_is_hidden_when_it_is_told_without_what_was_around_it(value: str, said: str):
    hidden = Redaction(secrets_of({"CONFIG": value}, ["CONFIG"])).hidden(f"It is not {said}")
    assert set(hidden.split()) == {"It", "is", "not", "[CONFIG]"}


@pytest.mark.parametrize(
    "value",
    [
        json.dumps({"Authorization": f"Bearer {TOKEN}", "Version": "2022-06-28", "n": 1234567890}),
        "Server=db-01.eu-west-1.example.com;User Id=administrator;Password=hunter-2;",
        "https://example.com/a/long/path/to/version-1?page=1234567890",
        "{" * 100_000,
    ],
)
def test_what_stands_around_a_secret_is_none(value: str):
    said = (
        "2022-06-28 db-01.eu-west-1.example.com administrator Bearer Version Authorization "
        "https://example.com/a/long/path/to/version-1 1234567890 {{{{{{{{{{"
    )
    assert Redaction(secrets_of({"CONFIG": value}, ["CONFIG"])).hidden(said) == said


def test_keys_that_are_the_same_without_a_secret_stay_two():
    key = "canary-0123456789"
    table = {key: 1, key.encode().hex(): 2, "[KEY]": 3}
    hidden = Redaction([("KEY", key)]).data(table)
    assert hidden == {"[KEY]'": 1, "[KEY]''": 2, "[KEY]": 3}


async def test_a_line_that_was_not_read_whole_is_left_out():
    said: list[str] = []
    key = "canary-0123456789abcdef"
    complaints = Complaints(said.append, Redaction([("KEY", key)]))
    complaints.add(b"line\n" * 20 + key[:12].encode())
    complaints.add(key[12:].encode() + b"\n")
    complaints.flush()
    assert traces(said, key) == []
    assert said[-1] == "[1 line left out]"


@pytest.mark.parametrize("kind", KEYS)
async def test_a_server_that_tells_its_key_everywhere_puts_it_nowhere(tmp_path: Path, kind: str):
    key = KEYS[kind]
    told = Told()
    answers: list[object] = []
    environ = {**ENVIRON, "SERVICE_KEY": key}
    leaky = hostile("leak", required_env=("SERVICE_KEY",))
    async with opened(told, tmp_path, environ, Patience(stop=0.5), a=leaky) as source:
        answers.append(source.tools())
        for how in ("text", "structured", "parts", "middle", "middle-after", "fail"):
            answer = await source.call("leak", {"how": how})
            assert answer.is_error == (how == "fail")
            answers.append(answer)
        for how in ("refuse", "die"):
            answer = await source.call("leak", {"how": how})
            assert answer.is_error
            answers.append(answer)
    assert traces(answers, key) == []
    assert traces(list(told), key) == []
    kinds = {type(event) for event in told if "[SERVICE_KEY]" in repr(event)}
    assert {SkillConnected, SkillReported, SkillStderr} <= kinds
    assert "name holds the value" in repr(list(told))


async def test_without_required_variables_nothing_is_changed(tmp_path: Path):
    async with opened(Told(), tmp_path, a=hostile()) as source:
        assert text(await source.call("echo", {"x": "a\\u0041%41"})) == '{"x": "a\\\\u0041%41"}'
