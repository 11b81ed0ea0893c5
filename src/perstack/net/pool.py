"""The connections of one site, and single exchanges over them."""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from typing import cast
from urllib.parse import unquote, urlsplit

import anyio
import httpcore2
import httpx2

from perstack.net import Unasked, Unreachable
from perstack.net.dial import CONNECT_SECONDS, Dialer, Line
from perstack.net.proxies import ProxyUrl, proxy_of
from perstack.net.redaction import Redaction
from perstack.net.resolve import Resolve
from perstack.net.urls import Url, refused

IDLE_SECONDS = 55.0
MAX_CONNECTIONS = 64
_MAX_WORDS = 200
_TIMEOUTS = {"connect": CONNECT_SECONDS}
_TROUBLE = (
    httpcore2.NetworkError,
    httpcore2.TimeoutException,
    httpcore2.ProtocolError,
    httpcore2.ProxyError,
    OSError,
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    anyio.EndOfStream,
)


class Pool:
    """Connections to the origin of `url`, kept for the next requests.

    Proxies and certificates are those that `environ` names: nothing is taken from the
    process's own environment, nor from a file in the user's home, and no cookie is kept.

    Raises:
        Unasked: `environ` names a proxy or certificates that cannot be used.
    """

    def __init__(
        self, url: Url, resolve: Resolve, environ: Mapping[str, str], *, allow_loopback: bool
    ) -> None:
        told = proxy_of(url, environ)
        context = _context(environ) if url.scheme == "https" else None
        proxy, secrets = (None, ()) if told is None else _proxy(told, context)
        dialer = Dialer(url, resolve, allow_loopback=allow_loopback, has_proxy=proxy is not None)
        self._redaction = Redaction(secrets)
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=context,
            proxy=proxy,
            max_connections=MAX_CONNECTIONS,
            keepalive_expiry=IDLE_SECONDS,
            network_backend=dialer,
        )

    async def ask(
        self, method: str, url: Url, headers: Sequence[tuple[bytes, bytes]], body: bytes | None
    ) -> Response:
        """The answer, once its headers are there. It must be closed.

        Raises:
            Unasked: there is none, and the request was not sent.
            Unreachable: there is none.
        """
        request = httpcore2.Request(
            method,
            httpcore2.URL(scheme=url.scheme, host=url.host, port=url.port, target=url.target),
            headers=headers,
            content=body,
            extensions={"timeout": _TIMEOUTS, "sni_hostname": url.bare_host},
        )
        try:
            return Response(await self._pool.handle_async_request(request), url)
        except _TROUBLE as error:
            raise self._problem(error, url) from None

    async def aclose(self) -> None:
        """Close every connection, also those at work."""
        with suppress(*_TROUBLE):
            await self._pool.aclose()

    def _problem(self, error: Exception, url: Url) -> Unreachable:
        """Why there is no answer. What the other side said is never repeated."""
        words = str(error)
        if "CERTIFICATE_VERIFY_FAILED" in words:
            return _untrusted(url, words)
        if isinstance(error, httpcore2.ConnectTimeout):
            return refused(url.origin, f"no connection within {CONNECT_SECONDS:g} s")
        if isinstance(error, httpcore2.ConnectError):
            return refused(url.origin, f"no connection: {_reason(error)}")
        if isinstance(error, httpcore2.ProxyError):
            why = self._redaction.line(words, _MAX_WORDS)
            return refused(url.origin, f"the proxy does not reach it: {why}")
        if isinstance(error, httpcore2.LocalProtocolError):
            return refused(url.origin, "the request cannot be sent as it is")
        if isinstance(error, httpcore2.RemoteProtocolError) and "disconnected" not in words:
            return Unreachable(f"What {url.origin} answered is no HTTP, or has too much of a head.")
        return Unreachable(f"{url.origin} hung up before an answer.")


class Response:
    """A status, headers with their names in lower case, and a body that is read once."""

    def __init__(self, response: httpcore2.Response, url: Url) -> None:
        self.status = response.status
        self.headers = _headers(response.headers)
        self._response = response
        self._url = url
        stream = cast("AsyncGenerator[bytes, None]", response.stream)
        self._chunks = cast("AsyncGenerator[bytes, None]", aiter(stream))
        extensions = cast("Mapping[str, object]", response.extensions)
        line = extensions.get("network_stream")
        if isinstance(line, Line):
            line.begin()

    async def next(self) -> bytes | None:
        """What has come, as it was sent; None at the end.

        Raises:
            Unreachable: the connection broke before the end.
        """
        try:
            return await anext(self._chunks, None)
        except _TROUBLE:
            raise Unreachable(f"{self._url.origin} hung up inside its answer.") from None

    async def aclose(self) -> None:
        """Give the connection back, or close it where the body was not read whole."""
        with anyio.CancelScope(shield=True), suppress(*_TROUBLE):
            await self._chunks.aclose()
        with anyio.CancelScope(shield=True), suppress(*_TROUBLE):
            await self._response.aclose()


def _headers(raw: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in raw:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _context(environ: Mapping[str, str]) -> ssl.SSLContext:
    """Whose certificates are trusted. SSL_CERT_FILE goes before SSL_CERT_DIR."""
    file, directory = environ.get("SSL_CERT_FILE"), environ.get("SSL_CERT_DIR")
    try:
        if file:
            return ssl.create_default_context(cafile=file)
        if directory:
            return ssl.create_default_context(capath=directory)
        return httpx2.create_ssl_context(trust_env=False)
    except OSError as error:
        raise Unasked(
            "SSL_CERT_FILE or SSL_CERT_DIR names no usable certificates: "
            f"{error.strerror or 'they cannot be read'}."
        ) from None


def _proxy(
    told: ProxyUrl, context: ssl.SSLContext | None
) -> tuple[httpcore2.Proxy, tuple[str, ...]]:
    """The proxy, and what is secret about it. Its credentials may be percent-encoded."""
    try:
        parts = urlsplit(told.url)
        port, host = parts.port, (parts.hostname or "").encode("ascii")
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        auth = (user.encode(), password.encode()) if user or password else None
    except ValueError:
        raise told.problem from None
    if parts.scheme not in {"http", "https"} or not host:
        raise told.problem
    url = httpcore2.URL(scheme=parts.scheme, host=host, port=port, target=b"/")
    own = context if parts.scheme == "https" else None
    return httpcore2.Proxy(url, auth, ssl_context=own), (user, password)


def _untrusted(url: Url, words: str) -> Unasked:
    if "match" in words or "not valid for" in words:
        return refused(url.origin, "its certificate is for another name")
    return refused(
        url.origin,
        "its certificate is not trusted; name its authority in SSL_CERT_FILE or SSL_CERT_DIR",
    )


def _reason(error: BaseException | None) -> str:
    """The system's words for what went wrong, where it was the system."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return "TLS was not agreed on"
        if isinstance(error, OSError) and error.errno:
            return os.strerror(error.errno).lower()
        error = error.__cause__ or error.__context__  # the pool raises again "from None"
    return "it was not accepted"
