"""What the exceptions of pydantic-ai, and of the SDKs below it, mean."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import msgspec
from pydantic_ai import exceptions as theirs  # noqa: TID253 - loaded with the first such provider

from perstack.net.redaction import Redaction
from perstack.providers import Failure
from perstack.providers.failure import (
    MAX_MESSAGE,
    redacted,
    status_failure,
    trouble,
    vendor_failure,
)

PASSING = frozenset(
    {"modelstreamerrorexception", "modelnotreadyexception", "modeltimeoutexception"}
)
"""Vendors' names of trouble that passes, though their status does not say so."""

MISSING = (
    "NoCredentialsError",
    "PartialCredentialsError",
    "DefaultCredentialsError",
    "CredentialRetrievalError",
    "RefreshError",
    "TokenRetrievalError",
    "SSOTokenLoadError",
    "UnauthorizedSSOTokenError",
)
"""What botocore and google-auth raise where nothing, or nothing valid, says who asks."""


UNREACHED = ("TransportError", "EndpointConnectionError", "ConnectTimeoutError")
"""What they raise where whoever gives credentials cannot be reached."""


def failure_of(
    error: Exception, redaction: Redaction, way_out: str, *, is_answered: bool
) -> Failure:
    """What `error` means. `way_out` says how to give credentials, where there are none.

    Once the request `is_answered`, what is wrong is the answer.
    """
    if isinstance(error, theirs.ModelHTTPError):
        return _of_status(error, redaction)
    for cause in _causes(error):
        if type(cause).__name__ in MISSING:
            why = redaction.line(str(cause), MAX_MESSAGE)
            message = f"The vendor's SDK found no usable credentials ({why}): {way_out}"
            return trouble("NoCredentials", message, is_retryable=False)
        if type(cause).__name__ in UNREACHED:
            why = redaction.line(str(cause), MAX_MESSAGE)
            message = f"Who gives credentials cannot be reached: {why}"
            return trouble("ConnectionFailed", message, is_retryable=True)
    said = str(error)
    name = getattr(error, "provider_error_code", None)
    if isinstance(error, theirs.ModelTimeoutError | httpx2.TimeoutException | TimeoutError):
        return trouble("TimedOut", "The model's server went silent.", is_retryable=True)
    if isinstance(error, theirs.ModelConnectionError | httpx2.HTTPError | OSError):
        message = f"The connection to the model's server broke: {said}"
        return redacted(trouble("Disconnected", message, is_retryable=True), redaction)
    if isinstance(error, theirs.ModelAPIError) and isinstance(name, str):
        return _passing(vendor_failure(name, said, redaction))
    if is_answered or isinstance(error, theirs.ModelAPIError | theirs.UnexpectedModelBehavior):
        message = "The model's server sent an event that cannot be read."
        return trouble("UnreadableResponse", message, is_retryable=True)
    message = f"The request cannot be made as it is: {redaction.line(said, MAX_MESSAGE)}"
    return trouble("BadRequest", message, is_retryable=False)


def _of_status(error: theirs.ModelHTTPError, redaction: Redaction) -> Failure:
    """An error that an SDK read: one inside a stream, or one that came another way."""
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    if error.in_stream:
        headers = {}  # those of the stream, which began well
    try:
        body = msgspec.json.encode(_error_body(error), enc_hook=str)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        body = b""  # it holds what JSON cannot
    failure = _passing(status_failure(error.status_code, headers, body, redaction))
    if failure.error.is_retryable and failure.retry_after is None and error.retry_after:
        return msgspec.structs.replace(failure, retry_after=int(error.retry_after * 1000))
    return failure


def _error_body(error: theirs.ModelHTTPError) -> object:
    """The body in the one form that our own wires read: `{"error": {...}}`."""
    match error.body:
        case {"error": dict() | str()}:
            return error.body
        case {"Error": {"Code": str(code), "Message": str(message)}}:
            return {"error": {"code": code, "message": message}}
        case {"message": str()}:
            return {"error": error.body}
        case _:
            code = error.provider_error_code or ""
            return {"error": {"code": code, "message": str(error.body or error.message)}}


def _passing(failure: Failure) -> Failure:
    error = failure.error
    if error.is_retryable or error.name.lower() not in PASSING:
        return failure
    return msgspec.structs.replace(failure, error=msgspec.structs.replace(error, is_retryable=True))


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__
