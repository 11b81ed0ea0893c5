from __future__ import annotations

import logging
from contextlib import asynccontextmanager

import anyio
import pytest

from net.servers import HERE, OK, PATIENCE, Resolver, redirect, saying, serving
from perstack.net.site import Site, Unreachable

pytestmark = pytest.mark.anyio

KEY = "sk-a-key-that-nobody-else-may-see"


@asynccontextmanager
async def here(answer, **how):
    async with serving(answer) as server:
        url = f"http://localhost:{server.port}/mcp?tenant=1"
        async with Site(url, allow_loopback=True, resolve=Resolver(HERE), **how) as site:
            yield server, site


async def text(site: Site, method: str = "POST", **asked) -> bytes:
    async with site.exchange(method, patience=PATIENCE, **asked) as answer:
        return await answer.body(1000)


async def trouble(site: Site, **asked) -> str:
    with pytest.raises(Unreachable) as caught:
        await text(site, **asked)
    return str(caught.value)


async def test_a_request_has_what_it_was_told_and_nothing_of_the_process(monkeypatch, tmp_path):
    (tmp_path / ".netrc").write_text("machine localhost login me password mine\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with here(saying(OK), headers={"Authorization": "Bearer x", "X-Own": "1"}) as (
        server,
        site,
    ):
        assert await text(site, body=b"{}", headers={"x-own": "2", "Accept": "text/plain"}) == b"ok"
    sent = server.requests[0]
    assert (sent.line, sent.body) == ("POST /mcp?tenant=1 HTTP/1.1", b"{}")
    agent = sent.headers.pop("user-agent")
    assert agent.startswith("perstack/")
    assert sent.headers == {
        "host": f"localhost:{server.port}",
        "authorization": "Bearer x",
        "x-own": "2",
        "accept": "text/plain",
        "accept-encoding": "identity",
        "content-length": "2",
    }


async def test_headers_that_frame_a_request_are_ours():
    told = {"Host": "evil.example", "Content-Length": "99", "Transfer-Encoding": "chunked"}
    async with here(saying(OK), headers=told) as (server, site):
        assert await text(site, "GET", headers={"Accept-Encoding": "gzip"}) == b"ok"
    assert server.requests[0].headers == {
        "host": f"localhost:{server.port}",
        "user-agent": server.requests[0].headers["user-agent"],
        "accept-encoding": "identity",
    }


@pytest.mark.parametrize("value", ["a\r\nX-Other: b", "a\nb", "a\0b", f"{KEY}\u00e4"])
@pytest.mark.parametrize("is_own", [True, False])
async def test_a_header_that_cannot_be_sent_is_not_and_is_not_repeated(value, is_own):
    headers = {"x-own": value}
    async with here(saying(OK), headers=headers if is_own else {}) as (server, site):
        why = await trouble(site, headers={} if is_own else headers)
    assert value.strip() not in why
    assert KEY not in why
    assert server.requests == []


async def test_an_answer_tells_its_status_headers_and_place():
    answer = b"HTTP/1.1 404 Nope\r\nX-Seen: a\r\nx-seen: b\r\nContent-Length: 3\r\n\r\nwhy"
    async with (
        here(saying(answer)) as (server, site),
        site.exchange("GET", patience=PATIENCE) as found,
    ):
        assert (found.status, found.headers["x-seen"]) == (404, "a, b")
        assert found.url == f"http://localhost:{server.port}/mcp?tenant=1"
        assert [chunk async for chunk in found.chunks()] == [b"why"]
        assert await found.body(10) == b""


async def test_chunks_come_as_they_are_sent_and_go_on_where_they_were_left():
    turn = anyio.Event()

    async def answer(stream, request):
        await stream.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        await turn.wait()
        await stream.send(b"1\r\nb\r\n1\r\nc\r\n0\r\n\r\n")

    async with here(answer) as (_, site), site.exchange("GET", patience=PATIENCE) as found:
        async for chunk in found.chunks():
            assert chunk == b"a"
            break
        turn.set()
        assert await found.body(10) == b"bc"


async def test_a_limit_is_the_most_that_is_read():
    async with here(saying(OK)) as (_, site):
        async with site.exchange("GET", patience=PATIENCE) as found:
            assert await found.body(2) == b"ok"
        async with site.exchange("GET", patience=PATIENCE) as found:
            with pytest.raises(Unreachable, match="more than 1 bytes"):
                await found.body(1)


