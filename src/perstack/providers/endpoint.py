"""One HTTP endpoint of a model, with its key, its headers and its connections.

Connections are kept for the next requests. Proxies (HTTPS_PROXY, NO_PROXY) and
certificates (SSL_CERT_FILE, SSL_CERT_DIR) are taken from the process's environment;
an address on this machine is asked directly.
"""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from perstack._version import __version__
from perstack.net.redaction import Redaction
from perstack.providers.address import user_headers
from perstack.providers.failure import redacted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perstack.providers import Failure
    from perstack.providers.connections import Connections
    from perstack.providers.http import Answer

_CREDENTIAL = re.compile(r"auth|key|token|secret|cookie|password", re.IGNORECASE)
_PLAIN_URL = re.compile(r"[!-~]{1,2000}")
_PLAIN_HOST = re.compile(r"127\.0\.0\.1|(?:[a-z0-9-]+\.)*[a-z][a-z0-9-]*")
_DECIDING = frozenset(
    {
        "all_proxy",
        "http_proxy",
        "https_proxy",
        "no_proxy",
        "ssl_cert_dir",
        "ssl_cert_file",
        "sslkeylogfile",
    }
)
"""Variables, in lower case, that connections are made by."""


class Endpoint:
    """Where one vendor's requests go. Shows neither its key nor its headers.

    `own` are the wire's headers, `told` the user's, which win. What looks like a
    credential in `told` is kept out of every failure, and so is each of `secrets`:
    `redaction` hides them. The HTTP client, which is slow to load, comes with the first
    request or with `load_client`: at once only where it could refuse what it is given.

    Raises:
        ConfigurationError: a header cannot be sent, the address is none, or the environment
            names a proxy or certificates that cannot be used.
    """

    def __init__(
        self, url: str, own: Mapping[str, str], told: Mapping[str, str], secrets: tuple[str, ...]
    ) -> None:
        self.url = url
        self.headers = {"user-agent": f"perstack/{__version__}", "accept": "text/event-stream"}
        self.headers |= {"content-type": "application/json"} | dict(own)
        self.headers |= user_headers(told)
        self.headers["accept-encoding"] = "identity"  # so that no answer grows when unpacked
        self.redaction = Redaction((*secrets, *credentials_in(told)))
        self._connections: Connections | None = None
        if not _is_plain(url):
            self.load_client()

    def __repr__(self) -> str:
        return f"Endpoint({self.url!r})"

    @property
    def connections(self) -> Connections:
        """The connections to it. The first one made quiets the HTTP client's own log records."""
        if self._connections is None:
            from perstack.providers.http import open_connections

            self._connections = open_connections(self.url)
        return self._connections

    def load_client(self) -> None:
        """Do now what the first request would wait for. May be called twice.

        Raises:
            ConfigurationError: as making it.
        """
        _ = self.connections

    def post(self, body: bytes, timeout: int, until: float = 0.0) -> Answer:
        """The answer to `body`, to be entered. `timeout` is ms from entering to its end.

        With `until`, the deadline of an answer before it, it ends then: both had `timeout`.
        """
        from perstack.providers.http import Answer

        return Answer(self, body, timeout / 1000, until)

    async def aclose(self) -> None:
        """Close every connection. May be called twice; a later request opens new ones."""
        if self._connections is not None:
            await self._connections.aclose()

    def redacted(self, failure: Failure) -> Failure:
        """`failure` without the key and the user's credentials."""
        return redacted(failure, self.redaction)


def credentials_in(told: Mapping[str, str]) -> list[str]:
    """The values that look like credentials, and each word of theirs: `Bearer` is none."""
    values = [value for name, value in told.items() if _CREDENTIAL.search(name)]
    return [*values, *(word for value in values for word in value.split())]


def _is_plain(url: str) -> bool:
    """Whether neither the address nor the environment can be what no client takes.

    Elsewhere than on Linux the system has settings of proxies beside the environment.
    """
    return (
        sys.platform == "linux"
        and not any(name.lower() in _DECIDING for name in os.environ)
        and _PLAIN_URL.fullmatch(url) is not None
        and _PLAIN_HOST.fullmatch(urlsplit(url).hostname or "") is not None
    )
