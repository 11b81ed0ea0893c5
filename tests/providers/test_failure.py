import pytest
from hypothesis import given
from hypothesis import strategies as st

from perstack.net.redaction import Redaction
from perstack.providers.failure import MAX_MESSAGE, retry_after, status_failure

NOTHING = Redaction(())
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
def test_a_status_that_passes_may_be_asked_again(status):
    failure = status_failure(status, {"retry-after": "2"}, b"", NOTHING)
    assert failure.error.is_retryable
    assert failure.error.status_code == status
    assert failure.retry_after == 2000


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 301, 302, 307, 308])
def test_a_status_that_stays_is_final(status):
    failure = status_failure(status, {"retry-after": "2"}, b"", NOTHING)
    assert not failure.error.is_retryable
    assert failure.retry_after is None


def test_what_the_vendor_calls_overloaded_is_retried_whatever_its_status():
    body = b'{"error":{"type":"overloaded_error","message":"busy"}}'
    assert status_failure(400, {}, body, NOTHING).error.is_retryable


def test_the_vendors_own_name_and_message_are_kept():
    error = status_failure(
        401,
        {},
        b'{"type":"error","error":{"type":"authentication_error","message":"bad key"}}',
        NOTHING,
    ).error
    assert (error.name, error.message, error.status_code) == (
        "authentication_error",
        "bad key",
        401,
    )


@pytest.mark.parametrize(
    "body", [b"<html>Bad gateway</html>", b"\xff\xfe", b"", b"[1]", b'{"error":"no"}', b"[" * 9999]
)
def test_a_body_that_is_no_json_error_still_says_something(body):
    error = status_failure(502, {}, body, NOTHING).error
    assert error.name == "HttpError"
    assert error.message


def test_a_long_message_is_cut():
    assert len(status_failure(500, {}, b"x" * 60_000, NOTHING).error.message) <= MAX_MESSAGE + 1


@pytest.mark.parametrize(
    "message",
    [
        "prompt is too long: 208310 tokens > 200000 maximum",
        "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000",
    ],
)
def test_a_context_overflow_is_named_as_such(message):
    body = b'{"error":{"type":"invalid_request_error","message":"%s"}}' % message.encode()
    error = status_failure(400, {}, body, NOTHING).error
    assert error.name == "invalid_request_error"
    assert error.message.startswith("The conversation no longer fits the model's context window")
    assert message in error.message


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry-after": "3"}, 3000),
        ({"retry-after": "0.5"}, 500),
        ({"retry-after-ms": "120", "retry-after": "9"}, 120),
        ({"retry-after": "Sun, 06 Nov 1994 08:50:07 GMT", "date": DATE}, 30_000),
        ({"retry-after": "Sun, 06 Nov 1994 08:40:07 GMT", "date": DATE}, 0),
        ({"retry-after": "Sun, 06 Nov 1994 08:50:07 GMT"}, None),
        ({"retry-after": "-4"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon", "date": DATE}, None),
        ({}, None),
    ],
)
def test_the_wait_is_read_in_every_form_vendors_use(headers, wait):
    assert retry_after(headers) == wait


@given(st.text(max_size=40), st.text(max_size=40), st.binary(max_size=80))
def test_no_answer_of_a_server_raises(told, date, body):
    failure = status_failure(429, {"retry-after": told, "date": date}, body, NOTHING)
    assert failure.retry_after is None or failure.retry_after >= 0
