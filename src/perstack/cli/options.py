"""The options that `run` has, as a table: flags, help, and the field of `Options` they fill."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

F = TypeVar("F", bound=Callable[..., object])

VALUES: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (("--config",), "PATH", "The perstack.toml to use: a file, or an https URL."),
    (
        ("--provider",),
        "NAME",
        "The model provider. [default: the first whose key is set, or anthropic]",
    ),
    (
        ("--model",),
        "NAME",
        "The model. [default: claude-sonnet-5-5 of anthropic, or the key's own]",
    ),
    (("--reasoning-budget",), "BUDGET", "none, minimal, low, medium, high, or a number of tokens."),
    (("--max-steps",), "N", "Steps that all runs of the job may take together. [default: 100]"),
    (("--max-retries",), "N", "Failed replies in a row before a run gives up. [default: 5]"),
    (("--timeout",), "MS", "Milliseconds for one generation. [default: 300000]"),
    (("--workspace",), "DIR", "The folder the Expert works in. [default: the current one]"),
    (("--runtime",), "NAME", "Where the Expert runs: local. [default: local]"),
    (("--job-id",), "ID", "The id of the new job."),
    (("--continue-job",), "ID", "Continue the job of this id."),
    (("--resume-from",), "CHECKPOINT", "Begin a new run at this checkpoint of the continued job."),
)
"""Options that take one value; each is checked where it is understood, not here."""

REPEATED: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (("--env-path",), "PATH", "A .env file. Repeatable. [default: .env, .env.local]"),
    (
        ("--env",),
        "NAME[=VALUE]",
        "Set a variable for this run, or demand that it is set. Repeatable.",
    ),
)
"""Options that may be given several times."""

FLAGS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (("--continue",), "continue_latest", "Continue the newest job of the workspace."),
    (
        ("-i", "--interactive-tool-call-result"),
        "interactive",
        "QUERY answers the tool call that waits: text for the first, or JSON {toolCallId, text}.",
    ),
    (("--verbose",), "verbose", "Tell on stderr what happens, in plain lines."),
)
"""Options without a value, and the parameter each fills."""


def chosen_options(*names: str) -> Callable[[F], F]:
    """Those of the options with values that bear these names, in this order."""
    by_name = {
        flags[0]: (flags, shown, text, is_repeated)
        for table, is_repeated in ((VALUES, False), (REPEATED, True))
        for flags, shown, text in table
    }

    def decorate(command: F) -> F:
        for name in reversed(names):
            flags, shown, text, is_repeated = by_name[name]
            command = click.option(*flags, metavar=shown, multiple=is_repeated, help=text)(command)
        return command

    return decorate


def shared_options(command: F) -> F:
    """`command` with every option above, in that order."""
    for flags, parameter, text in reversed(FLAGS):
        command = click.option(*flags, parameter, is_flag=True, help=text)(command)
    for flags, shown, text in reversed(REPEATED):
        command = click.option(*flags, metavar=shown, multiple=True, help=text)(command)
    for flags, shown, text in reversed(VALUES):
        command = click.option(*flags, metavar=shown, help=text)(command)
    return command


debug_option = click.option(
    "--debug", is_flag=True, expose_value=False, help="Show a traceback with an error."
)
"""What every command has; it is looked for where an error is told."""

document_option = click.option(
    "--json", "as_json", is_flag=True, help="One JSON document, for programs."
)

events_option = click.option(
    "--events",
    type=click.Choice(["lean", "full"]),
    default="lean",
    show_default=True,
    help="The form of the events on stdout.",
)
