"""`perstack skills`: what Experts are offered, and what keeps a skill from working."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

import click

from perstack.cli.options import chosen_options, debug_option, document_option

if TYPE_CHECKING:
    from perstack.config.request import RunRequest
    from perstack.schema.inventory import Inventory


@click.command(
    epilog="Exit codes: 0 all skills work; 1 one does not; 2 usage or configuration; 128 and its "
    "number, stopped by a signal."
)
@click.argument("expert", required=False)
@chosen_options("--config", "--workspace", "--provider", "--env-path", "--env")
@document_option
@debug_option
def skills(
    expert: str | None,
    config: str | None,
    workspace: str | None,
    provider: str | None,
    env_path: tuple[str, ...],
    env: tuple[str, ...],
    *,
    as_json: bool,
) -> int:
    """Show the tools of EXPERT, or of every Expert in perstack.toml.

    Each skill's server is started as a run would start it, asked for its tools, and
    ended. No model is asked. For each skill: its tools under the names that the model
    gets, what was left out and why, how long the start took, and what is in the way
    of one that does not work.
    """
    import anyio

    from perstack.cli.hardening import hide_from_children
    from perstack.cli.interruption import code_unless_stopped
    from perstack.config.here import working_directory
    from perstack.config.request import Options
    from perstack.config.resolve import resolve

    hide_from_children()
    options = Options(
        expert_key=expert,
        config=config,
        workspace=workspace,
        provider=provider,
        env_path=env_path,
        env=env,
    )
    request = resolve(options, working_directory(), os.environ)
    return anyio.run(code_unless_stopped, partial(_show, request, as_json))


async def _show(request: RunRequest, as_json: bool) -> int:
    from perstack.assembly.inventory import take_inventory
    from perstack.cli.starts import tell_start

    inventory = await take_inventory(request, tell_start)
    _print(inventory, as_json=as_json)
    return 0 if inventory.is_working else 1


def _print(inventory: Inventory, *, as_json: bool) -> None:
    from perstack.cli.printing import Printer

    printer = Printer()
    if as_json:
        printer.document(inventory)
        return
    from perstack.views.inventory_text import inventory_text
    from perstack.views.plain import plain

    for warning in inventory.warnings:
        click.echo(plain(f"warning: {warning}"), err=True)
    printer.lines([inventory_text(inventory, printer.width)])
