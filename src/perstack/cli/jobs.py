"""`perstack jobs`: which jobs there are, and an end to old ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from perstack.cli.options import chosen_options, debug_option

if TYPE_CHECKING:
    from perstack.cli.printing import Printer


@click.group(
    invoke_without_command=True,
    epilog="Exit codes: 0 listed; 1 a job cannot be read; 2 usage or configuration.",
)
@click.option(
    "--take",
    metavar="N",
    type=click.IntRange(0),
    default=100,
    show_default=True,
    help="The newest N; 0 for all.",
)
@click.option("--json", "as_json", is_flag=True, help="JSON, one job a line.")
@chosen_options("--config", "--workspace", "--env-path")
@debug_option
@click.pass_context
def jobs(
    context: click.Context,
    take: int,
    config: str | None,
    workspace: str | None,
    env_path: tuple[str, ...],
    *,
    as_json: bool,
) -> int:
    """List the jobs of a workspace, the one that began last first.

    `interrupted` is a job that was cut short, by a kill or a power cut: `perstack run
    EXPERT --continue-job ID` carries it on.
    """
    if context.invoked_subcommand is not None:
        return 0
    from perstack.cli.printing import Printer

    printer = Printer()
    return printer.shown(lambda: _list(printer, take, config, workspace, env_path, as_json=as_json))


def _list(
    printer: Printer,
    take: int,
    config: str | None,
    workspace: str | None,
    env_path: tuple[str, ...],
    *,
    as_json: bool,
) -> int:
    from perstack.assembly.job_listing import job_entry
    from perstack.assembly.place import jobs_place
    from perstack.schema.line import json_line
    from perstack.storage.listing import kept_jobs
    from perstack.views.log.job_table import table_lines
    from perstack.views.plain import counted

    root = jobs_place(config, workspace, env_path)
    found = kept_jobs(root)
    entries = [job_entry(root, job, printer.tell) for job in found[: take or None]]
    if as_json:
        for entry in entries:
            printer.json(json_line(entry.record))
    elif entries:
        printer.lines(table_lines(entries, printer.paint))
    else:
        printer.tell(f"There is no job in {root}.")
    if take and len(found) > take:
        left = len(found) - take
        verb = "is" if left == 1 else "are"
        printer.tell(f"{counted(left, 'older job')} {verb} left out; --take 0 lists all.")
    return 0


@jobs.command()
@click.option(
    "--older-than",
    metavar="AGE",
    required=True,
    help="Those whose last event is older: 90m, 12h, 30d, 4w.",
)
@click.option("--dry-run", is_flag=True, help="Remove nothing; say what would be removed.")
@chosen_options("--config", "--workspace", "--env-path")
@debug_option
def prune(
    older_than: str,
    config: str | None,
    workspace: str | None,
    env_path: tuple[str, ...],
    *,
    dry_run: bool,
) -> int:
    """Remove old jobs, each as a whole, and say which. One that somebody works on stays."""
    from perstack.assembly.job_listing import job_entry
    from perstack.assembly.place import jobs_place
    from perstack.assembly.pruning import parse_age, prune
    from perstack.cli.printing import Printer
    from perstack.runtime.environment import now_ms
    from perstack.views.log.job_table import pruned_lines

    printer = Printer()
    age = parse_age(older_than)
    root = jobs_place(config, workspace, env_path)
    pruned = prune(
        root, now_ms() - age, lambda job: job_entry(root, job, printer.tell), dry_run=dry_run
    )

    def show() -> int:
        printer.lines(pruned_lines(pruned, dry_run=dry_run))
        return 0

    return printer.shown(show)
