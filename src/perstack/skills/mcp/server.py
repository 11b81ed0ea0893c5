"""What stands behind a skill: a program that is started, or an address that is reached."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

from perstack.schema.skill import McpStdioSkill
from perstack.skills.mcp.command import arguments_of, command_of, is_installed
from perstack.skills.mcp.environment import secrets_of, server_environment
from perstack.skills.mcp.pieces import pieces_of
from perstack.skills.mcp.redaction import Redaction
from perstack.skills.mcp.stdio import StdioTransport

if TYPE_CHECKING:
    from collections.abc import Callable

    from perstack.schema.skill import McpSseSkill
    from perstack.skills.mcp import Surroundings
    from perstack.skills.mcp.address import Address
    from perstack.skills.mcp.session import OpenTransport


class Server(Protocol):
    """One declared server, which may be reached again and again.

    `command` and `args` are how it is told of. `redaction` hides what it was trusted with.
    """

    command: str
    args: tuple[str, ...]
    redaction: Redaction

    @property
    def is_installed(self) -> bool:
        """Whether there is a program of its command, where it needs one."""
        ...

    def transport(self, on_stderr: Callable[[str], None], stop: float, /) -> OpenTransport:
        """A new way to it. ServerGone where there can be none."""
        ...


class Program:
    """A server that is started here."""

    def __init__(self, skill: McpStdioSkill, around: Surroundings) -> None:
        self.command = skill.command
        self.args = arguments_of(skill)
        self._skill = skill
        self._workspace = str(around.workspace)
        self._env = server_environment(around.environ, skill, around.keys)
        self.redaction = Redaction(secrets_of(self._env, skill.required_env))

    @property
    def is_installed(self) -> bool:
        """Whether its command is on the PATH, or at its place."""
        return is_installed(self._skill, self._workspace, self._env)

    def transport(self, on_stderr: Callable[[str], None], stop: float) -> StdioTransport:
        """A new process. ServerGone where there is no such program."""
        command = command_of(self._skill, self._workspace, self._env)
        return StdioTransport(command, on_stderr, stop=stop, redaction=self.redaction)


class Remote:
    """A server that others run. What it is told of is its address."""

    args: tuple[str, ...] = ()
    is_installed = True

    def __init__(self, address: Address) -> None:
        self.command = address.shown
        secrets = address.secrets.items()
        pieces = ((name, piece) for name, value in secrets for piece in pieces_of(value))
        self.redaction = Redaction((*secrets, *pieces))
        self._address = address

    def transport(self, _on_stderr: Callable[[str], None], stop: float) -> OpenTransport:
        """Connections of its own. Nothing is sent before they are used."""
        from perstack.skills.mcp.http import HttpTransport

        return HttpTransport(self._address, stop=stop)


def server_of(skill: McpStdioSkill | McpSseSkill, around: Surroundings) -> Server:
    """The server of a skill, with what it may have of the environment.

    Raises:
        ConfigurationError: a variable of a remote one is missing, or cannot be sent.
    """
    if isinstance(skill, McpStdioSkill):
        return Program(skill, around)
    from perstack.skills.mcp.address import address_of

    return Remote(address_of(skill, around.environ, os.environ))
