"""The command that starts a skill's server."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, NamedTuple

from perstack.base.environment import DEFAULT_PATH, absolute_path
from perstack.skills.mcp import ServerGone

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perstack.schema.skill import McpStdioSkill

NOWHERE = os.devnull
"""A place that exists and can hold nothing."""

FETCHERS = frozenset(
    {"npx", "npm", "pnpm", "pnpx", "yarn", "bun", "bunx", "uvx", "uv", "pip", "pip3", "pipx"}
)
"""Programs that fetch packages, and may need to say who they are."""

_YES = ("-y", "--yes")
_RUNNERS = ("npx", "uvx")
_SOURCES = {
    "npx": "It comes with Node.js: https://nodejs.org",
    "node": "It comes with Node.js: https://nodejs.org",
    "uvx": "It comes with uv: https://docs.astral.sh/uv",
    "uv": "Get it at https://docs.astral.sh/uv",
}


class Command(NamedTuple):
    """A program by its absolute path, and everything it starts with.

    `argv` begins with the program's name. `env` is its whole environment: it holds secrets.
    """

    program: str
    argv: tuple[str, ...]
    directory: str
    env: dict[str, str]

    def __repr__(self) -> str:
        """All but the environment's values."""
        return f"Command({self.argv!r}, env={sorted(self.env)!r})"


def program_name(command: str) -> str:
    """What a command is called, wherever it lies."""
    return command.rpartition("/")[2].removesuffix(".cmd")


def arguments_of(skill: McpStdioSkill) -> tuple[str, ...]:
    """What stands behind the command.

    npx and `npm exec` get `-y`, since nobody is there to say yes, and a prefix where nothing
    can be installed: else a `node_modules` or an `.npmrc` that lies in the workspace, where
    an Expert may write, would stand in for the package. uvx does not look there. A package's
    name comes after `--`, where no runner reads it as an option.
    """
    runner = program_name(skill.command)
    args = skill.args
    if skill.package_name is not None:
        args = ("--", skill.package_name) if runner in _RUNNERS else (skill.package_name,)
    if runner == "npx" or (runner == "npm" and _is_exec(args)):
        args = args if any(word in _YES for word in args) else ("-y", *args)
        args = ("--prefix", NOWHERE, *args)
    return args


def command_of(skill: McpStdioSkill, workspace: str, env: Mapping[str, str]) -> Command:
    """The command of a skill, run in the workspace, its program found on the PATH of `env`.

    Raises:
        ServerGone: there is no such program. The message says how to get it.
    """
    program = _found(skill.command, workspace, env.get("PATH", DEFAULT_PATH))
    if program is None:
        hint = _SOURCES.get(skill.command, "Install it, or correct the skill's `command`")
        where = "" if "/" in skill.command else " on the PATH"
        raise ServerGone(f"There is no program {skill.command!r}{where}. {hint}.")
    return Command(program, (skill.command, *arguments_of(skill)), workspace, dict(env))


def _is_exec(args: tuple[str, ...]) -> bool:
    """Whether npm is to run a package, as npx does."""
    return next((word for word in args if not word.startswith("-")), "") in {"exec", "x"}


def is_installed(skill: McpStdioSkill, workspace: str, env: Mapping[str, str]) -> bool:
    """Whether the program of `command_of` is there."""
    return _found(skill.command, workspace, env.get("PATH", DEFAULT_PATH)) is not None


def _found(command: str, workspace: str, path: str) -> str | None:
    """The program by its absolute path. Nothing relative on the PATH is looked at."""
    if "/" in command:
        return shutil.which(os.path.join(workspace, command))  # noqa: PTH118 - may be absolute
    folders = absolute_path(path)
    return shutil.which(command, path=folders) if folders else None
