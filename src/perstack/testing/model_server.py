"""A model server that says what a scenario tells it to, over real HTTP.

In a test::

    async with serve_model([ReplySpec(text="Hello.")]) as server:
        ...  # ask server.url
        assert server.requests[0].json["stream"] is True

As a program, which prints its URL as its first line and runs until it is killed::

    perstack testing serve-model scenario.json [--log FILE] [--port N]

A scenario for a run of any length, which any restart of either side can go on with::

    {"policy": {"steps": 400,
                "reply": {"calls": [{"name": "readTextFile", "args": {"path": "a.txt"}}]},
                "final": {"text": "Done."}}}
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO

import anyio
import anyio.abc
import msgspec

from perstack.schema.message import Json
from perstack.testing.dialects import Dialect, dialect_of
from perstack.testing.scenario import Conversation, Play, ReplySpec, Scenario, load_scenario
from perstack.testing.variables import variables_for

MAX_HEADER_BYTES = 64 * 1024
_REASONS = {200: b"OK", 400: b"Bad Request", 404: b"Not Found", 429: b"Too Many Requests"}
_NETWORK_TROUBLE = (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream)


class ServedRequest:
    """One request as it came. `headers` have lower-case names."""

    def __init__(self, path: str, headers: Mapping[str, str], body: bytes, peer: int) -> None:
        self.path = path
        self.headers = headers
        self.body = body
        self.peer = peer
        """The client's port: two requests with the same one shared a connection."""

    @property
    def json(self) -> Json:
        """The body, decoded."""
        return msgspec.json.decode(self.body, type=dict[str, object])


