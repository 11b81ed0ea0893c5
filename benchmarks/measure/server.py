"""The scripted model server as a program: plain or over TLS, and with a log of times.

    python server.py SCENARIO [--times FILE] [--certificate FILE --key FILE]

Prints its URL as its first line, and runs until it is killed. `--times` gets a line
for each request that has arrived and each answer that has left: `asked` or
`answered`, and the seconds since the epoch.
"""

from __future__ import annotations

import argparse
import resource
import ssl
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

import anyio
import anyio.abc
from anyio.streams.tls import TLSListener

from perstack.testing.model_server import ModelServer
from perstack.testing.scenario import load_scenario


class Times:
    """A log of moments. Stands where the server expects the file for its requests."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def note(self, what: str) -> None:
        """Write one moment down."""
        self._file.write(f"{what} {time.time():.6f}\n".encode())  # noqa: TID251 - the world's clock
        self._file.flush()

    def write(self, line: bytes) -> int:
        """A request has arrived; its body is of no interest here."""
        self.note("asked")
        return len(line)

    def flush(self) -> None:
        """Nothing is held back."""


class TimedStream(anyio.abc.ByteStream):
    """A connection whose answers are noted as they leave, each being sent as one piece."""

    def __init__(self, client: anyio.abc.ByteStream, times: Times) -> None:
        self._client = client
        self._times = times

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        """The connection's own."""
        return self._client.extra_attributes

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """The next bytes."""
        return await self._client.receive(max_bytes)

    async def send(self, item: bytes) -> None:
        """Send all of it, and note when."""
        await self._client.send(item)
        self._times.note("answered")

    async def send_eof(self) -> None:
        """Close this direction."""
        await self._client.send_eof()

    async def aclose(self) -> None:
        """Close both."""
        await self._client.aclose()


async def serve(told: argparse.Namespace, times: Times | None) -> None:
    """Answer on a free port of the loopback address."""
    log = cast("BinaryIO | None", times)
    server = ModelServer(load_scenario(told.scenario), keeps=False, log=log)

    async def answer(client: anyio.abc.ByteStream) -> None:
        await server.serve(TimedStream(client, times) if times else client)

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as plain:
        port = plain.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610 - no Django here
        listener: anyio.abc.Listener[anyio.abc.ByteStream] = plain
        scheme = "http"
        if told.certificate:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(told.certificate, told.key)
            listener, scheme = TLSListener(plain, context, standard_compatible=False), "https"
        sys.stdout.write(f"{scheme}://127.0.0.1:{port}\n")
        sys.stdout.flush()
        await listener.serve(answer)


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("scenario", type=Path)
    parser.add_argument("--times", type=Path)
    parser.add_argument("--certificate", type=Path)
    parser.add_argument("--key", type=Path)
    told = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # a connection for each job at once
    if told.times is None:
        anyio.run(serve, told, None)
        return
    with told.times.open("ab") as file:
        anyio.run(serve, told, Times(file))


if __name__ == "__main__":
    main()
