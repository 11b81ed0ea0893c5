"""Model servers on this machine, found at their usual ports and known by their APIs.

A run never looks for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import anyio

from perstack.assembly.local_models.host import Host
from perstack.assembly.local_models.llama_cpp import llama_cpp
from perstack.assembly.local_models.lm_studio import lm_studio
from perstack.assembly.local_models.ollama import PORT, ollama

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from perstack.schema.local_model import LocalServer

PORTS = (PORT, 1234, 8080)
"""Where Ollama, LM Studio and llama.cpp listen unless told otherwise."""

SECONDS = 2.5
"""For one port, with what its server is asked. All are asked side by side."""

_KINDS: tuple[Callable[[Host], Awaitable[LocalServer | None]], ...] = (
    ollama,
    lm_studio,
    llama_cpp,
)


class Search(NamedTuple):
    """The servers in the order of their ports, and the ports where nothing listens."""

    servers: tuple[LocalServer, ...] = ()
    closed: frozenset[int] = frozenset()


async def local_servers(ports: Sequence[int] = PORTS, wanted: str = "") -> Search:
    """Look at each port of the loopback address, whatever may listen there.

    `wanted` is a model that is listed where it is, however many there are.
    """
    found: dict[int, LocalServer] = {}
    closed: set[int] = set()
    async with anyio.create_task_group() as tasks:
        for port in ports:
            tasks.start_soon(_look, Host(port, wanted), found, closed)
    return Search(tuple(found[port] for port in ports if port in found), frozenset(closed))


async def _look(host: Host, found: dict[int, LocalServer], closed: set[int]) -> None:
    with anyio.move_on_after(SECONDS):
        if not await host.is_open():
            closed.add(host.port)
            return
        for known in _KINDS:
            server = await known(host)
            if server is not None:
                found[host.port] = server
                return
