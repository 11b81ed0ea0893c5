"""Rows 55 to 62: what a file names as a remote server is not what it says, or does not behave."""

from __future__ import annotations

import gzip
import socket
from contextlib import asynccontextmanager

import anyio
import pytest

from net.servers import HERE, NAME, OK, PATIENCE, Authority, Resolver, redirect, saying, serving
from perstack.net.site import Site, Unreachable

pytestmark = [pytest.mark.anyio, pytest.mark.hostile]

PUBLIC = "93.184.215.14"
OTHER_PUBLIC = "2606:4700:4700::1111"
FULL_WIDTH = {ord(figure): ord(figure) - ord("0") + 0xFF10 for figure in "0123456789"}
PRIVATE = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "100.127.255.255",
    "127.0.0.1", "127.1.2.3", "168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255",
    "192.0.0.1", "192.0.0.9", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1",
    "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250",
    "240.0.0.1", "255.255.255.255",
    "::", "::1", "::2", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::7f00:1", "100::1", "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:1::1", "2001:2::1", "2001:10::1", "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::", "2002:808:808::1", "3ffe::1", "3fff::1", "4000::1", "5f00::1", "fc00::1",
    "fd00::1", "fd00:ec2::254", "fd20:ce::254", "fe80::1", "fe80::1%1", "fec0::1", "ff02::1",
    "2606:4700:4700::1111%eth0",
]  # fmt: skip


