"""`perstack testing`: what helps to test Experts without a model."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from perstack.cli.options import debug_option
from perstack.errors import ConfigurationError, UsageError

if TYPE_CHECKING:
    from typing import BinaryIO

    from perstack.testing.scenario import Scenario


@click.group()
def testing() -> None:
    """Test Experts without a model and without a key."""


@testing.command("serve-model")
@click.argument("scenario")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    help="The port on the loopback address. [default: a free one]",
)
@click.option("--log", metavar="FILE", help="Append one JSON line for each request.")
@debug_option
def serve_model(scenario: str, port: int, log: str | None) -> None:
    """Serve a model that says what SCENARIO has it say, until Ctrl-C.

    SCENARIO is a JSON file, or "-" for standard input. The first line on standard
    output is the server's URL; the variables that lead each provider to it come on
    standard error.
    """
    import anyio

    from perstack.testing.model_server import serve_until_killed

    told = _read(scenario)
    with contextlib.ExitStack() as opened:
        try:
            file: BinaryIO | None = opened.enter_context(Path(log).open("ab")) if log else None
        except OSError as problem:
            raise UsageError(f"--log {log}: {problem.strerror}") from problem
        try:
            anyio.run(serve_until_killed, told, file, port, _tell)
        except OSError as problem:
            raise UsageError(f"--port {port}: {problem.strerror or problem}") from problem


def _read(scenario: str) -> Scenario:
    import msgspec

    from perstack.testing.scenario import parse_scenario

    name = "standard input" if scenario == "-" else scenario
    try:
        data = sys.stdin.buffer.read() if scenario == "-" else Path(scenario).read_bytes()
    except OSError as problem:
        raise ConfigurationError(f"{name} cannot be read: {problem.strerror}") from problem
    try:
        return parse_scenario(data)
    except msgspec.MsgspecError as problem:
        raise ConfigurationError(f"{name} is no scenario: {problem}") from problem


def _tell(url: str) -> None:
    from perstack.testing.variables import variables_for

    click.echo(url)
    for name, value in variables_for(url).items():
        click.echo(f"export {name}={value}", err=True)
