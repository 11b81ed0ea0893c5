"""Who asked whom, as a tree for a person."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from perstack.views.cost import cost_text
from perstack.views.log.paint import Paint, Style
from perstack.views.log.tally import RunTally, below
from perstack.views.log.words import duration, tokens
from perstack.views.plain import counted, plain

NAME_LIMIT = 80
QUERY_LIMIT = 100

STATUS_STYLES: dict[str, Style] = {
    "completed": "good",
    "stoppedByError": "bad",
    "stoppedByExceededMaxSteps": "bad",
    "stoppedByMaxSteps": "bad",
    "stoppedByInteractiveTool": "odd",
    "interrupted": "odd",
}


def tree_lines(runs: Iterable[RunTally], paint: Paint) -> Iterator[str]:
    """Each run above those of its delegates: what it took, what it was asked, why it failed.

    Safe to print. A time is from a run's first event to its last, its waits included.
    """
    tree = {parent: list(children) for parent, children in below(runs).items()}
    waiting = [(run, "", "") for run in reversed(tree.pop(None, []))]
    while waiting:
        run, begin, indent = waiting.pop()
        children = tree.pop(run.run_id, [])
        yield f"{paint(begin, 'dim')}{_head(run, paint)}"
        stem = "│  " if children else "   "
        for line in _about(run, paint):
            yield f"{paint(indent + stem, 'dim')}{line}"
        for place, child in enumerate(reversed(children)):
            is_last = place == 0
            waiting.append(
                (
                    child,
                    f"{indent}{'└─ ' if is_last else '├─ '}",
                    f"{indent}{'   ' if is_last else '│  '}",
                )
            )


def _head(run: RunTally, paint: Paint) -> str:
    status = paint(run.status, STATUS_STYLES.get(run.status, "plain"))
    took = duration(run.finished_at - run.started_at)
    name = paint(plain(run.expert_key or "?", NAME_LIMIT, one_line=True), "bold")
    run_id = paint(f"run {plain(run.run_id, NAME_LIMIT, one_line=True)}", "dim")
    cost = cost_text(run.cost)
    what = [counted(run.steps, "step"), counted(run.calls, "call"), took, tokens(run.usage)]
    return f"{name} {status}: {', '.join([*what, *([cost] if cost else []), run_id])}"


def _about(run: RunTally, paint: Paint) -> Iterator[str]:
    if run.query:
        yield plain(" ".join(run.query[:1000].split()), QUERY_LIMIT, one_line=True)
    if run.error:
        yield paint(plain(run.error, QUERY_LIMIT, one_line=True), "bad")
