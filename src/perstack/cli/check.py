"""`perstack check`: whether a `perstack.toml` is right, told by what a run reads it with."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from perstack.cli.options import chosen_options, debug_option, document_option

if TYPE_CHECKING:
    from perstack.schema.config_report import ConfigReport


@click.command(
    epilog="Exit codes: 0 nothing is wrong, though there may be warnings; 2 a problem, or usage."
)
@click.argument("expert", required=False)
@chosen_options("--config")
@document_option
@debug_option
def check(expert: str | None, config: str | None, *, as_json: bool) -> int:
    """Check perstack.toml, with the delegates of EXPERT or of every Expert.

    The file is read by what a run reads it with, and each delegate is looked up. Every
    problem and every warning is a line of its own. No skill is started, no model is asked,
    and no key is needed.
    """
    from perstack.assembly.check import check_config
    from perstack.config.here import working_directory
    from perstack.config.request import Options

    report = check_config(Options(expert_key=expert, config=config), working_directory())
    _print(report, as_json=as_json)
    return 0 if report.is_clean else 2


def _print(report: ConfigReport, *, as_json: bool) -> None:
    if as_json:
        from perstack.cli.printing import Printer

        Printer().document(report)
        return
    from perstack.views.plain import plain

    lines = [*report.problems, *(f"warning: {line}" for line in report.warnings)]
    if report.is_clean:
        looked = f": {', '.join(report.experts)}" if report.experts else ""
        lines.append(f"{report.config} is right{looked}")
    for line in lines:
        sys.stderr.write(f"{plain(line, one_line=True)}\n")
