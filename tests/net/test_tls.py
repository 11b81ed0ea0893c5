from __future__ import annotations

import anyio
import pytest
from anyio.abc import SocketAttribute

from net.servers import HERE, NAME, OK, PATIENCE, Resolver, proxying, saying, serving
from perstack.net.site import Site, Unreachable

pytestmark = pytest.mark.anyio


async def text(url: str, resolver: Resolver, environ, **how) -> bytes:
    async with (
        Site(url, allow_loopback=True, resolve=resolver, environ=environ, **how) as site,
        site.exchange("POST", body=b"{}", patience=PATIENCE) as answer,
    ):
        return await answer.body(100)


async def test_tls_asks_for_the_name_at_the_address_that_was_checked(authority):
    tls = authority.context(NAME)
    names = []
    tls.sni_callback = lambda _socket, name, _context: names.append(name)
    resolver = Resolver(HERE, ["10.0.0.1"])
    async with serving(saying(OK), tls) as server:
        url = f"https://{NAME}.:{server.port}/mcp"
        assert await text(url, resolver, authority.environ) == b"ok"
    assert (names, resolver.asked) == ([NAME], [(NAME, server.port)])
    assert server.requests[0].headers["host"] == f"{NAME}:{server.port}"


async def test_a_certificate_for_another_name_is_refused(authority):
    async with serving(saying(OK), authority.context("other.example.com")) as server:
        with pytest.raises(Unreachable, match="certificate is for another name"):
            await text(f"https://{NAME}:{server.port}/", Resolver(HERE), authority.environ)
    assert server.requests == []


async def test_a_certificate_for_the_name_does_not_do_for_its_address(authority):
    async with serving(saying(OK), authority.context(NAME)) as server:
        with pytest.raises(Unreachable, match="certificate is for another name"):
            await text(f"https://127.0.0.1:{server.port}/", Resolver(HERE), authority.environ)


async def test_an_authority_counts_that_the_given_environment_names(authority, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    async with serving(saying(OK), authority.context(NAME)) as server:
        url = f"https://{NAME}:{server.port}/"
        with pytest.raises(Unreachable, match="not trusted; name its authority in SSL_CERT_FILE"):
            await text(url, Resolver(HERE), {})


async def test_certificates_may_be_in_a_directory(authority, tmp_path):
    async with serving(saying(OK), authority.context(NAME)) as server:
        url, environ = f"https://{NAME}:{server.port}/", {"SSL_CERT_DIR": str(tmp_path)}
        with pytest.raises(Unreachable, match="not trusted"):
            await text(url, Resolver(HERE), environ)
        (tmp_path / f"{authority.hash}.0").write_bytes(authority.file.read_bytes())
        assert await text(url, Resolver(HERE), environ) == b"ok"


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
async def test_certificates_that_cannot_be_read_are_named(content, tmp_path):
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(Unreachable, match="SSL_CERT_FILE or SSL_CERT_DIR names no usable"):
        await text(f"https://{NAME}/", Resolver(HERE), {"SSL_CERT_FILE": str(file)})


async def test_a_server_without_tls_is_not_asked_in_plain_text(authority):
    async def answer(stream: anyio.abc.ByteStream) -> None:
        async with stream:
            heard.append(await stream.receive())
            await stream.send(OK)

    heard: list[bytes] = []
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, answer)
        with pytest.raises(Unreachable, match="TLS was not agreed on"):
            await text(f"https://{NAME}:{port}/", Resolver(HERE), authority.environ)
        tasks.cancel_scope.cancel()
    assert len(heard) == 1
    assert heard[0][:2] == b"\x16\x03"  # a TLS handshake


@pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
async def test_a_proxy_is_told_the_name_and_sees_nothing_else(variable, authority):
    async with serving(saying(OK), authority.context(NAME)) as server, proxying() as proxy:
        environ = authority.environ | {variable: f"http://me:pass%20word@127.0.0.1:{proxy.port}"}
        headers = {"authorization": "Bearer token"}
        url = f"https://{NAME}:{server.port}/"
        assert await text(url, Resolver([]), environ, headers=headers) == b"ok"
    seen = proxy.requests[0]
    assert seen.line == f"CONNECT {NAME}:{server.port} HTTP/1.1"
    assert seen.headers["proxy-authorization"] == "Basic bWU6cGFzcyB3b3Jk"
    assert "authorization" not in seen.headers
    assert "proxy-authorization" not in server.requests[0].headers


@pytest.mark.parametrize(
    ("host", "answer"), [(NAME, ["10.0.0.1"]), (NAME, HERE), ("10.0.0.1", []), ("[fd00::1]", [])]
)
async def test_a_proxy_is_not_asked_for_what_is_known_to_be_inside(host, answer, authority):
    async with proxying() as proxy:
        environ = authority.environ | {"HTTPS_PROXY": f"127.0.0.1:{proxy.port}"}
        with pytest.raises(Unreachable, match="not public"):
            await text(f"https://{host}/", Resolver(answer), environ)
    assert proxy.connections == 0


async def test_this_machine_is_asked_without_a_proxy(authority):
    async with serving(saying(OK), authority.context("localhost")) as server, proxying() as proxy:
        environ = authority.environ | {"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}"}
        assert await text(f"https://localhost:{server.port}/", Resolver(HERE), environ) == b"ok"
    assert proxy.connections == 0


async def test_no_proxy_is_asked_that_the_given_environment_does_not_name(authority, monkeypatch):
    async with serving(saying(OK), authority.context(NAME)) as server, proxying() as proxy:
        for variable in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.port}")
        url = f"https://{NAME}:{server.port}/"
        assert await text(url, Resolver(HERE), authority.environ) == b"ok"
    assert proxy.connections == 0


async def test_a_proxy_that_refuses_is_told_without_its_password(authority):
    async with proxying(b"407 not-with-hunter2hunter2") as proxy:
        told = f"http://me:hunter2hunter2@127.0.0.1:{proxy.port}"
        with pytest.raises(Unreachable, match=r"proxy does not reach it: 407 not-with-\*\*\*"):
            await text(f"https://{NAME}/", Resolver([]), authority.environ | {"HTTPS_PROXY": told})


@pytest.mark.parametrize(
    "told", ["socks5://h:1", "http://", "ftp://h", "http://h:99999", "http://[::1", "http://\u00e4"]
)
async def test_a_proxy_that_cannot_be_used_is_named_and_not_shown(told, authority):
    environ = authority.environ | {"HTTPS_PROXY": told}
    with pytest.raises(Unreachable, match="HTTPS_PROXY names no usable proxy") as caught:
        await text(f"https://{NAME}/", Resolver([]), environ)
    assert told not in str(caught.value).replace("http://host:port", "")
