"""`perstack start`: one Expert in the terminal; without a terminal, `perstack run`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Unpack

import click

from perstack.cli.options import debug_option, events_option, shared_options
from perstack.cli.run import Given, read_query, run_headless
from perstack.errors import UsageError

if TYPE_CHECKING:
    from perstack.views.wire import Form


@click.command(
    epilog=(
        "Without a terminal on all three standard streams it is `perstack run`, with its events "
        "and exit codes. In a terminal: 0 when a person quits; 2 usage or configuration; "
        "128 and its number, stopped by a signal."
    )
)
@click.argument("expert", required=False)
@click.argument("query", required=False)
@shared_options
@events_option
@debug_option
def start(expert: str | None, query: str | None, events: Form, **given: Unpack[Given]) -> int:
    """Work with EXPERT in the terminal, beginning with QUERY.

    Without EXPERT there is a list of Experts to pick from, and of jobs to go on with;
    without QUERY, the first line that is typed is the query.
    """
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        if expert is None:
            raise UsageError("EXPERT is missing: without a terminal there is nobody to pick one")
        return run_headless(expert, query, events, given)

    import anyio

    from perstack.cli.hardening import hide_from_children
    from perstack.cli.wanted import Wanted
    from perstack.cli.workbench import work
    from perstack.config.here import working_directory
    from perstack.config.request import Options

    hide_from_children()
    options = Options(expert_key=expert, query=read_query(query), **given)
    return anyio.run(work, Wanted(options, working_directory(), os.environ))
