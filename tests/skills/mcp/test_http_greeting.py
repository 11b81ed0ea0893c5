"""How a server over HTTP is greeted: in the newest revision first, and then as ever."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from perstack.skills.mcp import session
from perstack.skills.mcp.address import Address
from perstack.skills.mcp.http import HttpTransport
from perstack.skills.mcp.session import Session
from skills.mcp.http_server import HungUp, Remote, Request, Wire, served
from skills.mcp.remotes import met, text_of
from skills.mcp.sessions import CALM

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.anyio


async def hang_up(request: Request, wire: Wire) -> None:
    raise HungUp


def status(number: int) -> Any:
    async def odd(request: Request, wire: Wire) -> None:
        await wire.answer(number)

    return odd


@pytest.fixture
def brief_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "PROBE_SECONDS", 0.1)


@pytest.mark.parametrize("odd", [status(404), status(500), status(202), hang_up])
async def test_a_server_that_does_not_know_the_newest_revision_is_greeted_as_ever(odd: Any):
    remote = Remote(discover=odd)
    async with met(remote) as one:
        assert text_of(await one.call("echo", {})) == "echoed"
    assert remote.kinds[:2] == ["server/discover", "initialize"]


@pytest.mark.usefixtures("brief_probe")
async def test_a_server_that_never_says_what_it_speaks_is_greeted_as_ever_and_not_waited_for():
    left = anyio.Event()

    async def silent(request: Request, wire: Wire) -> None:
        await wire.closed()
        left.set()

    async with met(Remote(discover=silent)) as one:
        await left.wait()
        assert text_of(await one.call("echo", {})) == "echoed"


@pytest.mark.usefixtures("brief_probe")
async def test_an_attempt_that_was_given_up_does_not_end_the_session_when_it_fails_later():
    is_greeted, has_failed = anyio.Event(), anyio.Event()
    asked: list[str] = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        if len(asked) == 1:
            try:
                await is_greeted.wait()
            finally:
                has_failed.set()
            raise OSError("too late")
        return ["127.0.0.1"]

    async with served(Remote().handle) as url:
        address = Address(url.replace("127.0.0.1", "localhost"), allow_loopback=True)
        transport = HttpTransport(address, stop=CALM.stop, resolve=resolve)
        with anyio.fail_after(60):
            async with Session(transport, patience=CALM) as one:
                await one.start()
                is_greeted.set()
                await has_failed.wait()
                for _ in range(2):
                    assert text_of(await one.call("echo", {})) == "echoed"
