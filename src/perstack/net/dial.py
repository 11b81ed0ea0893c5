"""Connections to checked addresses: the address that was checked is the one that is dialled.

Whoever answers for a name may answer otherwise the next time. So a name is resolved
once for each connection, every answer is checked, and the connection goes to one of
those addresses, while TLS still asks for the name and checks the certificate against it.

Behind a proxy it is the proxy that resolves. What this machine's resolver answers is
checked all the same, where it answers, and so are addresses in figures. The limit: a
name that only the proxy can resolve, or that it resolves otherwise, is in its hands.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Sequence
from ipaddress import IPv6Address
from itertools import chain, zip_longest
from typing import Any, cast

import anyio
import httpcore2

from perstack.net.addresses import Address
from perstack.net.resolve import Resolve, Unresolved, addresses_of
from perstack.net.urls import Url

CONNECT_SECONDS = 30.0
MAX_TRIED = 6
"""Addresses of one server that are tried, in half a minute."""
MAX_HEAD = 256 * 1024
"""Bytes that a server may send before its answer begins: its headers, and whatever it
says that is no answer yet."""


class Dialer(httpcore2.AsyncNetworkBackend):
    """Dials one server, or the proxy that was told to reach it.

    A proxy is the user's own and may be anywhere.

    Raises, from `connect_tcp`:
        Unasked: the server has no address that may be dialled.
    """

    def __init__(
        self, url: Url, resolve: Resolve, *, allow_loopback: bool, has_proxy: bool = False
    ) -> None:
        self._url = url
        self._resolve = resolve
        self._allow_loopback = allow_loopback
        self._has_proxy = has_proxy
        # Theirs has two types, one for an installation without anyio.
        self._sockets = cast("httpcore2.AsyncNetworkBackend", httpcore2.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - theirs
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """A connection to the server, whose name is `host`, or to the proxy, which is at `host`."""
        until = anyio.current_time() + (CONNECT_SECONDS if timeout is None else timeout)
        if self._has_proxy:
            await self._check()
            return Line(await self._sockets.connect_tcp(host, port, _left(until)))
        addresses = await addresses_of(
            self._url, self._resolve, allow_loopback=self._allow_loopback
        )
        return Line(await self._first(_mixed(addresses), port, until))

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)

    async def _check(self) -> None:
        """Check what can be known of a server that a proxy resolves."""
        try:
            await addresses_of(self._url, self._resolve, allow_loopback=False)
        except Unresolved:
            return  # as usual on networks where only the proxy sees the outside

    async def _first(
        self, addresses: Sequence[Address], port: int, until: float
    ) -> httpcore2.AsyncNetworkStream:
        """A connection to the first address that takes one, each given its share of the time."""
        for tried, address in enumerate(addresses, 1):
            share = _left(until) / (len(addresses) - tried + 1)
            try:
                return await self._sockets.connect_tcp(str(address), port, share)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                if tried == len(addresses):
                    raise
        raise httpcore2.ConnectError("It has no address.")


class Line(httpcore2.AsyncNetworkStream):
    """A connection that ends a server's preamble before it becomes the conversation.

    What is sent starts a new count of what is received; `begin` ends it.
    """

    def __init__(self, stream: httpcore2.AsyncNetworkStream) -> None:
        self._stream = stream
        self._left: int | None = MAX_HEAD

    def begin(self) -> None:
        """The answer has begun: whoever reads it counts from here on."""
        self._left = None

    async def read(
        self,
        max_bytes: int,
        timeout: float | None = None,  # noqa: ASYNC109 - theirs
    ) -> bytes:
        data = await self._stream.read(max_bytes, timeout)
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0:
                raise httpcore2.RemoteProtocolError("The headers of the answer are too long.")
        return data

    async def write(
        self,
        buffer: bytes,
        timeout: float | None = None,  # noqa: ASYNC109 - theirs
    ) -> None:
        self._left = MAX_HEAD
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - theirs
    ) -> httpcore2.AsyncNetworkStream:
        return Line(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _mixed(addresses: Sequence[Address]) -> tuple[Address, ...]:
    """The first few, both families by turns: one of them may lead nowhere on this network."""
    sixes = [address for address in addresses if isinstance(address, IPv6Address)]
    fours = [address for address in addresses if not isinstance(address, IPv6Address)]
    pair = (sixes, fours) if sixes and addresses[0] is sixes[0] else (fours, sixes)
    turns = chain.from_iterable(zip_longest(*pair))
    return tuple(address for address in turns if address is not None)[:MAX_TRIED]


def _left(until: float) -> float:
    return max(0.0, until - anyio.current_time())
