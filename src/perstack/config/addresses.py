"""URLs and domain names in configuration: which are taken as they stand.

Names are judged by their spelling alone. The addresses they resolve to are judged
where a connection is made.
"""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

Plain: TypeAlias = Literal["never", "loopback", "anywhere"]
"""Where plain http is good enough."""

MAX_URL_LENGTH = 2048
_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://"
    r"(?P<userinfo>[^/?#]*@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\.?)"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[^?#]*)?(?P<query>\?[^#]*)?(?P<fragment>#.*)?"
)
_LOOPBACK = re.compile(r"localhost|127(?:\.(?:0|[1-9][0-9]{0,2})){3}|\[::1\]", re.IGNORECASE)
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")

# Second levels under a country that anyone can register below. A wildcard on one
# of them would allow everybody's domains.
_SHARED_WILDCARD = re.compile(
    r"(?:ac|co|com|edu|gen|go|gob|gouv|gov|gv|id|ltd|me|mil|mod|ne|net|nom|or|org|plc|sch)\.[a-z]{2}"
    r"|amazonaws\.com|appspot\.com|azurewebsites\.net|blogspot\.com|cloudfront\.net|fly\.dev"
    r"|github\.io|githubusercontent\.com|gitlab\.io|herokuapp\.com|netlify\.app|ngrok\.io"
    r"|onrender\.com|pages\.dev|run\.app|vercel\.app|web\.app|windows\.net|workers\.dev"
)


def base_url_problem(url: str, plain: Plain = "loopback") -> str | None:
    """Why `url` cannot be the base of requests. The URL itself is never repeated."""
    parts, problem = _parts(url, plain)
    if parts is None:
        return problem
    if parts["query"] or parts["fragment"]:
        return "must have no query and no fragment"
    return None


def endpoint_problem(url: str, *, allow_loopback: bool = False) -> str | None:
    """Why `url` cannot be a remote skill's endpoint: https, no userinfo, a public host.

    Where loopback is allowed it may be this machine, over http and at any port.
    """
    parts, problem = _parts(url, "loopback" if allow_loopback else "never")
    if parts is None:
        return problem
    if parts["fragment"]:
        return "must have no fragment"
    if _is_this_machine(parts["host"]):
        return None if allow_loopback else "must be a public address, or needs allowLoopback = true"
    port = int(parts["port"] or 443)
    if port != 443 and port < 1024:
        return "must use port 443, or one from 1024 up"
    return None if _may_be_public(parts["host"]) else "must be a public address"


def _parts(url: str, plain: Plain) -> tuple[dict[str, str] | None, str]:
    shaped = url.isascii() and url.isprintable() and " " not in url and "\\" not in url
    found = _URL.fullmatch(url) if shaped and len(url) <= MAX_URL_LENGTH else None
    if found is None:
        return None, "must be a URL in plain characters, such as https://example.com"
    parts = found.groupdict(default="")
    if parts["userinfo"]:
        return None, "must have no user name or password in it"
    if parts["port"] and not 0 < int(parts["port"]) < 65536:
        return None, "must have a port between 1 and 65535"
    match parts["scheme"].lower(), plain:
        case ("https", _) | ("http", "anywhere"):
            return parts, ""
        case ("http", "loopback") if _LOOPBACK.fullmatch(parts["host"]):
            return parts, ""
        case (_, "never"):
            return None, "must be https"
        case (_, "loopback"):
            return None, "must be https, or http on a loopback address"
        case _:
            return None, "must be https or http"


def _is_this_machine(host: str) -> bool:
    from perstack.net.addresses import is_here

    return is_here(host)


def _may_be_public(host: str) -> bool:
    """Whether the host is a public address in plain figures, or a name, which may have one."""
    from perstack.net.addresses import is_public, literal

    try:
        address = literal(host)
    except ValueError:
        return False
    if address is not None:
        return is_public(address)
    return host.lower().rstrip(".").rpartition(".")[2] != "localhost"


def domain_problem(pattern: str) -> str | None:
    """Why `pattern` cannot stand in `allowedDomains`: an exact name, or `*.` and a name."""
    name = pattern.lower()
    labels = name.removeprefix("*.").split(".")
    if not name.isascii() or any(label.startswith("xn--") for label in labels):
        return "must be in plain letters: names beyond ASCII, and punycode, are refused"
    if len(name) > 253 or len(labels) < 2 or not all(map(_LABEL.fullmatch, labels)):
        return "must be a domain such as api.example.com or *.example.com"
    if labels[-1].isdigit() or re.fullmatch(r"0x[0-9a-f]*", labels[-1]):
        return "must be a domain, not an address in figures"
    if name.startswith("*.") and _SHARED_WILDCARD.fullmatch(name[2:]):
        return "is a wildcard over names that belong to many owners; name the domains you mean"
    return None
