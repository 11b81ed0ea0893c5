"""A model that answers with very many small pieces, at an even rate, and says when the last left.

    python delta_server.py KIND COUNT RATE TIMES

Speaks the Anthropic Messages format. The first request is answered with `attemptCompletion`,
so that the next one asks for the result, which is streamed: COUNT pieces, RATE of them a
second, and the last word in a piece of its own. Prints its URL as its first line, and runs
until it is killed. TIMES gets the seconds since the epoch at which the last piece left.
KIND says what text the pieces are of.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import anyio
import anyio.abc

LAST_WORD = "omega"
"""Ends the last line of each text, and stands nowhere else."""
BATCH_SECONDS = 0.01
"""Between two writes: no timer is much finer."""

SENTENCE = "the quick **brown** fox jumps over a lazy `dog` and nobody says why that is so"


def words(of: str, ends: dict[int, str]) -> Iterator[str]:
    """Words for ever, each a piece; after every so many of them comes an end."""
    for number, word in enumerate(cycle(of.split()), 1):
        after = next((end for every, end in ends.items() if number % every == 0), " ")
        yield word + after


def pages() -> Iterator[str]:
    """What models write most: headings, paragraphs, lists and code, none of them long."""
    while True:
        yield from ("## ", "A ", "heading\n\n")
        yield from islice(words(SENTENCE, {}), 90)
        yield "\n\n"
        for _ in range(5):
            yield from ("- ", *islice(words(SENTENCE, {}), 12), "\n")
        yield from ("\n```python\n", *islice(words("x = fox(dog) + 1", {5: "\n"}), 50), "```\n\n")


KINDS = {
    "pages": ("", pages(), ""),
    "reasoning": ("", pages(), ""),
    "paragraph": ("", words(SENTENCE, {}), ""),
    "fence": ("```python\n", words("x = fox(dog) + 1", {5: "\n"}), "\n```"),
    "list": ("- ", words(SENTENCE, {12: "\n- "}), ""),
    "table": ("| a | b | c |\n|---|---|---|\n| ", words(SENTENCE, {9: " |\n| ", 3: " | "}), ""),
}
"""How each text begins, goes on, and ends."""


def pieces(kind: str, count: int) -> list[tuple[str, str]]:
    """The pieces, each with whether it is text or thinking."""
    begin, middle, end = KINDS[kind]
    what = "thinking" if kind == "reasoning" else "text"
    return [
        *((what, piece) for piece in (begin, *islice(middle, count), end) if piece),
        ("text", "\n\n"),
        ("text", LAST_WORD),
    ]


HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
MESSAGE = {
    "id": "m",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [],
    "usage": {"input_tokens": 10, "output_tokens": 1},
}


def event(name: str, **told: object) -> bytes:
    """One event of the stream, as an HTTP chunk."""
    data = json.dumps({"type": name, **told})
    framed = f"event: {name}\ndata: {data}\n\n".encode()
    return b"%x\r\n%b\r\n" % (len(framed), framed)


def events(kind: str, count: int) -> list[bytes]:
    """A whole reply; each of its pieces is an event."""
    told = [event("message_start", message=MESSAGE)]
    index, open_kind = -1, ""
    for what, piece in pieces(kind, count):
        if what != open_kind:
            told += [event("content_block_stop", index=index)] if open_kind else []
            index, open_kind = index + 1, what
            block = {"type": what, what: ""}
            told.append(event("content_block_start", index=index, content_block=block))
        delta = {"type": f"{what}_delta", what: piece}
        told.append(event("content_block_delta", index=index, delta=delta))
    return told


def ending(index: int, stop_reason: str) -> bytes:
    """What ends a reply, and its response."""
    delta = {"stop_reason": stop_reason, "stop_sequence": None}
    return b"".join(
        [
            event("content_block_stop", index=index),
            event("message_delta", delta=delta, usage={"output_tokens": 10}),
            event("message_stop"),
            b"0\r\n\r\n",
        ]
    )


def completion() -> bytes:
    """A reply that calls `attemptCompletion`."""
    block = {"type": "tool_use", "id": "c1", "name": "attemptCompletion", "input": {}}
    delta = {"type": "input_json_delta", "partial_json": "{}"}
    return b"".join(
        [
            event("message_start", message=MESSAGE),
            event("content_block_start", index=0, content_block=block),
            event("content_block_delta", index=0, delta=delta),
            ending(0, "tool_use"),
        ]
    )


async def stream(client: anyio.abc.ByteStream, told: list[bytes], rate: int) -> None:
    """Send events at an even rate."""
    began, sent = time.perf_counter(), 0
    while sent < len(told):
        due = min(len(told), int((time.perf_counter() - began) * rate) + 1)
        if due > sent:
            await client.send(b"".join(told[sent:due]))
            sent = due
        if sent < len(told):
            await anyio.sleep(BATCH_SECONDS)


class Server:
    """Answers one request after another."""

    def __init__(self, kind: str, count: int, rate: int, times: Path) -> None:
        self._told, self._rate, self._times = events(kind, count), rate, times
        self._last_index = 1 if kind == "reasoning" else 0
        self._asked = 0

    async def answer(self, client: anyio.abc.ByteStream) -> None:
        """Answer one request, and close. The rest of the request is not read."""
        async with client:
            request = b""
            while b"\r\n\r\n" not in request:
                request += await client.receive()
            await client.send(HEAD)
            self._asked += 1
            if self._asked == 1:
                await client.send(completion())
                return
            await stream(client, self._told, self._rate)
            with self._times.open("a") as file:
                file.write(f"{time.time():.6f}\n")  # noqa: TID251 - the world's clock
            await client.send(ending(self._last_index, "end_turn"))


async def serve(kind: str, count: int, rate: int, times: Path) -> None:
    """Answer on a free port of the loopback address."""
    server = Server(kind, count, rate, times)
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610 - no Django here
        sys.stdout.write(f"http://127.0.0.1:{port}\n")
        sys.stdout.flush()
        await listener.serve(server.answer)


if __name__ == "__main__":
    anyio.run(serve, sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
