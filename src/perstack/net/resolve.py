"""From a host to the addresses that may be dialled: looked up once, and all of them checked."""

from __future__ import annotations

import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TypeAlias

import anyio
import anyio.from_thread
from anyio.lowlevel import current_token

from perstack.net import Unasked
from perstack.net.addresses import Address, is_here, is_loopback, is_public, literal, parsed
from perstack.net.urls import Url, refused

Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host for a port, as text. Raises OSError where there are none."""

RESOLVE_SECONDS = 15.0
MAX_ADDRESSES = 64
"""More answers than any server has are refused unread."""


class Unresolved(Unasked):
    """A name that nobody here knows."""


async def system_resolver(host: str, port: int) -> Sequence[str]:
    """What this machine's own resolver answers.

    It may take minutes, and cannot be called off. So it has a thread of its own, which
    keeps nobody: neither whoever gave it up, nor the end of the process.
    """
    addresses: list[str] = []
    trouble: list[Exception] = []
    is_done = anyio.Event()
    token = current_token()

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            addresses.extend(str(place[0]) for *_, place in found)
        except (OSError, UnicodeError) as error:
            trouble.append(error)
        with suppress(anyio.RunFinishedError):
            anyio.from_thread.run_sync(is_done.set, token=token)

    threading.Thread(target=look_up, name=f"resolver of {host}", daemon=True).start()
    await is_done.wait()
    if trouble:
        raise trouble[0]
    return addresses


async def addresses_of(url: Url, resolve: Resolve, *, allow_loopback: bool) -> tuple[Address, ...]:
    """Where `url` is, in the resolver's order: public addresses alone.

    Where loopback is allowed, they may be loopback addresses instead, and must be where
    the host says so. One answer that is not allowed spoils all: a name that leads to
    both sides is a trap.

    Raises:
        Unasked: there is none, or one that may not be dialled.
    """
    address = literal(url.host)
    found = (address,) if address is not None else await _looked_up(url, resolve)
    if all(map(is_loopback, found)) and allow_loopback:
        return found
    if all(map(is_public, found)) and not is_here(url.host):
        return found
    what = "its name leads to an address" if address is None else "it is an address"
    raise refused(url.origin, f"{what} that is not public")


async def _looked_up(url: Url, resolve: Resolve) -> tuple[Address, ...]:
    try:
        with anyio.fail_after(RESOLVE_SECONDS):
            texts = await resolve(url.host, url.port)
    except TimeoutError:
        why = f"its name was not resolved within {RESOLVE_SECONDS:g} s"
        raise _unresolved(url, why) from None
    except (OSError, UnicodeError):
        raise _unresolved(url, "its name cannot be resolved") from None
    if not texts:
        raise _unresolved(url, "its name has no address")
    if len(texts) > MAX_ADDRESSES:
        raise refused(url.origin, f"its name has more than {MAX_ADDRESSES} addresses")
    found = tuple(dict.fromkeys(map(parsed, texts)))
    known = tuple(address for address in found if address is not None)
    if len(known) < len(found):
        raise refused(url.origin, "its name leads to what is no address")
    return known


def _unresolved(url: Url, why: str) -> Unresolved:
    return Unresolved(str(refused(url.origin, why)))
