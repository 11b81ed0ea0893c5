"""What went wrong with a request, as a value: what it is called, and whether to come back."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime

import msgspec

from perstack.net.redaction import MAX_TEXT, Redaction
from perstack.providers import Failure
from perstack.schema.checkpoint import RunError
from perstack.schema.usage import NO_USAGE, Usage

MAX_MESSAGE = 2_000
"""Characters kept of a vendor's message."""
MAX_NAME = 200
MAX_BODY = MAX_TEXT
"""Bytes kept of a body that says what went wrong."""

RETRYABLE_STATUSES = frozenset({408, 409, 429})
RETRYABLE_NAMES = frozenset(
    {
        "overloaded_error",
        "api_error",
        "rate_limit_error",
        "timeout_error",
        "server_error",
        "internal_server_error",
        "rate_limit_exceeded",
        "RESOURCE_EXHAUSTED",
        "UNAVAILABLE",
    }
)
"""Vendors' own names of trouble that passes."""
FINAL_NAMES = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
"""Vendors' own names of trouble that stays, though their status says otherwise."""
OVERFLOW_WORDS = (
    "prompt is too long",
    "exceed context limit",
    "context window",
    "context_length",
    "maximum context length",
    "context size",
    "input token count",
)


class _Error(msgspec.Struct):
    """`type` is Anthropic's and OpenAI's, `code` OpenAI's finer one, `status` Google's."""

    type: str | None = None
    code: str | int | None = None
    status: str | int | None = None
    message: str | None = None

    @property
    def name(self) -> str:
        """The finest name that is one."""
        for name in (self.code, self.status, self.type):
            if isinstance(name, str) and name:
                return name
        return ""


class _ErrorBody(msgspec.Struct):
    error: _Error | str
    message: str | None = None


_decode = msgspec.json.Decoder(_ErrorBody)


def trouble(name: str, message: str, *, is_retryable: bool) -> Failure:
    """A failure of the connection or of the answer's form, which has no status."""
    return Failure(error=RunError(name=name, message=message, is_retryable=is_retryable))


def too_large(error: Exception, usage: Usage = NO_USAGE) -> Failure:
    """An answer that passed a limit of ours, in the words of `error`."""
    failure = trouble("ResponseTooLarge", str(error), is_retryable=False)
    return msgspec.structs.replace(failure, usage=usage)


def vendor_failure(
    name: str, message: str, redaction: Redaction, usage: Usage = NO_USAGE
) -> Failure:
    """An error that a vendor sent inside a stream, told apart by its type. Says no secret."""
    error = RunError(
        name=redaction.line(name, MAX_NAME) or "error",
        message=_shown(message, redaction),
        is_retryable=name in RETRYABLE_NAMES,
    )
    return Failure(error=error, usage=usage)


def status_failure(
    status: int, headers: Mapping[str, str], body: bytes, redaction: Redaction
) -> Failure:
    """An answer other than 200. Keeps the vendor's own name and message where the body has them.

    Says no secret: a `body` of more than `MAX_BODY` bytes is taken for one that was cut,
    and its end is not used. 408, 409, 429 and 5xx may be asked again, and so may what
    the vendor itself calls overloaded, whatever its status.
    """
    name, message = _words(body, redaction)
    message = _shown(message, redaction) or f"The model's server answered with status {status}."
    if 300 <= status < 400:
        message = f"The model's server answered with a redirect ({status}), which is not followed."
    passes = status in RETRYABLE_STATUSES or 500 <= status < 600 or name in RETRYABLE_NAMES
    is_retryable = passes and name not in FINAL_NAMES
    error = RunError(
        name=redaction.line(name, MAX_NAME) or ("Redirect" if 300 <= status < 400 else "HttpError"),
        message=message,
        status_code=status,
        is_retryable=is_retryable,
    )
    return Failure(error=error, retry_after=retry_after(headers) if is_retryable else None)


def retry_after(headers: Mapping[str, str]) -> int | None:
    """How many ms until the vendor wants to be asked: `retry-after-ms`, else `retry-after`.

    A date is read against the answer's own `date`, so that our clock does not matter;
    without one it says nothing. Never negative; None for what cannot be read.
    """
    if (wait := _number(headers.get("retry-after-ms"))) is not None:
        return int(wait)
    told = headers.get("retry-after")
    if (seconds := _number(told)) is not None:
        return int(seconds * 1000)
    sent = headers.get("date")
    if told is None or sent is None:
        return None
    try:
        seconds = (parsedate_to_datetime(told) - parsedate_to_datetime(sent)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0, int(seconds * 1000))


def redacted(failure: Failure, redaction: Redaction) -> Failure:
    """The same failure with no secret in its words: a server may echo what it was sent.

    For words that nothing has cut: those above are redacted as they are made.
    """
    error = failure.error
    name, message = redaction.hidden(error.name), redaction.hidden(error.message)
    if (name, message) == (error.name, error.message):
        return failure
    error = msgspec.structs.replace(error, name=name, message=message)
    return msgspec.structs.replace(failure, error=error)


def _number(text: str | None) -> float | None:
    try:
        number = float(text) if text is not None else -1.0
    except ValueError:
        return None
    return number if 0 <= number < 1e12 else None


def _words(body: bytes, redaction: Redaction) -> tuple[str, str]:
    """The vendor's name and message, else the text of `body`, without escapes if it is JSON."""
    try:
        told = _decode.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass
    else:
        if isinstance(told.error, str):
            return "", told.error
        return told.error.name, told.error.message or told.message or ""
    text = body[:MAX_BODY].decode(errors="replace")
    if len(body) > MAX_BODY:
        return "", redaction.without_end(text)
    try:  # an escape inside a secret would hide it from us and not from a reader
        return "", msgspec.json.encode(msgspec.json.decode(body)).decode()
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return "", text


def _shown(message: str, redaction: Redaction) -> str:
    line = redaction.line(message, MAX_MESSAGE)
    if any(words in message.lower() for words in OVERFLOW_WORDS):
        line = f"The conversation no longer fits the model's context window: {line}"
    return line
