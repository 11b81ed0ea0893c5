"""`perstack log`: what happened in a job."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict, Unpack

import click

from perstack.cli.options import chosen_options, debug_option
from perstack.errors import UsageError

if TYPE_CHECKING:
    from perstack.assembly.job_events import Wanted
    from perstack.cli.printing import Printer
    from perstack.storage.job_log import JobLog


class Given(TypedDict):
    """What click hands over."""

    job: str | None
    run: str | None
    checkpoint: str | None
    step: str | None
    type: tuple[str, ...]
    errors: bool
    tools: bool
    delegations: bool
    filter: str | None
    context: int
    take: int
    offset: int | None
    summary: bool
    messages: bool
    follow: bool
    json: bool
    pretty: bool
    verbose: bool
    config: str | None
    workspace: str | None
    env_path: tuple[str, ...]


@click.command(
    epilog="Exit codes: 0 shown; 1 a log is damaged, or cannot be read; 2 usage or configuration; "
    "130 stopped by Ctrl-C."
)
@click.option("--job", metavar="ID", help="The job. [default: the one that began last]")
@click.option("--run", metavar="ID", help="Only this run of the job.")
@click.option("--checkpoint", metavar="ID", help="Only from its opening event to its closing one.")
@click.option("--step", metavar="STEPS", help="Only these steps: 5, >5, >=5, <5, <=5, or 1-10.")
@click.option("--type", metavar="TYPE", multiple=True, help="Only events of this type. Repeatable.")
@click.option("--errors", is_flag=True, help="Only what failed: runs, replies, calls, servers.")
@click.option("--tools", is_flag=True, help="Only calls of tools and their answers.")
@click.option("--delegations", is_flag=True, help="Who asked whom, as a tree with durations.")
@click.option(
    "--filter", metavar="EXPR", help="""Only what fits: '.stepNumber > 5 and .type == "retry"'."""
)
@click.option(
    "--context",
    metavar="N",
    type=click.IntRange(0, 10_000),
    default=0,
    help="Show N events before and after each as well.",
)
@click.option(
    "--take",
    metavar="N",
    type=click.IntRange(0),
    default=100,
    show_default=True,
    help="The newest N; with --offset, N from there; 0 for all.",
)
@click.option(
    "--offset", metavar="N", type=click.IntRange(0), help="Leave out the first N, and count on."
)
@click.option("--summary", is_flag=True, help="The job at a glance: runs, tools, result.")
@click.option("--messages", is_flag=True, help="The conversation, up to the checkpoint if given.")
@click.option("--follow", is_flag=True, help="Go on as the job does, until it comes to rest.")
@click.option("--json", is_flag=True, help="JSON, one event a line, as `run` prints them.")
@click.option("--pretty", is_flag=True, help="With --json: indented.")
@click.option("--verbose", is_flag=True, help="Every event, with its id, and whole texts.")
@chosen_options("--config", "--workspace", "--env-path")
@debug_option
def log(**given: Unpack[Given]) -> int:
    """Show what happened in a job: by default the newest 100 events of the newest job.

    Reading takes no lock, so that it works beside a run.
    """
    from perstack.cli.printing import Printer

    _check(given)
    printer = Printer(is_pretty=given["pretty"])
    return printer.shown(lambda: _show(given, printer))


def _check(given: Given) -> None:
    """Which options go together."""
    if given["pretty"] and not given["json"]:
        raise UsageError("--pretty indents JSON; it goes with --json")
    if given["summary"] and given["messages"]:
        raise UsageError("--summary and --messages exclude each other; give one of them")
    if given["follow"]:
        for name in ("summary", "messages", "checkpoint", "offset", "context"):
            if given[name] not in (None, False, 0):
                raise UsageError(
                    f"--follow shows events as they come; --{name} does not go with it"
                )


def _show(given: Given, printer: Printer) -> int:
    """What is asked for. The exit code."""
    from perstack.assembly.place import job_named, jobs_place
    from perstack.cli.log_forms import Shown
    from perstack.storage.job_log import JobLog

    root = jobs_place(given["config"], given["workspace"], given["env_path"])
    job = job_named(root, given["job"])
    past = JobLog(root, job.id, printer.tell)
    wanted = _wanted(given, past)
    shown = Shown(job, past, wanted, printer)
    if given["summary"]:
        shown.summary()
    elif given["messages"]:
        shown.messages(given["checkpoint"])
    elif _is_tree(given):
        shown.tree()
    else:
        shown.events(is_whole=given["verbose"], follows=given["follow"])
    shown.tell_of_torn()
    return 1 if past.is_damaged else 0


def _is_tree(given: Given) -> bool:
    """Whether nothing is asked for but who asked whom."""
    others = ("type", "step", "errors", "tools", "filter", "context", "checkpoint", "offset")
    forms = ("json", "verbose", "follow")
    return given["delegations"] and not any(given[name] for name in (*others, *forms))


def _wanted(given: Given, past: JobLog) -> Wanted:
    """The options, understood."""
    from perstack.assembly.job_events import Wanted, span_of
    from perstack.config.findings import did_you_mean, quoted
    from perstack.schema.keys import checked_id
    from perstack.views.log.filter import parse_filter
    from perstack.views.log.selection import EVENT_TYPES, Selection
    from perstack.views.log.steps import parse_steps

    for name in given["type"]:
        if name not in EVENT_TYPES:
            hint = did_you_mean(name, EVENT_TYPES)
            raise UsageError(f"--type: no event in a log is {quoted(name)}{hint}")
    run_ids = None
    if given["run"] is not None:
        if checked_id(given["run"], "run id (--run)") not in past.runs:
            raise UsageError(f"--run: job {past.job_id} has no run {given['run']}")
        run_ids = (given["run"],)
    step = None if given["step"] is None else parse_steps(given["step"])
    where = None if given["filter"] is None else parse_filter(given["filter"])
    span = None
    if given["checkpoint"] is not None:
        checkpoint_id = checked_id(given["checkpoint"], "checkpoint id (--checkpoint)")
        span = span_of(past, checkpoint_id, run_ids or past.runs)
        run_ids = (span.run_id,)
    return Wanted(
        run_ids=run_ids,
        span=span,
        selection=Selection(
            types=frozenset(given["type"]),
            step=step,
            errors=given["errors"],
            tools=given["tools"],
            delegations=given["delegations"],
        ),
        where=where,
        has_all=given["json"] or given["verbose"] or bool(given["type"]) or given["delegations"],
        context=given["context"],
        take=given["take"] or None,
        offset=given["offset"],
        is_lean=given["json"],
    )