@pytest.fixture
def dialled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every address that a connection was tried to. None succeeds."""
    tried: list[str] = []

    async def refuse(remote_host, remote_port, **_):
        tried.append(f"{remote_host} {remote_port}")
        raise ConnectionRefusedError(111, "refused")

    monkeypatch.setattr(anyio, "connect_tcp", refuse)
    return tried


async def problem(url: str, resolve: Resolver, **how) -> str:
    """Why nothing can be asked at `url`."""
    async with Site(url, resolve=resolve, **how) as site:
        with pytest.raises(Unreachable) as caught:
            async with site.exchange("POST", body=b"{}", patience=PATIENCE):
                pytest.fail("it was asked")
    return str(caught.value)


@asynccontextmanager
async def here(answer, **how):
    """A server and a site for it, under a name that leads to it."""
    async with serving(answer) as server:
        url = f"http://localhost:{server.port}/mcp"
        site = Site(url, allow_loopback=True, resolve=Resolver(HERE), **how)
        async with site:
            yield server, site


async def test_row_58_a_public_address_is_dialled(dialled):
    assert "connection refused" in await problem(f"https://{NAME}/", Resolver([PUBLIC]))
    assert dialled == [f"{PUBLIC} 443"]


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://mcp.example.com/", "https"),
        ("ftp://mcp.example.com/", "no plain URL"),
        ("file:///etc/passwd", "no plain URL"),
        ("//mcp.example.com/", "no plain URL"),
        ("https:mcp.example.com", "no plain URL"),
        ("https:///mcp.example.com", "no plain URL"),
        ("https://user:pass@mcp.example.com/", "no plain URL"),
        ("https://mcp.example.com@evil.example/", "no plain URL"),
        ("https://mcp.example.com:22/", "port 443"),
        ("https://mcp.example.com:80/", "port 443"),
        ("https://mcp.example.com:0/", "no such port"),
        ("https://mcp.example.com:65536/", "no such port"),
        ("https://mcp.example.com:99999999/", "no plain URL"),
        ("https://mcp.example.com:+443/", "no plain URL"),
        ("https://mcp.example.com/#@evil.example/", "no plain URL"),
        ("https://evil.example#@mcp.example.com/", "no plain URL"),
        ("https://evil.example\\@mcp.example.com/", "no plain URL"),
        ("https:\\\\mcp.example.com/", "no plain URL"),
        ("https://mcp.example.com/\r\nX: y", "no plain URL"),
        ("https://mcp.example.com/ HTTP/1.1", "no plain URL"),
        ("https://mcp.example.com\0.evil.example/", "no plain URL"),
        ("https://mcp..example.com/", "no host name"),
        ("https://-a.example.com/", "no host name"),
        ("https://mcp.example.com../", "no host name"),
        ("https://%6c%6fcalhost/", "no host name"),
        (f"https://{'a' * 64}.example.com/", "no host name"),
        (f"https://{'a.' * 127}com/", "no host name"),
        (f"https://mcp.example.com/{'a' * 9000}", "no plain URL"),
    ],
)
async def test_row_55_a_url_that_may_mean_another_one_is_refused(url, why, dialled):
    resolver = Resolver([PUBLIC])
    assert why in await problem(url, resolver)
    assert (resolver.asked, dialled) == ([], [])


@pytest.mark.parametrize(
    "host",
    [
        "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[fe80::1]", "[fe80::1%25eth0]",
        "[fe80::1%eth0]", "[2606:4700:4700::1111%251]", "[fd00::1]", "[fec0::1]", "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]", "[2002:7f00:1::]", "[]", "[localhost]",
        "[127.0.0.1]", "[::1", "::1]",
    ],
)  # fmt: skip
@pytest.mark.parametrize("allow_loopback", [False, True])
async def test_row_56_no_spelling_of_an_ipv6_address_leads_inside(host, allow_loopback, dialled):
    resolver = Resolver([PUBLIC])
    why = await problem(f"https://{host}/", resolver, allow_loopback=allow_loopback)
    assert ("zone" in why) is ("%" in host)
    assert (resolver.asked, dialled) == ([], [])


@pytest.mark.parametrize(
    "host",
    [
        "2130706433", "0x7f.1", "0x7f000001", "0x7f.0.0.1", "0X7F.0.0.1", "127.1",
        "127.0.1", "0177.0.0.1", "017700000001", "127.0.0.01", "127.0.0.0x1", "127.0.0.1.",
        "2130706433.", "127.0.0.256", "127.0.0.1.1", "0", "0x", "00.0.0.0", "1.2.3",
        "8.8.8.8.", "134744072", "127\u30020\u30020\u30021", "127\uff0e0\uff0e0\uff0e1",
        "127\uff610\uff610\uff611", "\u2460\u2461\u2466.0.0.1", "example\u3002com",
        "127.0.0.1".translate(FULL_WIDTH), "8.8.8.8".translate(FULL_WIDTH),
        "127.0.0.\u0661", "localhos\u0166", "\u24db\u24de\u24d2alhost",
    ],
)  # fmt: skip
@pytest.mark.parametrize("allow_loopback", [False, True])
async def test_row_57_figures_in_any_other_notation_are_no_address(host, allow_loopback, dialled):
    resolver = Resolver([PUBLIC])
    await problem(f"https://{host}/", resolver, allow_loopback=allow_loopback)
    assert (resolver.asked, dialled) == ([], [])


@pytest.mark.parametrize("address", PRIVATE)
async def test_row_58_a_name_that_leads_to_no_public_address_is_refused(address, dialled):
    assert "not public" in await problem(f"https://{NAME}/", Resolver([address]))
    assert dialled == []


@pytest.mark.parametrize("address", [address for address in PRIVATE if "%" not in address])
async def test_row_58_an_address_that_is_not_public_is_refused_as_it_stands(address, dialled):
    resolver = Resolver([PUBLIC])
    await problem(f"https://[{address}]/" if ":" in address else f"https://{address}/", resolver)
    assert (resolver.asked, dialled) == ([], [])


@pytest.mark.parametrize(
    "address", [address for address in PRIVATE if address not in {"127.0.0.1", "127.1.2.3", "::1"}]
)
async def test_row_58_where_loopback_is_allowed_nothing_else_is(address, dialled):
    why = await problem(f"https://{NAME}/", Resolver([address]), allow_loopback=True)
    assert "not public" in why
    assert dialled == []


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST", "localhost.", "x.localhost", "a.b.localhost."]
)
async def test_rows_56_and_59_this_machine_is_refused(host, dialled):
    resolver = Resolver([PUBLIC])
    assert "this machine" in await problem(f"https://{host}/", resolver)
    assert (resolver.asked, dialled) == ([], [])


async def test_row_59_this_machine_is_allowed_by_its_plain_names_alone(dialled):
    resolver = Resolver(HERE)
    await problem("https://x.localhost/", resolver, allow_loopback=True)
    assert (resolver.asked, dialled) == ([], [])
    await problem("http://localhost.:80/", resolver, allow_loopback=True)
    assert (resolver.asked, dialled) == ([("localhost", 80)], ["127.0.0.1 80"])


@pytest.mark.parametrize(
    "answer",
    [
        HERE,
        [PUBLIC, "127.0.0.1"],
        ["127.0.0.1", PUBLIC],
        [PUBLIC, OTHER_PUBLIC, "::1"],
        [PUBLIC, "no address"],
        [PUBLIC] * 65,
    ],
)
async def test_row_59_one_bad_answer_spoils_all(answer, dialled):
    await problem(f"https://{NAME}/", Resolver(answer))
    assert dialled == []


@pytest.mark.parametrize("answer", [[PUBLIC, "127.0.0.1"], ["127.0.0.1", PUBLIC, "::1"]])
async def test_row_59_a_name_on_both_sides_is_refused_where_either_would_do(answer, dialled):
    await problem(f"https://{NAME}/", Resolver(answer), allow_loopback=True)
    assert dialled == []


@pytest.mark.parametrize("answer", [[PUBLIC], [PUBLIC, "127.0.0.1"], ["10.0.0.1"]])
async def test_row_59_this_machine_is_nowhere_else(answer, dialled):
    await problem("http://localhost:8080/", Resolver(answer), allow_loopback=True)
    assert dialled == []


async def test_row_59_a_name_is_resolved_once_and_its_addresses_are_dialled(dialled):
    resolver = Resolver([OTHER_PUBLIC, PUBLIC])
    await problem(f"https://{NAME}./", resolver)
    assert resolver.asked == [(NAME, 443)]
    assert dialled == [f"{OTHER_PUBLIC} 443", f"{PUBLIC} 443"]


async def test_row_60_the_checked_address_is_dialled_whatever_the_next_answer_is(dialled):
    resolver = Resolver([PUBLIC], HERE)
    async with Site(f"https://{NAME}/", resolve=resolver) as site:
        for why in ("connection refused", "not public", "not public"):
            with pytest.raises(Unreachable, match=why):
                async with site.exchange("GET", patience=PATIENCE):
                    pytest.fail("it was asked")
    assert dialled == [f"{PUBLIC} 443"]
    assert len(resolver.asked) == 3


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data/",
        "https://169.254.169.254/",
        "http://localhost:22/",
        "//127.0.0.1/",
        "https://evil.example/mcp",
        "//evil.example/mcp",
        "https://localhost:{port}/mcp",
        "http://127.0.0.1:{port}/mcp",
        "http://[::1]:{port}/mcp",
        "http://localhost:{port}@evil.example/",
        "http://localhost:{port}\\@evil.example/",
        "http://localhost:{port}.evil.example/",
        "file:///etc/passwd",
        "gopher://localhost/",
        "\xe4\xf6\xfc://",
        "http://[/",
    ],
)
@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_row_61_a_redirect_elsewhere_is_not_followed(location, status):
    async def answer(stream, request):
        await stream.send(redirect(location.format(port=server.port), status))

    async with here(answer, headers={"authorization": "Bearer top-secret-token"}) as (server, site):
        with pytest.raises(Unreachable, match="redirects to"):
            async with site.exchange("POST", body=b"{}", patience=PATIENCE):
                pytest.fail("it was followed")
    assert len(server.requests) == 1


async def test_row_61_a_redirect_to_another_port_does_not_carry_the_token_there():
    async with serving(saying(OK)) as other:
        moved = redirect(f"http://localhost:{other.port}/mcp")
        async with here(saying(moved), headers={"authorization": "Bearer token"}) as (_, site):
            with pytest.raises(Unreachable, match=f"another origin, http://localhost:{other.port}"):
                async with site.exchange("POST", body=b"{}", patience=PATIENCE):
                    pytest.fail("it was followed")
        assert other.connections == 0


async def test_row_61_a_circle_of_redirects_is_left():
    async with here(saying(redirect("/mcp"))) as (server, site):
        with pytest.raises(Unreachable, match="more than 5 times"):
            async with site.exchange("POST", body=b"{}", patience=PATIENCE):
                pytest.fail("it ended")
    assert len(server.requests) == 6


async def test_row_61_the_body_of_a_redirect_is_not_read_to_its_end():
    async def answer(stream, request):
        if request.path == "/next":
            await stream.send(OK)
        else:
            await stream.send(b"HTTP/1.1 307 Moved\r\nLocation: /next\r\n\r\n")
            await endless(stream, b"x" * 65536)

    async with here(answer) as (server, site):
        async with site.exchange("POST", body=b"{}", patience=PATIENCE) as reply:
            assert await reply.body(100) == b"ok"
        await server.broken.wait()


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:{port}/messages", "http://localhost:1/messages", "https://evil.example/"],
)
async def test_row_61_another_url_than_the_origins_own_is_not_asked(url):
    async with here(saying(OK)) as (server, site):
        with pytest.raises(Unreachable):
            async with site.exchange("POST", url=url.format(port=server.port), patience=PATIENCE):
                pytest.fail("it was asked")
    assert server.requests == []


async def endless(stream, piece: bytes) -> None:
    while True:
        await stream.send(piece)


async def tarpit(stream, request) -> None:
    await anyio.sleep_forever()


async def slow_loris(stream, request) -> None:
    await stream.send(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while True:
        await stream.send(b"x")
        await anyio.sleep(0.01)


async def one_after_another(stream, request) -> None:
    while True:
        await stream.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await anyio.sleep(0.01)


@pytest.mark.parametrize("answer", [tarpit, slow_loris, one_after_another])
async def test_row_62_headers_that_never_end_end_with_our_patience(answer):
    async with here(answer) as (_, site):
        with pytest.raises(Unreachable, match="did not answer within"):
            async with site.exchange("POST", body=b"{}", patience=0.3):
                pytest.fail("it answered")


async def test_row_62_a_server_that_takes_no_body_is_left_with_our_patience():
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # the system takes connections for it
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/"
        async with Site(url, allow_loopback=True) as site:
            with pytest.raises(Unreachable, match="did not answer within"):
                async with site.exchange("POST", body=bytes(50_000_000), patience=0.3):
                    pytest.fail("it answered")


CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n" * 2_000


async def test_row_62_headers_are_measured_for_each_answer_anew_and_bodies_are_not():
    async def answer(stream, request):
        if len(server.requests) > 1:
            await endless(stream, CONTINUE)
        await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + bytes(1_000_000))

    async with here(answer) as (server, site):
        async with site.exchange("GET", patience=PATIENCE) as reply:
            assert len(await reply.body(1_000_000)) == 1_000_000
        with pytest.raises(Unreachable, match="too much of a head"):
            async with site.exchange("GET", patience=PATIENCE):
                pytest.fail("it answered")
        await server.broken.wait()
    assert server.connections == 1


async def test_row_62_headers_are_measured_inside_tls(tmp_path):
    authority = Authority(tmp_path)

    async def answer(stream, request):
        await endless(stream, CONTINUE)

    async with serving(answer, authority.context(NAME)) as server:
        url = f"https://{NAME}:{server.port}/"
        how = {"allow_loopback": True, "environ": authority.environ}
        assert "too much of a head" in await problem(url, Resolver(HERE), **how)
        await server.broken.wait()


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\nX: ", b"x" * 65536),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 10_000),
        (b"", CONTINUE),
        (b"HTTP/1.1 200 ", b"x" * 65536),
        (b"", b"\0" * 65536),
    ],
    ids=["one header", "many headers", "no answer yet", "a status line", "no HTTP"],
)
async def test_row_62_headers_of_any_length_are_refused_before_they_are_read(start, piece):
    async def answer(stream, request):
        await stream.send(start)
        await endless(stream, piece)

    async with here(answer) as (server, site):
        with pytest.raises(Unreachable, match="too much of a head"):
            async with site.exchange("POST", body=b"{}", patience=PATIENCE):
                pytest.fail("it answered")
        await server.broken.wait()


@pytest.mark.parametrize(
    "head", [b"Content-Length: 99999999999\r\n", b"Connection: close\r\n"], ids=["told", "open"]
)
async def test_row_62_a_body_without_end_is_cut_at_the_limit(head):
    async def answer(stream, request):
        await stream.send(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n")
        await endless(stream, b"x" * 65536)

    async with here(answer) as (server, site):
        async with site.exchange("POST", body=b"{}", patience=PATIENCE) as reply:
            with pytest.raises(Unreachable, match="more than 100000 bytes"):
                await reply.body(100_000)
        await server.broken.wait()


async def test_row_62_an_endless_stream_ends_when_its_reader_has_had_enough():
    async def answer(stream, request):
        await stream.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        await endless(stream, b": still here\n\n")

    async with here(answer) as (server, site):
        async with site.exchange("GET", patience=PATIENCE) as reply:
            async for _ in reply.chunks():
                break
        await server.broken.wait()


@pytest.mark.parametrize("packing", ["gzip", "GZIP", "br", "identity, gzip", "x" * 5000])
async def test_row_62_a_packed_answer_is_not_unpacked(packing):
    bomb = gzip.compress(bytes(10_000_000))
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {packing}\r\nContent-Length: {len(bomb)}\r\n\r\n"
    async with (
        here(saying(head.encode() + bomb)) as (server, site),
        site.exchange("GET", patience=PATIENCE) as reply,
    ):
        with pytest.raises(Unreachable, match="unasked") as caught:
            await reply.body(100_000_000)
    assert len(str(caught.value)) < 200
    assert server.requests[0].headers["accept-encoding"] == "identity"
