"""Serves bytes as they are, for answers that no well-kept server gives."""

from __future__ import annotations

import json
import struct
import zlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import anyio.abc

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
FRAMES = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/vnd.amazon.eventstream\r\n"
    b"connection: close\r\n\r\n"
)


@asynccontextmanager
async def serve_raw(
    answer: bytes, *, hangs: bool = False
) -> AsyncIterator[tuple[str, anyio.Event]]:
    """A server's URL, and what is set once it has sent. With `hangs` it then says no more."""
    sent = anyio.Event()

    async def serve(client: anyio.abc.SocketStream) -> None:
        async with client:
            await _request(client)
            try:
                await client.send(answer)
                sent.set()
                if hangs:
                    await client.receive()
            except (anyio.BrokenResourceError, anyio.EndOfStream):
                return

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        yield f"http://127.0.0.1:{port}", sent
        tasks.cancel_scope.cancel()


async def _request(client: anyio.abc.SocketStream) -> None:
    """Reads it to its end: a connection closed on unread bytes would be reset."""
    told = b""
    while b"\r\n\r\n" not in told:
        told += await client.receive()
    head, _, body = told.partition(b"\r\n\r\n")
    sizes = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    size = int(sizes[0].partition(b":")[2]) if sizes else 0
    while len(body) < size:
        body += await client.receive()


def refused(body: bytes, *headers: bytes, status: bytes = b"500 Oh") -> bytes:
    told = (b"content-type: application/json", b"content-length: %d" % len(body), *headers)
    return b"HTTP/1.1 %s\r\n%s\r\n\r\n%s" % (status, b"\r\n".join(told), body)


def event(told: object) -> bytes:
    text = told if isinstance(told, bytes) else json.dumps(told).encode()
    return b"data: " + text + b"\r\n\r\n"


def frame(kind: bytes, told: object, exception: bytes = b"") -> bytes:
    payload = told if isinstance(told, bytes) else json.dumps(told).encode()
    named = (b":exception-type", exception) if exception else (b":event-type", kind)
    message = b"exception" if exception else b"event"
    headers = b"".join(
        bytes([len(name)]) + name + b"\x07" + struct.pack("!H", len(value)) + value
        for name, value in (
            named,
            (b":content-type", b"application/json"),
            (b":message-type", message),
        )
    )
    prelude = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    prelude += struct.pack("!I", zlib.crc32(prelude))
    whole = prelude + headers + payload
    return whole + struct.pack("!I", zlib.crc32(whole))


def gemini(*parts: object, finish: str | None = "STOP", **fields: object) -> bytes:
    candidate: dict[str, object] = {"content": {"role": "model", "parts": list(parts)}}
    if finish:
        candidate["finishReason"] = finish
    return event({"candidates": [candidate], **fields})
