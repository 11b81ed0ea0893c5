"""`perstack install`: write `perstack.lock`, or compare it with what would be written."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import TYPE_CHECKING

import click

from perstack.cli.options import debug_option

if TYPE_CHECKING:
    from perstack.config.request import RunRequest
    from perstack.schema.lockfile import Lockfile


@click.command(
    epilog="Exit codes: 0 locked, or with --frozen the same; 1 with --frozen, not the same, or "
    "the file could not be written; 2 usage or configuration, or a server that does not start; "
    "128 and its number, stopped by a signal."
)
@click.option("--config", metavar="PATH", help="The perstack.toml to lock. [default: the nearest]")
@click.option(
    "--env-path",
    metavar="PATH",
    multiple=True,
    help="A .env file. Repeatable. [default: .env, .env.local]",
)
@click.option(
    "--env",
    metavar="NAME[=VALUE]",
    multiple=True,
    help="Set a variable for the skills, or demand that it is set. Repeatable.",
)
@click.option("--frozen", is_flag=True, help="Write nothing; fail where the lock would change.")
@debug_option
def install(
    config: str | None, env_path: tuple[str, ...], env: tuple[str, ...], frozen: bool
) -> int:
    """Write perstack.lock beside the perstack.toml: its Experts, and what their skills offer.

    Each MCP skill's server is started once and asked for its tools. Runs then show the
    model these tools and no others, and can do so before a server is up. Keep the file
    with your project.
    """
    import anyio

    from perstack.cli.hardening import hide_from_children
    from perstack.cli.interruption import code_unless_stopped
    from perstack.config.here import working_directory
    from perstack.config.request import Options
    from perstack.config.resolve import resolve

    hide_from_children()
    options = Options(config=config, env_path=env_path, env=env)
    request = resolve(options, working_directory(), os.environ)
    return anyio.run(code_unless_stopped, partial(_compare if frozen else _write, request))


async def _write(request: RunRequest) -> int:
    from perstack.assembly.install import survey
    from perstack.assembly.lock_file import write_lock
    from perstack.cli.starts import tell_start
    from perstack.config.source import shown_path

    _say(*(f"warning: {line}" for line in request.warnings))
    found = await survey(request, tell_start)
    is_new = write_lock(found.lock, found.path)
    _say(*(f"warning: {line}" for line in found.warnings))
    did = "Wrote" if is_new else "Nothing changed in"
    _say(f"{did} {shown_path(found.path)}: {_summary(found.lock)}")
    return 0


async def _compare(request: RunRequest) -> int:
    from perstack.assembly.install import place_of, survey
    from perstack.assembly.lock_changes import lock_changes
    from perstack.assembly.lock_file import read_lock
    from perstack.cli.starts import tell_start
    from perstack.config.source import shown_path
    from perstack.views.plain import plain

    _, path = place_of(request)
    _say(*(f"warning: {line}" for line in request.warnings))
    locked = read_lock(path)
    found = await survey(request, tell_start)
    _say(*(f"warning: {line}" for line in found.warnings))
    changes = lock_changes(locked, found.lock)
    if not changes:
        _say(f"{shown_path(path)} is up to date: {_summary(found.lock)}")
        return 0
    lines = (plain(line, one_line=True) for line in changes)
    _say(f"{shown_path(path)} is not up to date:", *(f"  {line}" for line in lines))
    _say("`perstack install` brings it up to date")
    return 1


def _summary(lock: Lockfile) -> str:
    """How much there is, for a person."""
    from perstack.views.plain import counted

    experts = lock.experts.values()
    tools = sum(len(each) for locked in experts for each in locked.tools.values())
    return f"{counted(len(experts), 'Expert')}, {counted(tools, 'tool')}"


def _say(*lines: str) -> None:
    """Words for a person, on stderr."""
    from perstack.views.plain import plain

    for line in lines:
        sys.stderr.write(f"{plain(line)}\n")
