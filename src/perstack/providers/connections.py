"""Connections to one address: as many as there are requests at once, kept for the next ones.

A pool that looks through all its connections at each request costs a thousand requests
at once a million looks. Here a request takes the newest idle connection, or a new one.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import anyio
import httpx2

from perstack.errors import ConfigurationError

if TYPE_CHECKING:
    import ssl

IDLE_CONNECTION_SECONDS = 55.0
MOST_CLOSED_AT_ONCE = 2
"""Connections idle for too long that one return closes: more than the one it adds."""


class Connections:
    """HTTP clients for one address, each with one connection and one request at a time.

    Proxies and certificates are those of the process's environment, the certificates
    as they are read when this is made. Plain http gets no authorities, which are slow
    to read.

    Raises:
        ConfigurationError: the environment names a proxy or certificates that cannot be used.
    """

    def __init__(self, url: httpx2.URL) -> None:
        is_here = url.host in ("localhost", "::1") or url.host.startswith("127.")
        self.url = url
        self._trusts_environment = not is_here
        self._context = _context(url)
        self._lent: set[httpx2.AsyncClient] = set()
        self._idle: deque[tuple[httpx2.AsyncClient, float]] = deque()  # the newest last
        self._idle.append((self._opened(), 0.0))

    @property
    def idle(self) -> int:
        """How many wait for a request."""
        return len(self._idle)

    @property
    def lent(self) -> int:
        """How many serve one."""
        return len(self._lent)

    def lend(self) -> httpx2.AsyncClient:
        """One for one request, to be given back."""
        client = self._idle.pop()[0] if self._idle else self._opened()
        self._lent.add(client)
        return client

    async def take_back(self, client: httpx2.AsyncClient, *, is_usable: bool) -> None:
        """Keep `client` for the next request, or close it where its answer was not read whole."""
        if client in self._lent:
            self._lent.discard(client)
            now = anyio.current_time()
            if is_usable:
                self._idle.append((client, now))
            else:
                await client.aclose()
            for _ in range(MOST_CLOSED_AT_ONCE):
                if not self._idle or self._idle[0][1] > now - IDLE_CONNECTION_SECONDS:
                    break
                await self._idle.popleft()[0].aclose()

    async def aclose(self) -> None:
        """Close all of them, also those at work. May be called twice; new ones may be lent."""
        clients = [*self._lent, *(client for client, _ in self._idle)]
        self._lent.clear()
        self._idle.clear()
        for client in clients:
            await client.aclose()

    def _opened(self) -> httpx2.AsyncClient:
        try:
            return httpx2.AsyncClient(
                verify=self._context,
                trust_env=self._trusts_environment,
                follow_redirects=False,
                limits=httpx2.Limits(max_connections=1, keepalive_expiry=IDLE_CONNECTION_SECONDS),
            )
        except (ValueError, ImportError, httpx2.InvalidURL):
            raise ConfigurationError(
                "HTTPS_PROXY, HTTP_PROXY or ALL_PROXY names no usable proxy: "
                "give one like http://host:port."
            ) from None


def _context(url: httpx2.URL) -> ssl.SSLContext:
    try:
        return httpx2.create_ssl_context(verify=url.scheme == "https")
    except OSError as error:
        raise ConfigurationError(
            f"SSL_CERT_FILE or SSL_CERT_DIR names no usable certificates: {error.strerror or error}"
        ) from None
