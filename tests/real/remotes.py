"""A server from npm that is reached over HTTP, at a port of this machine."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

import anyio

from real.servers import Servers

if TYPE_CHECKING:
    from anyio.abc import Process, TaskStatus

PATHS = {"streamableHttp": "/mcp", "sse": "/sse"}
"""Where the server is reached, by the word that starts it."""


class Serving(NamedTuple):
    """A server that can be reached, with its process."""

    port: int
    transport: str
    process: Process

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{PATHS[self.transport]}"

    @property
    def skill(self) -> str:
        """The table of a skill of the Expert `worker`."""
        return (
            '\n[experts.worker.skills.remote]\ntype = "mcpSseSkill"\n'
            f'endpoint = "{self.url}"\nallowLoopback = true\n'
        )


@asynccontextmanager
async def serving(servers: Servers, transport: str, port: int = 0) -> AsyncGenerator[Serving]:
    """The server at that port, or at a free one, for the life of a block."""
    port = port or free_port()
    process = await anyio.open_process(
        [servers.program("mcp-server-everything"), transport],
        env=servers.environ | {"PORT": str(port)},
        stderr=subprocess.STDOUT,
    )
    async with process, anyio.create_task_group() as tasks:
        try:
            with anyio.fail_after(60):
                await tasks.start(listen, process)
            yield Serving(port, transport, process)
        finally:
            with suppress(ProcessLookupError):
                process.kill()


async def listen(process: Process, *, task_status: TaskStatus[None]) -> None:
    """Read what a server prints to its end; it is started once it says that it listens."""
    assert process.stdout is not None
    said, is_up = b"", False
    async for chunk in process.stdout:
        said += chunk
        if not is_up and b"on port" in said:
            is_up = True
            task_status.started()
    assert is_up, said.decode()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]
