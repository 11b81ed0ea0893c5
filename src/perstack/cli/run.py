"""`perstack run`: one Expert, headless. Events on stdout, words on stderr."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, TypedDict, Unpack

import click

from perstack.cli.options import debug_option, events_option, shared_options
from perstack.errors import UsageError

if TYPE_CHECKING:
    from perstack.config.request import Options
    from perstack.views.wire import Form

MAX_QUERY_BYTES = 1 << 20


REPEATED_LATER = (
    "config",
    "workspace",
    "provider",
    "model",
    "reasoning_budget",
    "max_retries",
    "timeout",
)
"""Options that a command which goes on needs as well. A job keeps its step limit by itself."""


class Given(TypedDict):
    """What click hands over of the shared options."""

    config: str | None
    provider: str | None
    model: str | None
    reasoning_budget: str | None
    max_steps: str | None
    max_retries: str | None
    timeout: str | None
    workspace: str | None
    runtime: str | None
    job_id: str | None
    continue_job: str | None
    resume_from: str | None
    env_path: tuple[str, ...]
    env: tuple[str, ...]
    continue_latest: bool
    interactive: bool
    verbose: bool


@click.command(
    epilog=(
        "Exit codes: 0 completed, or waiting for an answer; 1 stopped by an error; "
        "2 usage or configuration; 3 step limit; 128 and its number, stopped by a signal."
    )
)
@click.argument("expert")
@click.argument("query", required=False)
@shared_options
@events_option
@debug_option
def run(expert: str, query: str | None, events: Form, **given: Unpack[Given]) -> int:
    """Run EXPERT with QUERY until it has a result, or waits for an answer.

    QUERY "-" is read from standard input.
    """
    return run_headless(expert, query, events, given)


def run_headless(expert: str, query: str | None, events: Form, given: Given) -> int:
    """Everything that `perstack run` does with what click understood."""
    import anyio

    from perstack.cli.hardening import hide_from_children
    from perstack.cli.session import run_session
    from perstack.config.here import working_directory
    from perstack.config.request import Options
    from perstack.config.resolve import resolve

    hide_from_children()
    options = Options(expert_key=expert, query=read_query(query), requires_query=True, **given)
    request = resolve(options, working_directory(), os.environ)
    return anyio.run(run_session, request, events, repeated(options))


def repeated(options: Options) -> tuple[str, ...]:
    """The options that a later command needs as well, as they were typed."""
    words: list[str] = []
    for name in REPEATED_LATER:
        value: str | None = getattr(options, name)
        if value is not None:
            words += [f"--{name.replace('_', '-')}", value]
    for path in options.env_path:
        words += ["--env-path", path]
    return tuple(words)


def read_query(query: str | None) -> str | None:
    """The query itself; for "-", what standard input holds."""
    if query != "-":
        return query
    data = sys.stdin.buffer.read(MAX_QUERY_BYTES + 1)
    if len(data) > MAX_QUERY_BYTES:
        raise UsageError(f"The query on standard input is longer than {MAX_QUERY_BYTES} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError as problem:
        raise UsageError(f"The query on standard input is not UTF-8: {problem}") from None
