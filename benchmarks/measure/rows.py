"""The rows of the table, each a function from a Bench to its figures."""

from __future__ import annotations

from collections.abc import Callable

from .bench import Bench
from .cold_starts import cold_starts
from .delegation import delegates
from .figures import Figure
from .locked_skills import locked_skills
from .long_logs import long_logs
from .long_runs import resuming, steps
from .many_jobs import many_jobs
from .recording import recording
from .short_runs import one_reply, starts
from .skills import calls, many_servers, three_servers
from .watched import deltas, first_paint, watched_steps
from .wires import requests

ROWS: dict[int, Callable[[Bench], list[Figure]]] = {
    1: one_reply,
    2: starts,
    3: steps,
    4: delegates,
    5: recording,
    6: resuming,
    7: many_jobs,
    8: requests,
    9: cold_starts,
    10: locked_skills,
    11: three_servers,
    12: calls,
    13: many_servers,
    14: long_logs,
    15: first_paint,
    16: deltas,
    17: watched_steps,
}
