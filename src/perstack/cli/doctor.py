"""`perstack doctor`: how a run would be resolved here, and what is in its way."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from perstack.cli.options import chosen_options, debug_option, document_option

if TYPE_CHECKING:
    from perstack.schema.diagnosis import Diagnosis


@click.command(
    epilog="Exit codes: 0 nothing stands in the way of a run; 1 something does; 2 usage."
)
@chosen_options("--config", "--workspace", "--provider", "--model", "--env-path", "--env")
@document_option
@debug_option
def doctor(
    config: str | None,
    workspace: str | None,
    provider: str | None,
    model: str | None,
    env_path: tuple[str, ...],
    env: tuple[str, ...],
    *,
    as_json: bool,
) -> int:
    """Show which model a run here would ask and why, and what else it would find.

    Keys by their names, Experts and what they lack, the lock, where things are kept, model
    servers on this machine, programs, Docker, and what could fence in commands. For each
    problem what to do.
    No model is asked, no skill is started, and nothing is changed.
    """
    import anyio

    from perstack.assembly.doctor import Survey, diagnose
    from perstack.cli.hardening import hide_from_children
    from perstack.config.here import working_directory
    from perstack.config.request import Options

    hide_from_children()
    options = Options(
        config=config,
        workspace=workspace,
        provider=provider,
        model=model,
        env_path=env_path,
        env=env,
    )
    diagnosis = anyio.run(diagnose, Survey(options, working_directory(), os.environ))
    _print(diagnosis, as_json=as_json)
    return 0 if diagnosis.is_ready else 1


def _print(diagnosis: Diagnosis, *, as_json: bool) -> None:
    from perstack.cli.printing import Printer

    printer = Printer()
    if as_json:
        printer.document(diagnosis)
        return
    from perstack.views.diagnosis_text import diagnosis_text

    printer.lines([diagnosis_text(diagnosis)])
