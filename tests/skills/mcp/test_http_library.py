"""Servers made with the protocol's own Python library, over every transport it has."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from perstack.skills.mcp.address import Address
from perstack.skills.mcp.http import HttpTransport
from perstack.skills.mcp.session import Session
from skills.mcp.remotes import text_of
from skills.mcp.sessions import CALM, Said

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

SERVER = Path(__file__).with_name("library_server.py")
REVISIONS = {
    "streams": "2025-11-25",
    "json": "2025-11-25",
    "no-sessions": "2025-11-25",
    "stateless": "2026-07-28",
    "sse": "2025-11-25",
}


@contextlib.contextmanager
def library(mode: str) -> Generator[str]:
    """The URL of such a server, which listens before it has started."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        script = f"import os; os.dup2({listener.fileno()}, 3); os.execv(*{_argv(mode)!r})"
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", script], pass_fds=[listener.fileno()]
        )
    try:
        yield f"http://127.0.0.1:{port}{'/sse' if mode == 'sse' else '/mcp'}"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _argv(mode: str) -> tuple[str, list[str]]:
    return sys.executable, [sys.executable, os.fspath(SERVER), mode]


@contextlib.asynccontextmanager
async def met(mode: str, said: Said) -> AsyncGenerator[Session]:
    def hear(level: str, text: str) -> None:
        said.messages.append((level, text))

    with anyio.fail_after(60), library(mode) as url:
        transport = HttpTransport(Address(url, allow_loopback=True), stop=CALM.stop)
        async with Session(transport, patience=CALM, on_message=hear) as one:
            yield one


@pytest.mark.parametrize("mode", REVISIONS)
async def test_the_librarys_servers_are_spoken_to_over_each_of_its_transports(mode: str):
    said = Said()
    async with met(mode, said) as one:
        info = await one.start()
        assert (info.name, info.protocol) == ("library", REVISIONS[mode])
        names = [tool.name for tool in await one.tools()]
        assert names == ["add", "count", "wait", "was_called_off", "where", "fail"]
        assert (await one.call("add", {"a": 2, "b": 3})).structured == {"result": 5}
        assert text_of(await one.call("where", {"region": "zürich"})) == "zürich"
        failed = await one.call("fail", {})
        assert failed.is_error
        assert "it failed" in text_of(failed)
        assert text_of(await one.call("count", {"to": 2})) == "counted"
    assert said.texts == ([] if mode == "json" else ["1/2", "2/2"])


@pytest.mark.parametrize("mode", ["streams", "stateless", "sse"])
async def test_the_librarys_servers_hear_that_a_call_was_called_off(mode: str):
    async with met(mode, Said()) as one:
        await one.start()
        with anyio.move_on_after(0.3) as given_up:
            await one.call("wait", {})
        assert given_up.cancelled_caught
        assert text_of(await one.call("was_called_off", {})) == "yes"
