"""URLs that may be asked, taken apart by one strict reading."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import urldefrag, urljoin

from perstack.net import Unasked
from perstack.net.addresses import is_here, literal

MAX_URL = 8192
"""Characters of a URL. Some servers put a whole session in one."""
_SHOWN = 200
_HTTPS = 443
_OPEN_PORTS = range(1024, 65536)
_PORTS = {"https": _HTTPS, "http": 80}
_URL = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<host>\[[^\]/?#@]*\]|[^\[\]:/?#@]+)"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[^?#]*)?(?P<query>\?[^#]*)?",
    re.IGNORECASE,
)


class Url(NamedTuple):
    """A URL that may be asked. `host` is in lower case, `target` what stands behind it."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def origin(self) -> str:
        """What identifies the server, with no default port in it."""
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}"

    @property
    def bare_host(self) -> str:
        """The host without the brackets of an IPv6 address."""
        return self.host.strip("[]")

    def __str__(self) -> str:
        return self.origin + self.target

    def __repr__(self) -> str:
        return f"Url({self.origin!r})"  # a query may hold a key


def parse_url(text: str, *, allow_loopback: bool) -> Url:
    """The URL that `text` is: https, with no user name, at a port that is no other service's.

    Where loopback is allowed, this machine may be asked over http and at any port.

    Raises:
        Unasked: it may not be asked, whatever its host resolves to.
    """
    url = _taken_apart(text)
    here = is_here(url.host)
    if (here or url.host.endswith(".localhost")) and not (here and allow_loopback):
        raise refused(url.origin, "it is this machine")
    if here:
        return url
    if url.scheme != "https":
        raise refused(url.origin, "it must be https")
    if url.port != _HTTPS and url.port not in _OPEN_PORTS:
        raise refused(url.origin, "it must use port 443, or one from 1024 up")
    return url


def joined(base: Url, reference: str) -> str:
    """Where `reference`, as a server wrote it, leads from `base`. It may be no URL at all."""
    if _is_odd(reference):
        return reference
    try:
        return urldefrag(urljoin(str(base), reference)).url
    except ValueError:
        return reference


def refused(origin: str, why: str) -> Unasked:
    """That nothing was asked at `origin`, which may be anybody's words, and why."""
    return Unasked(f"Nothing can be asked at {ascii(origin)[1:-1][:_SHOWN]}: {why}.")


def _taken_apart(text: str) -> Url:
    found = None if _is_odd(text) else _URL.fullmatch(text)
    if found is None:
        raise Unasked(
            "Nothing can be asked at what is no plain URL: it must be one like "
            "https://example.com/path, with no user name and no fragment."
        )
    parts = found.groupdict(default="")
    scheme = parts["scheme"].lower()
    host = parts["host"].lower()
    port = int(parts["port"] or _PORTS[scheme])
    url = Url(scheme, host, port, (parts["path"] or "/") + parts["query"])
    try:
        if literal(host) is None:  # a name's last dot changes nothing but its spelling
            url = url._replace(host=host.removesuffix("."))
    except ValueError as problem:
        raise refused(url.origin, str(problem)) from None
    if not 0 < port < 65536:
        raise refused(url.origin, "there is no such port")
    return url


def _is_odd(text: str) -> bool:
    """Whether two readers could take `text` for two URLs, or a header would carry more of it."""
    plain = text.isascii() and text.isprintable() and " " not in text and "\\" not in text
    return not plain or len(text) > MAX_URL
