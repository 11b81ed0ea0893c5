"""No part of a key that says too much is left in a failure, wherever the key stood."""

import base64
import json
import string
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from perstack.net.redaction import MAX_TEXT, Redaction
from perstack.providers import Failure
from perstack.providers.anthropic_stream import ReplyBuilder
from perstack.providers.failure import MAX_BODY, MAX_MESSAGE, status_failure, vendor_failure
from perstack.schema.settings import ProviderSettings, Settings

KEY = "sk-ant-canary-Zq7vW2xY9kLmN4pR8sT1+/=aB3"
HIDES = Redaction((KEY,))
TOO_MUCH = 12

spaces = st.text(" \t\n", max_size=3)
near = st.text(max_size=30) | st.text(KEY, max_size=30)
edges = st.integers(-len(KEY) - 5, 5)
"""Where the key begins, seen from a limit."""
keys = st.text(string.ascii_letters + string.digits + "-_.~+/=", min_size=24, max_size=120)


def parts(secret: str = KEY, size: int = TOO_MUCH) -> set[str]:
    return {secret[at : at + size] for at in range(len(secret) - size + 1)}


def said(failure: Failure, secret: str = KEY) -> list[str]:
    """What the failure still says of the secret."""
    words = failure.error.name + "\n" + failure.error.message
    return sorted(part for part in parts(secret) if part in words)


def error_body(name: str, message: str) -> bytes:
    return json.dumps({"error": {"type": name, "message": message}}).encode()


@given(keys, near, near)
def test_a_key_is_hidden_in_any_text(key, before, after):
    redaction = Redaction((key,))
    text = before + key + after
    for failure in (
        vendor_failure(text, text, redaction),
        status_failure(401, {}, error_body(text, text), redaction),
        status_failure(401, {}, text.encode(errors="replace"), redaction),
    ):
        assert said(failure, key) == []


@given(edges, spaces, near)
@example(-20, "", "")
def test_a_key_on_the_edge_of_a_message_is_hidden(edge, gap, after):
    text = gap + "x" * (MAX_MESSAGE + edge) + KEY + after
    assert said(vendor_failure("error", text, HIDES)) == []
    assert said(status_failure(401, {}, error_body("error", text), HIDES)) == []


@pytest.mark.parametrize("edge", range(-len(KEY) - 1, 2, 3))
@pytest.mark.parametrize("filler", [" ", KEY])
def test_a_key_on_the_edge_of_a_body_leaves_nothing(edge, filler):
    size = MAX_BODY + edge
    body = ((filler * size)[:size] + "#" + KEY + " and more").encode()
    message = status_failure(401, {}, body[: MAX_BODY + 1], HIDES).error.message
    assert not any(part in message for part in parts(size=4))
    message = vendor_failure("e", body.decode() + "x" * len(KEY), HIDES).error.message
    assert not any(part in message for part in parts(size=4))


@pytest.mark.parametrize(
    "encoded",
    [
        KEY.upper(),
        quote(KEY, safe=""),
        quote(KEY, safe="").lower(),
        KEY.encode().hex(),
        KEY.encode().hex().upper(),
        base64.b64encode(KEY.encode()).decode(),
        base64.urlsafe_b64encode(KEY.encode()).decode(),
        base64.b64encode(b"u:" + KEY.encode()).decode(),
        base64.b64encode(b"me:" + KEY.encode()).decode(),
        base64.b64encode(b"you:" + KEY.encode() + b"&x").decode(),
    ],
)
def test_a_key_is_hidden_in_other_forms(encoded):
    hidden = HIDES.hidden(f"<{encoded}>")
    assert hidden.startswith("<")
    assert hidden.endswith(">")
    assert len(hidden) <= 18  # the mask, and what base64 mixes with its neighbours


@pytest.mark.parametrize("shape", ['{"error":{"message":"%s"}}', '{"detail":["%s"]}', '"%s"'])
def test_a_key_that_json_escapes_split_is_hidden(shape):
    escaped = KEY.replace("a", "\\u0061").replace("/", "\\/").replace("+", "\\u002B")
    failure = status_failure(400, {}, (shape % f"bad {escaped}.").encode(), HIDES)
    assert "bad ***." in failure.error.message


def test_a_key_in_utf_16_is_hidden():
    failure = status_failure(400, {}, KEY.encode("utf-16-le"), HIDES)
    assert failure.error.message == "***"


@pytest.mark.parametrize("half", [KEY[:-3], KEY[:TOO_MUCH], KEY[-TOO_MUCH:], KEY[9:][:TOO_MUCH]])
def test_a_key_that_the_server_shortened_is_hidden(half):
    assert vendor_failure("e", f"{half}... is wrong", HIDES).error.message == "***... is wrong"


def test_both_alphabets_of_base64_are_known():
    key = "k~~?k~~?" * 4
    plain = base64.b64encode(key.encode()).decode()
    assert "/" in plain
    redaction = Redaction((key,))
    assert redaction.hidden(plain) == redaction.hidden(plain.translate({47: 95, 43: 45})) == "***="


def test_a_mask_does_not_complete_a_key():
    key = "abcdefgh***ijklmnopq"
    assert Redaction((key,)).hidden(f"abcdefgh{key}ijklmnopq") == "***"


def test_keys_that_touch_are_one_mask_and_what_is_around_them_stays():
    assert HIDES.hidden(f"ä {KEY}{KEY} 🙂{KEY}\ud800") == "ä *** 🙂***\ud800"


def test_a_short_secret_is_hidden_by_half_of_it():
    redaction = Redaction(("p4ssw0rd", "hunter2hunter2hunter"))
    assert redaction.hidden("p4ssw0rd p4ssw0r hunter2hun x") == "*** p4ssw0r *** x"


def test_what_is_too_short_to_be_a_secret_stays():
    assert Redaction(("demo", "")).hidden("a demo") == "a demo"


def test_a_secret_with_spaces_is_hidden_on_one_line():
    assert Redaction(("Token  abc\tdef",)).line("got Token  abc\n def!", 99) == "got ***!"


def test_a_name_is_one_short_line():
    assert len(vendor_failure("n" * 5000, "x", HIDES).error.name) <= 201
    assert vendor_failure(" \n ", "x", HIDES).error.name == "error"
    assert status_failure(400, {}, error_body("a\nb", "x"), HIDES).error.name == "a b"
    assert status_failure(400, {}, error_body(" ", "x"), HIDES).error.name == "HttpError"


def test_an_error_inside_a_stream_says_no_key():
    builder = ReplyBuilder({}, HIDES)
    message = "x" * (MAX_MESSAGE - 20) + KEY
    builder.feed([msgspec.json.encode({"type": "error", "error": {"message": message}})])
    failure = builder.reply()
    assert isinstance(failure, Failure)
    assert said(failure) == []


def test_a_huge_text_costs_no_more_than_a_long_one():
    assert HIDES.line("x" * MAX_TEXT * 200, 10) == "x" * 10 + "…"


def test_secrets_do_not_show():
    assert KEY not in repr(HIDES)


def test_settings_show_the_names_of_headers_alone():
    provider = ProviderSettings(headers={"authorization": "Bearer sk-1234567890"}, region="eu")
    shown = repr(Settings(provider=provider)) + repr(provider) + str(provider.__rich_repr__())
    assert "1234567890" not in shown
    assert "headers=['authorization']" in repr(provider)
    assert "region='eu'" in repr(provider)
