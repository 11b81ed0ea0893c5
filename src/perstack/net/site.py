"""One origin that somebody else named, asked over connections that were checked."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Self

import anyio

from perstack._version import __version__
from perstack.net import Unreachable
from perstack.net.allowed_domains import is_allowed
from perstack.net.answer import Answer
from perstack.net.redaction import Redaction
from perstack.net.resolve import Resolve, system_resolver
from perstack.net.transport_logs import quiet
from perstack.net.urls import Url, joined, parse_url, refused

if TYPE_CHECKING:
    from perstack.net.pool import Pool, Response

__all__ = ["Answer", "Site", "Unreachable"]

MAX_REDIRECTS = 5
MAX_REDIRECT_BODY = 16 * 1024
"""Bytes of a redirect's body that are read past, so that its connection can be kept."""
_REDIRECTS = frozenset({301, 302, 307, 308})
_OWN = frozenset({"accept-encoding", "connection", "content-length", "host", "transfer-encoding"})


class Site:
    """The origin of one URL, asked between entering and leaving; exchanges may be concurrent.

    It must be https at a public address, whatever its name resolves to, and one of
    `allowed_domains` where there are any. With `allow_loopback` it may be this machine
    instead. `headers` go with every request; their values, and `secrets`, are in no
    message, log record or repr. Proxies (HTTPS_PROXY, ALL_PROXY, NO_PROXY) and
    certificates (SSL_CERT_FILE, SSL_CERT_DIR) are those of `environ`.

    Nothing is checked, or read, before the first exchange.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] = {},
        secrets: Sequence[str] = (),
        allow_loopback: bool = False,
        allowed_domains: Sequence[str] = (),
        environ: Mapping[str, str] = {},
        resolve: Resolve = system_resolver,
    ) -> None:
        quiet()
        self._told = url
        self._headers = {"user-agent": f"perstack/{__version__}"} | _lowered(headers)
        words = [word for value in headers.values() for word in (value, *value.split())]
        self._redaction = Redaction((*secrets, *words))
        self._allow_loopback = allow_loopback
        self._allowed_domains = tuple(allowed_domains)
        self._environ = environ
        self._resolve = resolve
        self._base: Url | None = None
        self._open: Pool | None = None

    def __repr__(self) -> str:
        return f"Site({self._base.origin!r})" if self._base else "Site()"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pool, self._open = self._open, None
        if pool is not None:
            with anyio.CancelScope(shield=True):
                await pool.aclose()

    @asynccontextmanager
    async def exchange(
        self,
        method: str,
        *,
        url: str | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] = {},
        patience: float,
    ) -> AsyncGenerator[Answer]:
        """The answer to one request, once its headers are there; leaving it gives it up.

        `url` is another one of this origin. `headers` win over the site's own. Redirects
        inside the origin are followed, five at most, with method and body as they were.
        `patience` is in seconds, from here to the headers of the last answer; what comes
        after them has as much time as whoever reads it gives it.

        Raises:
            Unasked: there is no answer, and nothing was sent.
            Unreachable: there is no answer.
        """
        try:
            with anyio.fail_after(patience):
                response, at = await self._answer(method, self._place(url), headers, body)
        except TimeoutError:
            origin = self._start().origin
            raise Unreachable(f"{origin} did not answer within {patience:g} s.") from None
        except Unreachable as problem:
            raise self._hidden(problem) from None
        try:
            yield Answer(response, at, self._redaction)
        finally:
            await response.aclose()

    async def _answer(
        self, method: str, at: Url, headers: Mapping[str, str], body: bytes | None
    ) -> tuple[Response, Url]:
        """The answer that is no redirect, and where it was found."""
        pool = self._pool(at)
        sent = self._sent(at, headers, body)
        for _ in range(MAX_REDIRECTS + 1):
            response = await pool.ask(method, at, sent, body)
            location = response.headers.get("location")
            if response.status not in _REDIRECTS or location is None:
                return response, at
            try:
                at = self._next(at, location)
                await _read_past(response)
            finally:
                await response.aclose()
        raise Unreachable(f"{at.origin} redirects more than {MAX_REDIRECTS} times.")

    def _start(self) -> Url:
        """The site's own URL, checked when it is first needed."""
        if self._base is None:
            url = parse_url(self._told, allow_loopback=self._allow_loopback)
            if self._allowed_domains and not is_allowed(url.host, self._allowed_domains):
                raise refused(url.origin, "it is none of the allowed domains")
            self._base = url
        return self._base

    def _place(self, told: str | None) -> Url:
        """The URL that is asked for, of this origin."""
        base = self._start()
        if told is None:
            return base
        url = parse_url(told, allow_loopback=self._allow_loopback)
        if url.origin != base.origin:
            raise refused(url.origin, f"it is another origin than {base.origin}")
        return url

    def _next(self, at: Url, location: str) -> Url:
        """Where a redirect leads, inside the origin."""
        place = joined(at, location)
        try:
            url = parse_url(place, allow_loopback=self._allow_loopback)
        except Unreachable as problem:
            raise Unreachable(f"{at.origin} redirects to where it must not: {problem}") from None
        if url.origin != at.origin:
            raise Unreachable(
                f"{at.origin} redirects to another origin, {url.origin}, which is not followed: "
                "name the address that is meant."
            )
        return url

    def _pool(self, base: Url) -> Pool:
        if self._open is None:
            from perstack.net.pool import Pool

            self._open = Pool(
                base, self._resolve, self._environ, allow_loopback=self._allow_loopback
            )
        return self._open

    def _sent(
        self, at: Url, told: Mapping[str, str], body: bytes | None
    ) -> list[tuple[bytes, bytes]]:
        """The headers of a request. Nothing that was told replaces those that frame it."""
        merged = self._headers | _lowered(told)
        headers = {name: value for name, value in merged.items() if name not in _OWN}
        headers["host"] = at.origin.partition("://")[2]
        headers["accept-encoding"] = "identity"  # so that no answer grows when unpacked
        if body is not None:
            headers["content-length"] = str(len(body))
        try:
            return [
                (name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()
            ]
        except UnicodeEncodeError:
            raise refused(at.origin, "a header of the request is not in plain letters") from None

    def _hidden(self, problem: Unreachable) -> Unreachable:
        return type(problem)(self._redaction.hidden(str(problem)))


async def _read_past(response: Response) -> None:
    """Read a short body to its end, so that its connection serves the next request."""
    size = 0
    while size <= MAX_REDIRECT_BODY and (chunk := await response.next()) is not None:
        size += len(chunk)


def _lowered(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
