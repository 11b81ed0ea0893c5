"""The command line: a table of commands with their help, each loaded when it is called."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NoReturn

from perstack._version import __version__
from perstack.errors import PerstackError, cause_of

if TYPE_CHECKING:
    import click

COMMANDS = {
    "run": ("perstack.cli.run:run", "Run an Expert; its events come on stdout, one JSON a line."),
    "start": (
        "perstack.cli.start:start",
        "Work with an Expert in the terminal; without one, the same as run.",
    ),
    "init": ("perstack.cli.init:init", "Write a project with one Expert into this folder."),
    "check": ("perstack.cli.check:check", "Check perstack.toml, and that every delegate is there."),
    "log": ("perstack.cli.log:log", "Show what happened in a job."),
    "jobs": ("perstack.cli.jobs:jobs", "List the jobs of a workspace, or remove old ones."),
    "install": (
        "perstack.cli.install:install",
        "Lock the Experts of a project, and the tools their skills offer.",
    ),
    "skills": ("perstack.cli.skills:skills", "Show an Expert's tools, and what is in their way."),
    "doctor": (
        "perstack.cli.doctor:doctor",
        "Show which model a run would ask, and what is in its way.",
    ),
    "base": ("perstack.cli.base:base", "Serve the base tools to any MCP client."),
    "schema": ("perstack.cli.schema:schema", "Print the JSON Schema of all events."),
    "testing": ("perstack.cli.testing:testing", "Serve scripted models, to test Experts."),
}
"""Command name to "module:attribute" and its line in `perstack --help`."""

ABOUT = (
    "Define Experts once in perstack.toml, and run them anywhere. "
    "Events come on stdout; everything for people goes to stderr."
)


def main() -> NoReturn:
    """The entry point of `perstack`. Exits with the documented code."""
    _open_standard_streams()
    code = run_command(sys.argv[1:])
    try:
        sys.stderr.flush()
    except OSError:  # nobody reads our words any more, which is no reason for another exit code
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    sys.exit(code)


def _open_standard_streams() -> None:
    """Lead closed standard streams to nowhere: no file of ours may come to stand in their place.

    Without a standard output there is nothing to run for, and this exits.
    """
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
    sys.stdin = sys.stdin or os.fdopen(0)
    sys.stderr = sys.stderr or os.fdopen(2, "w")
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison] - when it was closed
        sys.stderr.write("perstack: standard output is closed: lead it to a file or /dev/null\n")
        sys.exit(2)


def run_command(args: list[str]) -> int:
    """Run one command line; its exit code. What went wrong is one message on stderr."""
    if args == ["--version"]:
        sys.stdout.write(f"perstack {__version__}\n")
        return 0
    import click

    from perstack.cli.commands import group

    try:
        result = group(COMMANDS, ABOUT).main(args, prog_name="perstack", standalone_mode=False)
    except click.ClickException as problem:
        return _say(problem)
    except click.Abort:
        return 130
    except (PerstackError, ExceptionGroup) as problem:
        return _report(problem, with_traceback="--debug" in args)
    return result if isinstance(result, int) else 0


def _say(problem: click.ClickException) -> int:
    """What click has to say; it repeats words of the command line."""
    from io import StringIO

    from perstack.views.plain import plain

    words = StringIO()
    problem.show(words)
    sys.stderr.write(plain(words.getvalue()))
    return problem.exit_code


def _report(problem: Exception, *, with_traceback: bool) -> int:
    """One message for what is the user's to mend; a traceback only for a fault of ours."""
    from perstack.views.plain import plain

    cause = cause_of(problem)
    if not isinstance(cause, PerstackError):
        raise problem
    sys.stderr.write(f"perstack: {plain(cause.message)}\n")
    if with_traceback:
        import traceback

        traceback.print_exception(problem)
    return cause.exit_code
