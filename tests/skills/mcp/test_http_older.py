"""HTTP with SSE, which is tried where a server does not know the newer transport."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from net.servers import OK, saying, serving
from perstack.skills.mcp import ServerGone, ServerRefused
from perstack.skills.mcp.protocol import LOST
from skills.mcp.http_server import Remote, Request, Wire
from skills.mcp.remotes import TOKEN, Older, reached, text_of

pytestmark = pytest.mark.anyio


async def test_a_server_of_the_older_transport_is_spoken_to_over_its_stream():
    older = Older()
    async with reached(older.handle) as one:
        info = await one.start()
        assert (info.name, [tool.name for tool in await one.tools()]) == ("remote", ["echo"])
        assert text_of(await one.call("echo", {})) == "echoed"
    await older.left.wait()
    paths = [(request.method, request.path) for request in older.requests]
    assert paths[:3] == [("POST", "/mcp"), ("POST", "/mcp"), ("GET", "/mcp")]
    assert set(paths[3:]) == {("POST", "/messages?sessionId=1")}


async def test_the_end_of_the_stream_is_the_end_of_the_server():
    older = Older()
    async with reached(older.handle) as one:
        await one.start()
        assert older.stream is not None
        await older.stream.end()
        with pytest.raises(ServerGone, match=r"ended its stream|ended\."):
            await one.call("echo", {})


@pytest.mark.parametrize(("status", "code"), [(500, LOST), (429, 1)])
async def test_a_message_that_is_refused_is_no_end(status: int, code: int):
    older = Older()

    async def handle(request: Request, wire: Wire) -> None:
        if request.body and request.message.get("method") == "tools/call":
            await wire.answer(status)
        else:
            await older.handle(request, wire)

    async with reached(handle) as one:
        await one.start()
        for _ in range(2):
            with pytest.raises(ServerRefused, match=f"HTTP status {status}") as caught:
                await one.call("echo", {})
            assert caught.value.code == code


@pytest.mark.hostile
@pytest.mark.parametrize(
    ("endpoint", "why"),
    [
        ("https://evil.example/messages", "another origin, https://evil.example"),
        ("//evil.example/messages", "must be https|another origin"),
        ("http://169.254.169.254/latest", "must be https"),
        ("http://localhost@evil.example/", "no plain URL"),
        ("file:///etc/passwd", "no plain URL"),
        ("\\\\evil.example\\x", "no plain URL"),
    ],
)
async def test_row_61_an_endpoint_elsewhere_is_refused(endpoint: str, why: str):
    older = Older(endpoint)
    async with reached(older.handle) as one:
        with pytest.raises(ServerGone, match=why):
            await one.start()
    assert [request.method for request in older.requests] == ["POST", "POST", "GET"]


@pytest.mark.hostile
async def test_row_61_an_endpoint_at_another_port_of_this_machine_is_refused():
    async with serving(saying(OK)) as other:
        older = Older(f"http://127.0.0.1:{other.port}/messages")
        async with reached(older.handle) as one:
            with pytest.raises(ServerGone, match="another origin"):
                await one.start()
        assert other.connections == 0


@pytest.mark.hostile
async def test_an_endpoint_that_repeats_the_token_does_not_bring_it_into_the_reason():
    older = Older(f"https://{TOKEN}.evil.example/{TOKEN}")
    headers = {"Authorization": f"Bearer {TOKEN}"}
    variables = {"Authorization": "REMOTE_TOKEN"}
    async with reached(older.handle, headers=headers, variables=variables) as one:
        with pytest.raises(ServerGone, match=r"another origin, https://\*\*\*") as caught:
            await one.start()
    assert TOKEN.lower() not in str(caught.value).lower()


async def no_events(request: Request, wire: Wire) -> None:
    await wire.answer(404)


async def no_endpoint(request: Request, wire: Wire) -> None:
    await wire.begin()
    await wire.event("x", event="message")
    await wire.closed()


@pytest.mark.parametrize("get", [no_events, no_endpoint])
async def test_what_is_neither_is_told_as_the_newer_transport_refused_it(get: Any):
    async def initialize(request: Request, wire: Wire) -> None:
        await wire.answer(404)

    remote = Remote(initialize=initialize, GET=get, discover=initialize)
    with anyio.fail_after(20):
        async with reached(remote.handle) as one:
            with pytest.raises(ServerRefused, match=r"HTTP status 404 \(Not Found\)"):
                await one.start()
    assert remote.kinds == ["server/discover", "initialize", "GET"]
