"""A job's summary in a few lines for a person."""

from __future__ import annotations

from perstack.schema.usage import Usage
from perstack.views.cost import Cost, cost_text
from perstack.views.plain import counted, plain
from perstack.views.summary import RunSummary, Summary, ToolSummary

TEXT_LIMIT = 2000
"""Characters of the result."""

LINE_LIMIT = 100
"""Characters of a name, a query or an error."""


def text_of(summary: Summary) -> str:
    """A few lines for a person, safe to print. No line end at the end."""
    lines = [
        f"Job {plain(summary.job_id, LINE_LIMIT, one_line=True)}: {summary.status}",
        ", ".join(
            (
                counted(summary.steps, "step"),
                counted(summary.retries, "retry", "retries"),
                _seconds(summary.started_at, summary.finished_at),
                _tokens(summary.usage),
                *_cost(summary.cost),
            )
        ),
        "",
        "Runs",
        *_run_lines(summary),
    ]
    if summary.tools:
        lines += ["", "Tools", *(_tool_line(tool) for tool in summary.tools)]
    if summary.text:
        lines += ["", "Result", plain(summary.text, TEXT_LIMIT)]
    return "\n".join(lines)


def _run_lines(summary: Summary) -> list[str]:
    """The runs as a tree, each above the runs of its delegates."""
    known = {run.run_id for run in summary.runs}
    below: dict[str | None, list[RunSummary]] = {}
    for run in summary.runs:
        parent = run.delegated_by if run.delegated_by in known else None
        below.setdefault(parent, []).append(run)
    lines: list[str] = []
    waiting = [(run, 1) for run in reversed(below.get(None, []))]
    while waiting:
        run, depth = waiting.pop()
        lines += _lines_of_run(run, "  " * depth)
        waiting += [(child, depth + 1) for child in reversed(below.pop(run.run_id, []))]
    return lines


def _lines_of_run(run: RunSummary, indent: str) -> list[str]:
    counts = (
        counted(run.steps, "step"),
        counted(run.tool_calls, "call"),
        _seconds(run.started_at, run.finished_at),
        _tokens(run.usage),
        *_cost(run.cost),
    )
    who = f"{indent}{_line(run.expert_key)} ({_line(run.run_id)})"
    head = f"{who}: {', '.join([run.status, *counts])}"
    lines = [head]
    if run.query:
        lines.append(f"{indent}  query: {_line(run.query)}")
    if run.error is not None:
        lines.append(f"{indent}  error: {_line(f'{run.error.name}: {run.error.message}')}")
    return lines


def _tool_line(tool: ToolSummary) -> str:
    errors = f", {counted(tool.errors, 'error')}" if tool.errors else ""
    name = _line(f"{tool.skill_name} {tool.tool_name}")
    return f"  {name}: {counted(tool.calls, 'call')}{errors}, {tool.duration_ms / 1000:.1f} s"


def _line(text: str) -> str:
    return plain(text, LINE_LIMIT, one_line=True)


def _seconds(started_at: int, finished_at: int) -> str:
    return f"{(finished_at - started_at) / 1000:.1f} s"


def _cost(cost: Cost | None) -> tuple[str, ...]:
    told = cost_text(cost) if cost is not None else ""
    return (told,) if told else ()


def _tokens(usage: Usage) -> str:
    return f"{usage.input_tokens} tokens in, {usage.output_tokens} out"
