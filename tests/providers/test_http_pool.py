"""Connections to a model's server: as many as requests at once, each used again."""

from __future__ import annotations

from contextlib import asynccontextmanager

import anyio
import anyio.abc
import httpx2
import pytest

from perstack.providers import Failure, Reply, connections
from perstack.providers.connections import Connections
from perstack.testing import serve_model
from perstack.testing.model_server import ModelServer
from perstack.testing.scenario import ReplySpec

pytestmark = pytest.mark.anyio

HELLO = ReplySpec(text="Hello, world.")
WHOLE = (
    b'data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":"Hi."}}'
    b'\n\ndata: {"type":"message_stop"}\n\n'
)


@asynccontextmanager
async def one_answer_a_connection():
    """A server that answers one request and hangs up a moment later. Gives its URL, and an event
    that is set at each hang-up."""
    hung_up = [anyio.Event()]

    async def serve(client: anyio.abc.SocketStream) -> None:
        async with client:
            received = b""
            while b"max_tokens" not in received:
                received += await client.receive()
            head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
            await client.send(head + b"content-length: %d\r\n\r\n" % len(WHOLE) + WHOLE)
        hung_up[0].set()

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listener.serve, serve)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        yield f"http://127.0.0.1:{port}", hung_up
        tasks.cancel_scope.cancel()


def connections_of(asking) -> Connections:
    return asking.provider._endpoint.connections


async def ask_at_once(asking, ask_for, many: int) -> list[Reply | Failure]:
    told: list[Reply | Failure] = []

    async def one() -> None:
        *_, last = [piece async for piece in asking.provider.generate(ask_for())]
        told.append(last)

    async with anyio.create_task_group() as tasks:
        for _ in range(many):
            tasks.start_soon(one)
    return told


async def test_more_requests_than_a_pool_has_places_for_are_all_answered_at_once(ask, ask_for):
    many = 250
    server = ModelServer([ReplySpec(text="Hi.")] * many)
    waiting: list[anyio.abc.SocketStream] = []
    all_wait = anyio.Event()

    async def serve(client: anyio.abc.SocketStream) -> None:
        waiting.append(client)
        if len(waiting) == many:
            all_wait.set()
        await all_wait.wait()  # nobody is answered before everybody has asked
        await server.serve(client)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    asking = ask(f"http://127.0.0.1:{port}")
    told: list[Reply | Failure] = []
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        with anyio.fail_after(20):
            told += await ask_at_once(asking, ask_for, many)
        tasks.cancel_scope.cancel()
    assert len(told) == many
    assert all(isinstance(last, Reply) for last in told)
    assert (connections_of(asking).idle, connections_of(asking).lent) == (many, 0)


async def test_the_connection_used_last_is_used_next(ask, ask_for):
    async with serve_model([HELLO] * 8) as server:
        asking = ask(server.url)
        await ask_at_once(asking, ask_for, 4)
        for _ in range(4):
            await asking.reply()
        peers = [request.peer for request in server.requests]
    assert len(set(peers[:4])) == 4
    assert len(set(peers[4:])) == 1


async def test_connections_that_were_idle_for_long_are_closed_as_others_come_back(
    ask, ask_for, monkeypatch
):
    async with serve_model([HELLO] * 8) as server:
        asking = ask(server.url)
        await ask_at_once(asking, ask_for, 5)
        assert connections_of(asking).idle == 5
        monkeypatch.setattr(connections, "IDLE_CONNECTION_SECONDS", -1.0)
        await asking.reply()
        assert connections_of(asking).idle == 3
        await asking.reply()
        assert connections_of(asking).idle == 1


async def test_a_connection_that_its_server_closed_meanwhile_fails_no_request(ask):
    async with one_answer_a_connection() as (url, hung_up):
        asking = ask(url)
        for _ in range(3):
            hung_up[0] = anyio.Event()
            assert (await asking.reply()).message.text == "Hi."
            with anyio.fail_after(5):
                await hung_up[0].wait()


@pytest.mark.parametrize("trouble", ["cut", "stall"])
async def test_a_connection_that_broke_is_not_kept(ask, ask_for, trouble):
    async with serve_model([HELLO, ReplySpec(text="abc" * 9, trouble=trouble)]) as server:
        asking = ask(server.url)
        await asking.reply()
        await asking.failure(ask_for(timeout=200))
        assert (connections_of(asking).idle, connections_of(asking).lent) == (0, 0)


async def test_a_request_that_is_cancelled_gives_its_connection_up(ask, ask_for):
    async with serve_model([ReplySpec(text="abc", trouble="hang")] * 20) as server:
        asking = ask(server.url)
        with anyio.move_on_after(0.05):
            await ask_at_once(asking, ask_for, 20)
        assert (connections_of(asking).idle, connections_of(asking).lent) == (0, 0)


async def test_an_error_with_its_whole_body_leaves_the_connection_usable(ask):
    async with serve_model([ReplySpec(status=529), ReplySpec(status=400), HELLO]) as server:
        asking = ask(server.url)
        for _ in range(3):
            await asking()
        assert len({request.peer for request in server.requests}) == 1


async def test_closing_ends_requests_under_way_and_later_ones_work(ask, ask_for):
    specs = [ReplySpec(text="abc", trouble="stall"), HELLO]
    async with serve_model(specs) as server:
        asking = ask(server.url)
        pieces = asking.provider.generate(ask_for(timeout=60_000))
        await anext(pieces)
        await asking.provider.aclose()
        await asking.provider.aclose()
        with anyio.fail_after(5):
            failure = [piece async for piece in pieces][-1]
        assert isinstance(failure, Failure)
        assert failure.error.name == "Disconnected"
        assert (connections_of(asking).idle, connections_of(asking).lent) == (0, 0)
        assert (await asking.reply()).message.text == "Hello, world."


async def test_authorities_are_read_once_for_all_connections(monkeypatch):
    read: list[bool] = []
    real = httpx2.create_ssl_context

    def noted(*given, **named):
        read.append(True)
        return real(*given, **named)

    monkeypatch.setattr(httpx2, "create_ssl_context", noted)
    many = Connections(httpx2.URL("https://model.test"))
    lent = [many.lend() for _ in range(5)]
    assert len(set(map(id, lent))) == 5
    assert len(read) == 1
    await many.aclose()


async def test_a_proxy_that_appears_and_cannot_work_is_a_failure(ask, monkeypatch):
    asking = ask("https://model.test")
    await asking.provider.aclose()
    monkeypatch.setenv("HTTPS_PROXY", "ftp://proxy.test")
    failure = await asking.failure()
    assert failure.error.name == "BadProxy"
    assert "HTTPS_PROXY" in failure.error.message
    assert not failure.error.is_retryable
