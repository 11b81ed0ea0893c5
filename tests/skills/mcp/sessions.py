"""Sessions with the hostile server, and what they say."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from perstack.skills.mcp import Patience
from perstack.skills.mcp.command import Command
from perstack.skills.mcp.session import Session
from perstack.skills.mcp.stdio import StdioTransport

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from perstack.skills.mcp.session import OpenTransport

PROGRAM = Path(__file__).with_name("hostile_server.py")
ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": "/nowhere"}
CALM = Patience(start=30, listing=30, call=30, stop=0.2)


def python(*args: str) -> Command:
    """Our interpreter, without whatever is slow about it."""
    argv = (sys.executable, "-I", "-S", *args)
    return Command(sys.executable, argv, "/", ENVIRONMENT)


def shell(script: str) -> Command:
    return Command("/bin/sh", ("sh", "-c", script), "/", ENVIRONMENT)


def hostile(*modes: str) -> Command:
    return python(str(PROGRAM), *modes)


class Said:
    """What a server had to say beside its answers."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, str]] = []
        self.stderr: list[str] = []

    @property
    def texts(self) -> list[str]:
        return [text for _, text in self.messages]


def left_out(lines: list[str]) -> int:
    """How many lines were counted and not given on."""
    counts = [line.split()[0][1:] for line in lines if line.endswith("left out]")]
    return sum(int(count) for count in counts)


def open_transport(modes: tuple[str, ...], patience: Patience, said: Said) -> OpenTransport:
    """How the hostile server is reached. Tests of both transports put the other in its place."""
    return StdioTransport(hostile(*modes), said.stderr.append, stop=patience.stop)


@contextlib.asynccontextmanager
async def session(
    *modes: str, patience: Patience = CALM, said: Said | None = None
) -> AsyncGenerator[Session]:
    """A session with a server that has not been greeted yet."""
    said = said or Said()
    transport = open_transport(modes, patience, said)

    def hear(level: str, text: str) -> None:
        said.messages.append((level, text))

    async with Session(transport, patience=patience, on_message=hear) as one:
        yield one


@contextlib.asynccontextmanager
async def started(
    *modes: str, patience: Patience = CALM, said: Said | None = None
) -> AsyncGenerator[Session]:
    """The same, greeted."""
    async with session(*modes, patience=patience, said=said) as one:
        await one.start()
        yield one
