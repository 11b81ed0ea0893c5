"""Row 62 for MCP: whatever a server sends without end costs a bounded part of it, and a reason."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from perstack.net.site import Answer
from perstack.skills.mcp import MAX_MESSAGE_BYTES, ServerGone, ServerRefused, http_stream
from perstack.skills.mcp.http_inbox import Inbox
from perstack.skills.mcp.http_stream import LONG, Stream, whole_body
from perstack.skills.mcp.protocol import LOST, TOO_LONG
from perstack.skills.mcp.session import Session
from skills.mcp.http_server import TROUBLE, Remote, Request, Wire, answer, note, text
from skills.mcp.remotes import met, reached, text_of
from skills.mcp.sessions import CALM

pytestmark = [pytest.mark.anyio, pytest.mark.hostile]

SLACK = 16 * 1024 * 1024
"""What the two ends of a connection may hold, at most."""
BLOCK = b"x" * 65_536


class Endless:
    """Answers the first call with `start` and `piece` for ever, and the others well."""

    def __init__(self, head: bytes, start: bytes, piece: bytes) -> None:
        self.sent = 0
        self.left = anyio.Event()
        self._parts = (head, start, piece)
        self._calls = 0

    async def __call__(self, request: Request, wire: Wire) -> None:
        self._calls += 1
        if self._calls > 1:
            await wire.json(answer(request, text("fine")))
            return
        head, start, piece = self._parts
        await wire.raw(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n" + start)
        try:
            while True:
                await wire.raw(piece)
                self.sent += len(piece)
        except TROUBLE:
            self.left.set()
            raise


EVENTS = b"Content-Type: text/event-stream"
JSON = b"Content-Type: application/json"


@pytest.mark.parametrize(
    ("head", "start", "piece"),
    [
        (JSON, b"", b" " * 65_536),
        (EVENTS, b"data: ", BLOCK),
        (EVENTS, b"", b"data: x\n" * 8_192),
        (EVENTS, b"id: ", BLOCK),
        (EVENTS, b": ", BLOCK),
    ],
    ids=["a body", "a line", "lines", "an id", "a comment"],
)
async def test_a_message_without_end_is_dropped_and_the_server_goes_on(
    head: bytes, start: bytes, piece: bytes
):
    endless = Endless(head, start, piece)
    async with met(Remote(call=endless)) as one:
        with pytest.raises(ServerRefused, match="more than 16 MiB and was dropped") as caught:
            await one.call("echo", {})
        assert caught.value.code == TOO_LONG
        await endless.left.wait()
        assert text_of(await one.call("echo", {})) == "fine"
    assert endless.sent < MAX_MESSAGE_BYTES + SLACK


@pytest.mark.parametrize(
    "piece",
    [b": still here\n\n" * 5_000, b"id: 1\n\n" * 9_000, b"data:\n\n" * 9_000, b"\n" * 65_536],
)
async def test_a_stream_of_nothing_is_left_and_its_server_given_up(
    piece: bytes, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(http_stream, "MAX_IDLE_BYTES", 2_000_000)
    endless = Endless(EVENTS, b"", piece)
    async with met(Remote(call=endless)) as one:
        with pytest.raises(ServerGone, match="has no messages and no end"):
            await one.call("echo", {})
        await endless.left.wait()
    assert endless.sent < 2_000_000 + SLACK


async def test_messages_that_nobody_takes_stay_with_their_sender():
    inbox = Inbox(room=1000)
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(inbox.put, bytes(400))
        await anyio.wait_all_tasks_blocked()
        assert len(inbox) == 2
        assert [len(await inbox.take()) for _ in range(5)] == [400] * 5
    await inbox.put(bytes(5000))
    assert len(await inbox.take()) == 5000


async def test_the_end_is_heard_though_others_go_on_talking():
    inbox = Inbox(room=1000)
    await inbox.put(b"1")
    inbox.end("given up")
    await inbox.put(b"2")
    assert await inbox.take() == b"1"
    with pytest.raises(ServerGone, match="given up"):
        await inbox.take()


class Fed(Answer):
    """An answer whose body a test gives, piece by piece."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.read = 0
        self._pieces = pieces

    def chunks(self) -> AsyncIterator[bytes]:
        return self._each()

    async def _each(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            self.read += len(piece)
            yield piece


@pytest.mark.parametrize("form", ["events", "json"])
async def test_one_long_message_at_a_time_is_put_together(form: str):
    async def read(fed: Fed) -> None:
        if form == "json":
            await whole_body(fed, turn)
            return
        with Stream(fed, turn) as stream:
            await stream.next()

    turn = anyio.Lock()
    many = [Fed([b"data: ", *[BLOCK] * 20, b"\n\n"]) for _ in range(8)]
    await turn.acquire()
    async with anyio.create_task_group() as tasks:
        for fed in many:
            tasks.start_soon(read, fed)
        await anyio.wait_all_tasks_blocked()
        assert all(fed.read <= LONG + len(BLOCK) for fed in many)
        turn.release()
    assert all(fed.read > 20 * len(BLOCK) for fed in many)


async def test_a_packed_answer_is_not_unpacked():
    async def call(request: Request, wire: Wire) -> None:
        bomb = gzip.compress(json.dumps(answer(request, text("x" * 10_000_000))).encode())
        packed = {"content-type": "application/json", "content-encoding": "gzip"}
        await wire.answer(200, bomb, packed)

    async with met(Remote(call=call)) as one:
        with pytest.raises(ServerRefused, match="packed its answer") as caught:
            await one.call("echo", {})
        assert caught.value.code == LOST


async def a_byte_at_a_time(request: Request, wire: Wire) -> None:
    await wire.begin()
    while True:
        await wire.chunk(b"d")
        await anyio.sleep(0.005)


async def a_head_at_a_time(request: Request, wire: Wire) -> None:
    await wire.raw(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while True:
        await wire.raw(b"x")
        await anyio.sleep(0.005)


async def silence(request: Request, wire: Wire) -> None:
    await wire.closed()


@pytest.mark.parametrize("slow", [a_byte_at_a_time, a_head_at_a_time, silence])
async def test_an_answer_that_takes_its_time_has_that_of_the_call(slow: Any):
    async with met(Remote(call=slow), patience=CALM._replace(call=0.2)) as one:
        for _ in range(2):
            with pytest.raises(TimeoutError, match="did not answer the call"):
                await one.call("echo", {})


@pytest.mark.parametrize("kind", ["discover", "initialize", "initialized", "list"])
async def test_a_phase_without_an_answer_has_its_time(kind: str):
    brief = CALM._replace(start=0.3, listing=0.3, stop=0.1)
    async with reached(Remote(**{kind: silence}).handle, patience=brief) as one:
        with pytest.raises(TimeoutError, match=r"within 0\.3 seconds"):
            await use(one)


@pytest.mark.parametrize("kind", ["GET", "DELETE"])
async def test_what_need_not_be_answered_keeps_nobody(kind: str):
    async with met(Remote(**{kind: silence}), patience=CALM._replace(stop=0.1)) as one:
        assert text_of(await one.call("echo", {})) == "echoed"


async def use(one: Session) -> None:
    await one.start()
    await one.tools()


async def test_notes_by_the_thousand_are_counted():
    async def call(request: Request, wire: Wire) -> None:
        await wire.begin()
        line = b"data: " + json.dumps(note("again")).encode() + b"\n\n"
        for _ in range(100):
            await wire.chunk(line * 1000)
        await wire.event(answer(request, text("done")))

    async with met(Remote(call=call)) as one:
        assert text_of(await one.call("echo", {})) == "done"
