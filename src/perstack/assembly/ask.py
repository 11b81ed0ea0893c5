"""One question over HTTP to a program on this machine, for a program that may be anything.

HTTP/1.0: an answer ends where its connection does, and comes in one piece.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

import anyio
import msgspec

if TYPE_CHECKING:
    from anyio.abc import ByteStream

MAX_ANSWER_BYTES = 512 * 1024
"""The most that is read of an answer, with its head."""

_STATUS = re.compile(rb"HTTP/1\.[01] 200(?: [^\r\n]*)?\r\n")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,9})[ \t]*\r\n", re.IGNORECASE)
_PIECES = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
_TROUBLE = (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)

T = TypeVar("T")


async def ask(stream: ByteStream, path: str, shape: type[T], body: object = None) -> T | None:
    """What `path` answers, if it is JSON of that shape; None for anything else.

    Asked by GET, or by POST where there is a body. The stream is closed.
    """
    data = msgspec.json.encode(body) if body is not None else b""
    about = f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n" if data else ""
    method = "POST" if data else "GET"
    head = f"{method} {path} HTTP/1.0\r\nHost: localhost\r\nAccept: application/json\r\n{about}\r\n"
    async with stream:
        try:
            await stream.send(head.encode("ascii") + data)
            answer = await _read(stream)
        except _TROUBLE:
            return None
    try:
        return msgspec.json.decode(answer, type=shape) if answer is not None else None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


async def _read(stream: ByteStream) -> bytes | None:
    """The body of a good answer."""
    received = bytearray()
    end = MAX_ANSWER_BYTES
    while len(received) < end:
        try:
            received += await stream.receive(65536)
        except anyio.EndOfStream:
            break
        head, found, _ = received.partition(b"\r\n\r\n")
        if found and (length := _LENGTH.search(head + b"\r\n")) is not None:
            end = min(len(head) + 4 + int(length[1]), MAX_ANSWER_BYTES)
    head, found, body = bytes(received).partition(b"\r\n\r\n")
    is_good = found and _STATUS.match(head + b"\r\n") and not _PIECES.search(head)
    return body if is_good and len(received) < MAX_ANSWER_BYTES else None
