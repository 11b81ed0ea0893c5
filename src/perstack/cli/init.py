"""`perstack init`: a project in the folder one stands in."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from perstack.cli.options import debug_option

if TYPE_CHECKING:
    from perstack.config.starting_model import StartingModel


@click.command(
    epilog="Exit codes: 0 all files are there; 1 one could not be written, or the perstack.toml "
    "that was there has no Expert NAME; 2 usage or configuration."
)
@click.argument("name", required=False)
@debug_option
def init(name: str | None) -> int:
    """Write a project here: perstack.toml with one Expert, .env.example, .gitignore, AGENTS.md.

    NAME is the Expert's, by default that of this folder. The provider is the first that a
    key is set for. A file that is there is kept as it is.
    """
    from perstack.assembly.new_project import expert_name, write_project
    from perstack.config.dotenv import load_env
    from perstack.config.here import working_directory
    from perstack.config.load import FILE_NAME
    from perstack.config.resolve import DEFAULT_ENV_PATHS
    from perstack.config.starting_model import starting_model

    folder = working_directory()
    expert = expert_name(name, folder)
    start = starting_model(load_env([folder / path for path in DEFAULT_ENV_PATHS], os.environ))
    is_new, code = False, 0
    for written in write_project(folder, expert, start, is_asked=name is not None):
        did = "kept" if written.is_kept else "wrote"
        _say(f"{did} {written.name}{f': {written.note}' if written.note else ''}")
        if written.name == FILE_NAME:
            is_new, code = not written.is_kept, 1 if written.note else 0
    if is_new:
        _say(*_next_steps(expert, start))
    return code


def _next_steps(expert: str, start: StartingModel | None) -> list[str]:
    run = f'  perstack start {expert} "What is in this folder?"'
    if start is not None:
        return [f"{start.variable} is set: the provider is {start.provider}. Next:", run]
    return [
        "No key of a model's provider is set. Next:",
        "  cp .env.example .env       and fill in a key",
        "  perstack doctor            says what a run would use",
        run,
    ]


def _say(*lines: str) -> None:
    """Words for a person, on stderr."""
    from perstack.views.plain import plain

    for line in lines:
        sys.stderr.write(f"{plain(line)}\n")
