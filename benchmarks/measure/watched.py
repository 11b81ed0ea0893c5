"""Rows 15 to 17: what it takes to watch a job in the terminal, and whether the screen keeps up."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from .bench import BOUND_DELTAS, BOUND_STEPS, Bench
from .delta_server import LAST_WORD
from .figures import Figure
from .processes import Failed, Spent, environment
from .screens import QUIT, Screen, screen
from .worlds import HERE, model_server, moments, reading, workspace

RATE = 5000
"""Deltas a second."""

TEXTS = {
    "pages": "text of all kinds",
    "reasoning": "reasoning",
    "paragraph": "one paragraph",
    "fence": "one block of code",
    "list": "one list",
    "table": "one table",
}
"""What the deltas are of; see `delta_server`."""

LATENCY_MS = 50
"""Of each reply in a long job: no model is faster, and the screen is to keep up."""


def first_paint(bench: Bench) -> list[Figure]:
    """From the start of `perstack start` until a person can type."""
    taken: list[Spent] = []
    for _number in range(bench.runs + 1):
        with screen(workspace(bench.folder()), "", "start", "tic-tac-toe") as shown:
            shown.drawn_at("what to do")
            taken.append(shown.spent(signal.SIGKILL))
    taken = taken[1:]
    name = "`start`, until it can be typed into"
    return [
        Figure(15, name, "cpu", tuple(each.cpu for each in taken), bound=0.4),
        Figure(15, f"{name}: peak memory", "memory", tuple(each.memory for each in taken)),
    ]


def deltas(bench: Bench) -> list[Figure]:
    """How far the screen is behind at the end of a long reply, and what showing it takes."""
    figures: list[Figure] = []
    for kind, what in TEXTS.items():
        watched = [_watched(bench, kind) for _number in range(max(1, bench.runs // 5))]
        name = f"{bench.deltas:,} deltas, {RATE:,} a second, {what}"
        late = tuple(lag for lag, _ in watched)
        figures += [
            Figure(
                16,
                f"{name}: the last one drawn after",
                "s",
                late,
                bound=0.5,
                has_bound_size=bench.deltas == BOUND_DELTAS,
            ),
            Figure(16, name, "cpu", tuple(cost.cpu for _, cost in watched)),
            Figure(16, f"{name}: peak memory", "memory", tuple(cost.memory for _, cost in watched)),
        ]
    return figures


def _watched(bench: Bench, kind: str) -> tuple[float, Spent]:
    folder = workspace(bench.folder())
    times = folder / "times"
    told = [sys.executable, HERE / "delta_server.py", kind, str(bench.deltas), str(RATE), times]
    server = subprocess.Popen(told, stdout=subprocess.PIPE, text=True, env=environment(folder))
    try:
        url = (server.stdout.readline() if server.stdout else "").strip()
        if not url:
            raise Failed("The server of deltas did not start.")
        with screen(folder, url, "start", "reader", "Go on.") as shown:
            drawn = shown.drawn_at(LAST_WORD)
            cost = shown.spent(QUIT)
        return max(drawn - float(times.read_text()), 0.0), cost
    finally:
        server.kill()
        server.communicate()


def watched_steps(bench: Bench) -> list[Figure]:
    """The memory of a long job that is watched: how much of it comes with its second half."""
    if not sys.platform.startswith("linux"):
        bench.notes.append("Row 17 is left out: the memory of others is told on Linux alone.")
        return []
    marks = [max(1, bench.steps // 8), max(2, bench.steps // 2), bench.steps]
    held: list[list[float]] = [[] for _mark in marks]
    growth: list[float] = []
    spent: list[Spent] = []
    scenario = reading(bench.steps)
    scenario["policy"]["reply"]["latencyMs"] = LATENCY_MS
    for _number in range(max(1, bench.runs // 5)):
        folder = workspace(bench.folder())
        with (
            model_server(bench.scratch, scenario) as (url, times),
            screen(folder, url, "start", "reader", "Read it.", "--max-steps", "2000") as shown,
        ):
            for mark, values in zip(marks, held, strict=True):
                _until_asked(times, mark, shown)
                if mark == bench.steps:
                    shown.drawn_at("● ready")
                values.append(shown.memory())
            spent.append(shown.spent(QUIT))
        growth.append(held[2][-1] / held[1][-1])
    name = f"{bench.steps} steps, watched"
    is_whole = bench.steps == BOUND_STEPS
    return [
        *(
            Figure(17, f"{name}: peak memory until step {mark}", "memory", tuple(values))
            for mark, values in zip(marks, held, strict=True)
        ),
        Figure(
            17,
            f"{name}: that at the end over that at half",
            "times",
            tuple(growth),
            bound=1.1,
            has_bound_size=is_whole,
        ),
        Figure(17, name, "cpu", tuple(each.cpu for each in spent)),
    ]


def _until_asked(times: Path, requests: int, shown: Screen) -> None:
    while len(moments(times, "asked")) < requests:
        shown.watch(0.02)
