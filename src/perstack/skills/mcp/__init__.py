"""MCP servers as tools: what a transport, a session and a skill are to one another.

Bytes come and go over a `Transport`; a `Session` speaks the protocol over it; a skill
(`skills.mcp.skill`) is one declared server with its session, its tools and its restarts.
https://modelcontextprotocol.io/specification
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from perstack.schema.event import RuntimeEvent
    from perstack.schema.skill import Skill
    from perstack.skills.mcp.protocol import ServerTool

Note: TypeAlias = "Callable[[RuntimeEvent], Awaitable[None]]"
"""Writes a fact about a skill into its run's log."""

Admit: TypeAlias = "Callable[[int], Awaitable[None]]"
"""Returns once so many servers, all of a run, may be up."""

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""The longest message that is read; what is longer is dropped, or ends the server."""
MAX_BAD_MESSAGES = 100
"""Messages that are none, or answer nothing, before a server is given up."""
MAX_TOOLS = 512
MAX_PAGES = 64
MAX_TOOL_BYTES = 256 * 1024
"""Of one tool: its description and its schema."""
MAX_TOOLS_BYTES = 4 * 1024 * 1024
"""Of all tools of one server."""


class Patience(NamedTuple):
    """How long a server may take, in seconds, for each of its phases."""

    start: float = 60.0
    listing: float = 30.0
    call: float = 300.0
    stop: float = 3.0


async def _at_once(_: int) -> None:
    """Whoever asks may."""


def _none(_name: str, _skill: Skill) -> Collection[str]:
    """A skill's tools are its server's."""
    return ()


def _nothing() -> None:
    """There is nothing to do meanwhile."""


class Surroundings(NamedTuple):
    """What the servers of one run are started in.

    `environ` is what a server's environment is chosen from, and `keys` name its variables
    of models' providers. `note` writes into the run's log. `admit` is awaited before a
    server is started, with how many the run has. `own` gives the names of a skill's tools
    that its server does not have a say in, since they run in our process. `meanwhile` is
    called when the servers are started and have yet to answer: what it does costs no time.
    """

    workspace: Path
    environ: Mapping[str, str]
    note: Note
    admit: Admit = _at_once
    keys: Collection[str] = ()
    patience: Patience = Patience()
    own: Callable[[str, Skill], Collection[str]] = _none
    meanwhile: Callable[[], None] = _nothing


class ServerGone(Exception):
    """The server ended, hung up, or was given up. Its message says why, for the model."""


class CallUntaken(ServerGone):
    """The server does not know our session any more, so that nothing came of the call."""


class ServerRefused(Exception):
    """The server answered a request with an error of the protocol."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Transport(Protocol):
    """Messages to and from one server, each a JSON text, alive between entering and leaving.

    Contract: `receive` gives messages whole and within `MAX_MESSAGE_BYTES`, and raises
    ServerGone at the end; `send` raises ServerGone where nobody takes it. Leaving ends
    the server with everything it started, also when cancelled. A server that others
    run is only told that we leave. `bears_questions`: a server may be asked something
    before `initialize`, and it costs nothing but time.
    """

    bears_questions: bool

    async def send(self, message: bytes) -> None:
        """Send one message."""
        ...

    async def receive(self) -> bytes:
        """The next message."""
        ...

    def agree(self, protocol: str) -> None:
        """Take note of the revision that is spoken from the next message on."""
        ...

    def admit(self, tool: ServerTool) -> str | None:
        """Take note of a tool that was listed. Why it may not be called, if that is so."""
        ...
