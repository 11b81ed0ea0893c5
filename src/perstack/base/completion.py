"""attemptCompletion, healthCheck: the two tools that take nothing."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from perstack.base.answer import answer, printable
from perstack.base.todo import remaining_todos

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perstack.base.paths import Workspace
    from perstack.schema.tool import Todo, ToolOutput


async def attempt_completion(todos: Sequence[Todo]) -> ToolOutput:
    """`{}` when nothing is left to do, else the open todos."""
    remaining = remaining_todos(todos)
    return answer({"remainingTodos": remaining} if remaining else {})


async def health_check(workspace: Workspace, uptime: float) -> ToolOutput:
    """That the tools work, where, for how long (seconds), and in how much memory."""
    now, peak = _memory()
    return answer(
        {
            "status": "ok",
            "workspace": printable(workspace.root),
            "uptime": f"{int(uptime)}s",
            "memory": {"heapUsed": _megabytes(now), "heapTotal": _megabytes(peak)},
            "pid": os.getpid(),
        }
    )


def _memory() -> tuple[int, int]:
    """Bytes resident now, and at the peak."""
    from resource import RUSAGE_SELF, getrusage

    unit = 1 if sys.platform == "darwin" else 1024
    peak = getrusage(RUSAGE_SELF).ru_maxrss * unit
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return peak, peak
    now = pages * os.sysconf("SC_PAGE_SIZE")
    return now, max(now, peak)


def _megabytes(count: int) -> str:
    return f"{count // (1024 * 1024)}MB"
