"""Which IP addresses belong to the public internet, and what a host's spelling means.

`is_global` alone lets through what leads elsewhere: 6to4 and NAT64 carry any IPv4
address inside them, site-local addresses are merely deprecated, and some platforms
answer their guests at addresses that look public.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address

_DENIED_V4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this network; Linux takes 0.0.0.0 for loopback
            "10.0.0.0/8",
            "100.64.0.0/10",  # carriers; 100.100.100.200 is a platform's metadata
            "127.0.0.0/8",
            "168.63.129.16/32",  # a platform's own endpoint, public by its looks
            "169.254.0.0/16",  # link-local; most platforms' metadata
            "172.16.0.0/12",
            "192.0.0.0/24",  # protocol assignments; 192.0.0.192 is a platform's metadata
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # 6to4 relays
            "192.168.0.0/16",
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
        ),
    )
)
_UNICAST_V6 = IPv6Network("2000::/3")
"""What is handed out. Outside are loopback, IPv4 in disguise (mapped, NAT64), unique local
(a platform's metadata among them), link-local, site-local and multicast."""
_DENIED_V6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarks
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4: an IPv4 address inside
            "3ffe::/16",  # given back
            "3fff::/20",  # documentation
        ),
    )
)

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_MAX_NAME = 253
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")


def is_public(address: Address) -> bool:
    """Whether `address` is one of the public internet's, and nothing in disguise.

    An IPv4 address inside an IPv6 one is refused whatever it is: on a network that has
    IPv6 alone, servers that have IPv4 alone (NAT64) cannot be reached.
    """
    if not address.is_global:
        return False
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _DENIED_V4)
    return (
        address.scope_id is None
        and address in _UNICAST_V6
        and not any(address in network for network in _DENIED_V6)
    )


def is_loopback(address: Address) -> bool:
    """Whether `address` is this machine: 127.0.0.0/8 or ::1, in no disguise."""
    if isinstance(address, IPv6Address) and (address.ipv4_mapped or address.scope_id):
        return False
    return address.is_loopback


def literal(host: str) -> Address | None:
    """The address that `host` is, in the one usual notation; None where it is a name.

    `host` stands as in a URL, an IPv6 address in brackets. It is read as a connector
    reads it, and whatever a connector might read otherwise is refused.

    Raises:
        ValueError: it is neither. The text says why.
    """
    if host.startswith("["):
        bare = host[1:-1] if host.endswith("]") else ""
        if "%" in bare:
            raise ValueError("an address with a zone means another machine on each machine")
        try:
            return IPv6Address(bare)
        except ValueError:
            raise ValueError("what stands in brackets is no IPv6 address") from None
    if _NUMBER.fullmatch(host.removesuffix(".").rpartition(".")[2]):
        try:
            return IPv4Address(host)
        except ValueError:
            raise ValueError("it is an address in an unusual notation") from None
    if len(host) > _MAX_NAME + 1 or not _NAME.fullmatch(host.removesuffix(".")):
        raise ValueError("its name is no host name")
    return None


def is_here(host: str) -> bool:
    """Whether `host` is plainly this machine: `localhost`, 127.0.0.1 and its like, `[::1]`."""
    if host.lower() == "localhost":
        return True
    try:
        address = literal(host)
    except ValueError:
        return False
    return address is not None and is_loopback(address)


def parsed(text: str) -> Address | None:
    """The address that a resolver answered, or None where it is none."""
    try:
        return ip_address(text)
    except ValueError:
        return None
