"""Which proxy an address is asked through, as the environment says."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import NamedTuple

from perstack.net import Unasked
from perstack.net.addresses import is_here, literal
from perstack.net.urls import Url

_VARIABLES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
_EXCEPTIONS = ("no_proxy", "NO_PROXY")


class ProxyUrl(NamedTuple):
    """A proxy's own address. Shows neither where it is nor its credentials."""

    url: str
    variable: str

    def __repr__(self) -> str:
        return f"ProxyUrl(from {self.variable})"

    @property
    def problem(self) -> Unasked:
        """That it is no usable proxy."""
        return Unasked(f"{self.variable} names no usable proxy: give one like http://host:port.")


def proxy_of(url: Url, environ: Mapping[str, str]) -> ProxyUrl | None:
    """The proxy for `url`: none for plain http, for this machine, and for what NO_PROXY names.

    Of two spellings of a variable the one in small letters wins, as in most programs.
    """
    if url.scheme != "https" or is_here(url.host):
        return None
    variable = next((name for name in _VARIABLES if environ.get(name, "").strip()), None)
    if variable is None:
        return None
    exceptions = next((environ[name] for name in _EXCEPTIONS if environ.get(name)), "")
    if any(_names(entry, url) for entry in exceptions.replace(",", " ").split()):
        return None
    told = environ[variable].strip()
    return ProxyUrl(told if "://" in told else f"http://{told}", variable)


def _names(entry: str, url: Url) -> bool:
    """Whether an entry of NO_PROXY is about `url`: `*`, a domain, an address or a network."""
    if entry == "*":
        return True
    name, _, port = entry.lower().rpartition(":")
    if not name or not port.isdigit() or (":" in name.strip("[]") and not name.endswith("]")):
        name, port = entry.lower(), ""
    if port and int(port) != url.port:
        return False
    name = name.strip("[]").removeprefix("*").strip(".")
    if literal(url.host) is None:
        return url.host == name or url.host.endswith(f".{name}")
    try:
        return ip_address(url.bare_host) in ip_network(name, strict=False)
    except ValueError:
        return False
