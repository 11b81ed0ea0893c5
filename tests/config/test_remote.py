"""A configuration file from the web, served by a real socket in place of the one host."""

from __future__ import annotations

import socket
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import TYPE_CHECKING

import httpx2
import pytest

from perstack.config.remote import fetch_config
from perstack.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.anyio

URL = "https://raw.githubusercontent.com/acme/experts/main/perstack.toml"


class ToLoopback(httpx2.AsyncHTTPTransport):
    """Sends every request to a port of this machine, whatever its URL says."""

    def __init__(self, port: int) -> None:
        super().__init__(trust_env=False)
        self.port = port
        self.asked: list[httpx2.URL] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request.url)
        request.url = request.url.copy_with(scheme="http", host="127.0.0.1", port=self.port)
        return await super().handle_async_request(request)


@contextmanager
def serving(answer: Callable[[socket.socket, Event], None]) -> Iterator[ToLoopback]:
    """A server that answers one connection; its event is set when the test is over."""
    over = Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            connection.recv(65536)
            with suppress(OSError):  # the other side may have had enough
                answer(connection, over)

    thread = Thread(target=serve)
    thread.start()
    try:
        yield ToLoopback(listener.getsockname()[1])
    finally:
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


def saying(head: str, body: bytes = b"") -> Callable[[socket.socket, Event], None]:
    def answer(connection: socket.socket, over: Event) -> None:
        lines = f"HTTP/1.1 {head}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        connection.sendall(lines.encode() + body)

    return answer


async def refused(answer: Callable[[socket.socket, Event], None], deadline: float = 10) -> str:
    with serving(answer) as transport:
        with pytest.raises(ConfigurationError) as caught:
            await fetch_config(URL, transport=transport, deadline=deadline)
        assert len(transport.asked) == 1
    return caught.value.message


async def test_a_file_from_the_web_is_a_project_that_names_its_url() -> None:
    with serving(saying("200 OK", b'model = "m"\n')) as transport:
        project = await fetch_config(URL, transport=transport)
    assert (project.origin, project.model) == (URL, "m")
    assert transport.asked == [httpx2.URL(URL)]


async def test_a_file_that_breaks_a_rule_is_refused_by_its_url() -> None:
    assert f"{URL} has 1 problem" in await refused(saying("200 OK", b"model = 1"))


@pytest.mark.hostile
@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
async def test_row_77_no_redirect_is_followed(status: str) -> None:
    message = await refused(saying(f"{status}\r\nLocation: http://127.0.0.1:1/"))
    assert message == f"{URL} answered {status[:3]}, not 200"


@pytest.mark.hostile
async def test_row_77_more_than_the_cap_is_refused_without_waiting_for_the_rest() -> None:
    def endless(connection: socket.socket, over: Event) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")
        while not over.is_set():
            connection.sendall(b"#" * 65536)

    assert "larger than 1 MiB" in await refused(endless)


@pytest.mark.hostile
async def test_row_77_a_tarpit_is_left_at_the_deadline() -> None:
    def tarpit(connection: socket.socket, over: Event) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not over.wait(0.02):
            connection.sendall(b"#")

    assert "did not arrive within 0.3 s" in await refused(tarpit, deadline=0.3)


@pytest.mark.hostile
async def test_row_77_a_compressed_answer_is_refused_unread() -> None:
    message = await refused(saying("200 OK\r\nContent-Encoding: gzip", b"\x1f\x8b"))
    assert "an encoding that was not asked for" in message


async def test_a_connection_that_breaks_is_a_configuration_error() -> None:
    def broken(connection: socket.socket, over: Event) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nmodel")

    assert "could not be fetched" in await refused(broken)