class ModelServer:
    """A scenario behind a socket. `requests` keeps what came, unless `keeps` is off.

    Attributes:
        url: the address to give as a base URL.
        hangups: set whenever a client leaves before its answer is complete.
    """

    def __init__(
        self,
        scenario: Scenario | Sequence[ReplySpec],
        *,
        keeps: bool = True,
        log: BinaryIO | None = None,
    ) -> None:
        self.url = ""
        self.requests: list[ServedRequest] = []
        self.hangups = anyio.Event()
        self._play = Play(scenario)
        self._keeps = keeps
        self._log = log
        self._streams: dict[tuple[str, int], tuple[ReplySpec, list[bytes]]] = {}

    @property
    def variables(self) -> dict[str, str]:
        """The environment that leads every provider here: addresses, and keys that are none."""
        return variables_for(self.url)

    async def serve(self, client: anyio.abc.ByteStream) -> None:
        """Answer one connection until it ends."""
        async with client:
            peer = client.extra(anyio.abc.SocketAttribute.remote_port)  # noqa: S610 - no Django here
            buffer = bytearray()
            try:
                while (request := await _read_request(client, buffer, peer)) is not None:
                    if not await self._respond(client, request):
                        return
            except _NETWORK_TROUBLE:
                self.hangups.set()

    async def _respond(self, client: anyio.abc.ByteStream, request: ServedRequest) -> bool:
        """Whether the connection can be used again."""
        if self._keeps:
            self.requests.append(request)
        dialect = dialect_of(request.path)
        if dialect is None:
            await client.send(_response(404, {}, b"{}"))
            return True
        if self._log is not None:
            entry = b'{"at":%.6f,"body":' % time.time()  # noqa: TID251 - a log for other programs
            self._log.write(entry + request.body.replace(b"\n", b" ") + b"}\n")
            self._log.flush()
        try:
            conversation = dialect.conversation(request.body, reads_text=self._play.reads_text)
        except msgspec.MsgspecError as error:
            body = dialect.error_body(ReplySpec(error=("invalid_request_error", str(error))))
            await client.send(_response(400, {}, body))
            return True
        spec = self._play.answer(conversation)
        if spec.latency_ms:
            await anyio.sleep(spec.latency_ms / 1000)
        if spec.trouble == "hang":
            await _wait_for_the_end(client)
            return False
        if spec.trouble == "disconnect":
            return False
        if spec.status != 200:
            body = dialect.error_body(spec) if spec.body is None else spec.body.encode()
            await client.send(_response(spec.status, spec.headers, body))
            return True
        events = self._events(request.path, dialect, spec, conversation)
        await self._stream(client, spec, events, dialect.content_type)
        if spec.trouble in ("stall", "endless"):
            await _wait_for_the_end(client)
        return spec.trouble in (None, "noStop", "error")

    def _events(
        self, path: str, dialect: Dialect, spec: ReplySpec, conversation: Conversation
    ) -> list[bytes]:
        """The events to send. Each reply of a scenario is encoded once."""
        kept = self._streams.get((path, id(spec)))
        if kept is None:
            kept = self._streams[(path, id(spec))] = (spec, dialect.events(spec))
        number = str(conversation.turns).encode()
        events = [dialect.frame(event.replace(b"{n}", number)) for event in kept[1]]
        match spec.trouble:
            case "cut" | "stall":
                return events[: len(events) // 2 + 1]
            case "noStop" | "endless":
                return events[:-1]
            case "error":
                return [*events[: len(events) // 2 + 1], dialect.frame(dialect.error_event(spec))]
            case _:
                return events

    async def _stream(
        self,
        client: anyio.abc.ByteStream,
        spec: ReplySpec,
        events: list[bytes],
        content_type: str,
    ) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\n" % content_type.encode()
        head += _head(spec.headers) + b"transfer-encoding: chunked\r\n\r\n"
        pieces = events
        if spec.write == "whole":
            pieces = [b"".join(events)]
        elif spec.write == "bytes":
            whole = b"".join(events)
            pieces = [whole[at : at + 1] for at in range(len(whole))]
        chunks = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces]
        if spec.trouble in (None, "noStop", "error"):
            chunks[-1] += b"0\r\n\r\n"
        chunks[0] = head + chunks[0]
        if not spec.pause_ms:
            await client.send(b"".join(chunks))
            chunks = []
        for chunk in chunks:
            await client.send(chunk)
            await anyio.sleep(spec.pause_ms / 1000)
        while spec.trouble == "endless":
            await client.send(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")


@asynccontextmanager
async def serve_model(
    scenario: Scenario | Sequence[ReplySpec],
    *,
    keeps: bool = True,
    log: BinaryIO | None = None,
    port: int = 0,
) -> AsyncGenerator[ModelServer, None]:
    """A running server on the loopback address, closed on leaving."""
    server = ModelServer(scenario, keeps=keeps, log=log)
    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=port) as listener,
        anyio.create_task_group() as tasks,
    ):
        bound = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610 - no Django here
        server.url = f"http://127.0.0.1:{bound}"
        tasks.start_soon(listener.serve, server.serve)
        try:
            yield server
        finally:
            tasks.cancel_scope.cancel()


async def _read_request(
    client: anyio.abc.ByteStream, buffer: bytearray, peer: int
) -> ServedRequest | None:
    """The next request, or None where the client has no more."""
    while (end := buffer.find(b"\r\n\r\n")) < 0:
        try:
            buffer += await client.receive()
        except anyio.EndOfStream:
            return None
        if len(buffer) > MAX_HEADER_BYTES and b"\r\n\r\n" not in buffer:
            return None
    first, *lines = bytes(buffer[:end]).decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    size = end + 4 + int(headers.get("content-length", "0"))
    while len(buffer) < size:
        buffer += await client.receive(262_144)
    body = bytes(buffer[end + 4 : size])
    del buffer[:size]
    path = first.split(" ")[1].partition("?")[0]
    return ServedRequest(path, headers, body, peer)


async def _wait_for_the_end(client: anyio.abc.ByteStream) -> None:
    while True:
        await client.receive()


def _head(headers: Mapping[str, str]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode()


def _response(status: int, headers: Mapping[str, str], body: bytes) -> bytes:
    reason = _REASONS.get(status, b"Status")
    head = b"HTTP/1.1 %d %b\r\ncontent-length: %d\r\n" % (status, reason, len(body))
    if "content-type" not in headers:
        head += b"content-type: application/json\r\n"
    return head + _head(headers) + b"\r\n" + body


async def serve_until_killed(
    scenario: Scenario, log: BinaryIO | None, port: int, tell: Callable[[str], None]
) -> None:
    """Serve on `port` of the loopback address, 0 for a free one; `tell` gets the URL."""
    async with serve_model(scenario, keeps=False, log=log, port=port) as server:
        tell(server.url)
        await anyio.sleep_forever()


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve a scenario file until killed, for programs that have no `perstack` on their path."""
    parser = argparse.ArgumentParser(prog="python -m perstack.testing.model_server")
    parser.add_argument("scenario", type=Path, help="a scenario as JSON")
    parser.add_argument("--log", type=Path, help="append one JSON line for each request")
    parser.add_argument("--port", type=int, default=0, help="default: one that is free")
    told = parser.parse_args(arguments)
    try:
        scenario = load_scenario(told.scenario)
    except (OSError, msgspec.MsgspecError) as problem:
        parser.exit(2, f"{told.scenario} is no scenario: {problem}\n")
    with (told.log or Path("/dev/null")).open("ab") as log:
        anyio.run(serve_until_killed, scenario, log if told.log else None, told.port, _tell)


def _tell(url: str) -> None:
    sys.stdout.write(f"{url}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