@pytest.mark.parametrize(
    "cut",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
async def test_half_a_body_is_none(cut):
    async def answer(stream, request):
        await stream.send(cut)
        await stream.aclose()

    async with here(answer) as (_, site):
        assert "inside its answer" in await trouble(site)


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nX-Half: "])
async def test_a_server_that_hangs_up_has_not_answered(said):
    async def answer(stream, request):
        await stream.send(said)
        await stream.aclose()

    async with here(answer) as (_, site):
        assert "hung up before an answer" in await trouble(site)


async def test_a_connection_serves_one_request_after_another():
    async with here(saying(redirect("/mcp/"), OK)) as (server, site):
        for _ in range(3):
            assert await text(site, body=b"{}") == b"ok"
    assert (server.connections, len(server.requests)) == (1, 4)


async def test_a_connection_that_the_server_closed_meanwhile_is_not_asked():
    async def answer(stream, request):
        await stream.send(OK)
        await stream.aclose()

    async with here(answer) as (server, site):
        for _ in range(3):
            assert await text(site) == b"ok"
    assert server.connections == 3


async def test_exchanges_may_be_concurrent():
    both = anyio.Event()

    async def answer(stream, request):
        if len(server.requests) == 2:
            both.set()
        await both.wait()
        await stream.send(OK)

    async with here(answer) as (server, site), anyio.create_task_group() as tasks:
        tasks.start_soon(text, site)
        tasks.start_soon(text, site)
    assert server.connections == 2


async def test_leaving_a_site_ends_what_is_open():
    async def answer(stream, request):
        await stream.send(b"HTTP/1.1 200 OK\r\n\r\nstart")
        while True:
            await stream.send(b"more" * 1000)

    async with serving(answer) as server:
        site = Site(f"http://127.0.0.1:{server.port}/", allow_loopback=True)
        async with site, site.exchange("GET", patience=PATIENCE) as found:
            await anext(found.chunks())
            await site.__aexit__(None, None, None)
            await server.broken.wait()


async def test_a_cancelled_exchange_leaves_its_connection():
    async def answer(stream, request):
        started.set()
        assert not await stream.receive(1)

    started = anyio.Event()
    async with here(answer) as (server, site):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(text, site)
            await started.wait()
            tasks.cancel_scope.cancel()
        await server.broken.wait()


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize(
    "location", ["/a", "a", "?x=1", "http://localhost:{port}/a", "//localhost:{port}/a#b"]
)
async def test_a_redirect_inside_the_origin_is_followed_with_method_and_body(status, location):
    async def answer(stream, request):
        place = location.format(port=server.port)
        await stream.send(OK if len(server.requests) > 1 else redirect(place, status))

    async with here(answer) as (server, site):
        assert await text(site, body=b"{}", headers={"x-own": "1"}) == b"ok"
    first, second = server.requests
    assert (second.line[:4], second.body, second.headers) == ("POST", b"{}", first.headers)


async def test_five_redirects_are_followed():
    moves = [redirect(f"/{n}") for n in range(5)]
    async with here(saying(*moves, OK)) as (server, site):
        assert await text(site) == b"ok"
    assert server.requests[-1].path == "/4"


@pytest.mark.parametrize("status", [300, 303, 304, 305])
async def test_what_is_no_redirect_that_keeps_the_method_is_an_answer(status):
    moved = redirect("/a", status, body=b"")
    async with (
        here(saying(moved)) as (server, site),
        site.exchange("POST", body=b"{}", patience=PATIENCE) as found,
    ):
        assert found.status == status
    assert len(server.requests) == 1


async def test_a_redirect_to_nowhere_is_an_answer():
    answer = b"HTTP/1.1 307 Moved\r\nContent-Length: 2\r\n\r\nok"
    async with here(saying(answer)) as (_, site):
        assert await text(site) == b"ok"


async def test_another_url_of_the_origin_may_be_asked():
    async with here(saying(OK)) as (server, site):
        url = f"HTTP://LOCALHOST:{server.port}/messages?id=1"
        assert await text(site, url=url) == b"ok"
    assert server.requests[0].path == "/messages?id=1"


async def test_a_host_outside_the_allowed_domains_is_not_asked():
    domains = ("api.example.com", "*.example.org")
    for host, is_refused in (("a.example.org", False), ("api.example.net", True)):
        resolver = Resolver([])
        async with Site(f"https://{host}/", allowed_domains=domains, resolve=resolver) as site:
            why = await trouble(site)
        assert ("allowed domains" in why) is is_refused
        assert bool(resolver.asked) is not is_refused


async def test_a_site_that_was_left_can_be_entered_again():
    async with serving(saying(OK)) as server:
        site = Site(f"http://127.0.0.1:{server.port}/", allow_loopback=True)
        for _ in range(2):
            async with site:
                assert await text(site) == b"ok"


async def test_no_secret_is_in_a_message_a_log_or_a_repr(caplog):
    caplog.set_level(logging.DEBUG)
    said = [
        redirect(f"http://{KEY}.example.com/{KEY}"),
        redirect(f"https://user:{KEY}@example.com/"),
        f"HTTP/1.1 200 OK\r\nContent-Encoding: {KEY}\r\nX-Key: {KEY}\r\n\r\n".encode(),
        f"HTTP/1.1 {KEY}\r\n{KEY}\r\n\r\n".encode(),
        f"{KEY}\r\n{KEY}\r\n\r\n".encode(),
    ]
    headers = {"authorization": f"Bearer {KEY}"}
    async with here(saying(*said), headers=headers, secrets=[KEY]) as (_, site):
        shown = [await trouble(site, body=b"{}") for _ in said]
        shown.append(repr(site))
    async with (
        here(saying(OK), headers=headers) as (_, site),
        site.exchange("GET", patience=PATIENCE) as found,
    ):
        shown.append(repr(found))
    assert KEY not in "\n".join([*shown, caplog.text])
    assert "***.example.com" in shown[0]
