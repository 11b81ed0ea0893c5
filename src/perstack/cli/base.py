"""`perstack base`: the base tools for any other program, over MCP."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from perstack.cli.options import debug_option
from perstack.errors import UsageError

if TYPE_CHECKING:
    from perstack.base.server import Calls


@click.command(
    epilog="Ends when the client closes standard input, with exit code 0; by a signal, with 128 "
    "and its number."
)
@click.option(
    "--workspace", metavar="DIR", help="The folder the tools work in. [default: the current one]"
)
@click.option("--pick", metavar="TOOL", multiple=True, help="Offer this tool. Repeatable.")
@click.option("--omit", metavar="TOOL", multiple=True, help="Leave this tool out. Repeatable.")
@debug_option
def base(workspace: str | None, pick: tuple[str, ...], omit: tuple[str, ...]) -> int:
    """Serve the base tools to an MCP client: messages on standard input and output.

    For a client's configuration, which starts this command by itself. All tools are
    offered, or with --pick only those, and without those of --omit.
    """
    import anyio

    from perstack.cli.hardening import hide_from_children
    from perstack.config.here import working_directory

    if workspace == "":
        raise UsageError("--workspace is empty")
    for option, names in (("--pick", pick), ("--omit", omit)):
        _check_tools(option, names)
    hide_from_children()
    try:
        from perstack.base.server import Calls
    except ImportError as missing:
        raise UsageError(
            f"perstack base needs the extra `mcp` ({missing}): pip install 'perstack[mcp]'"
        ) from missing
    calls = Calls(working_directory() / (workspace or ""), os.environ, pick, omit)
    if sys.stdin.isatty():
        sys.stderr.write("Waiting for an MCP client on standard input. Ctrl-D ends this.\n")
    return anyio.run(_serve, calls, *_taken_over())


async def _serve(calls: Calls, stdin: int, stdout: int) -> int:
    """Serve until the client or a signal ends it. The exit code."""
    import anyio

    from perstack.base.server import serve
    from perstack.cli.interruption import cancel_at_signal

    caught: list[int] = []
    async with anyio.create_task_group() as tasks:
        await tasks.start(cancel_at_signal, tasks.cancel_scope, caught)
        await serve(calls, stdin, stdout)
        tasks.cancel_scope.cancel()
    return 128 + caught[0] if caught else 0


def _taken_over() -> tuple[int, int]:
    """The client's two descriptors, where nothing that prints or reads can come upon them.

    In their places stand nothing to read, and standard error.
    """
    stdin, stdout = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return stdin, stdout


def _check_tools(option: str, names: tuple[str, ...]) -> None:
    from perstack.config.findings import did_you_mean, quoted
    from perstack.schema.tool import BASE_TOOLS

    for name in names:
        if name not in BASE_TOOLS:
            hint = did_you_mean(name, BASE_TOOLS)
            raise UsageError(f"{option}: there is no base tool {quoted(name)}{hint}")
