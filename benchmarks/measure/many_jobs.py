"""Row 7: many jobs at once in one process."""

from __future__ import annotations

import json
import sys
from typing import Any

from .bench import BOUND_JOBS, Bench
from .figures import Figure
from .processes import environment, spent
from .worlds import HERE, REPLY, model_server, reading, workspace

LATENCY_MS = 300
CALLS = 2
DESCRIPTORS = {"": 20_000, ", with 1,024 descriptors": 1024}


def world() -> dict[str, Any]:
    """A model that has a file read twice and then is done, each time after 300 ms."""
    policy = reading(CALLS)["policy"]
    policy["reply"]["latencyMs"] = LATENCY_MS
    policy["final"] = {**REPLY, "latencyMs": LATENCY_MS}
    return {"policy": policy}


def many_jobs(bench: Bench) -> list[Figure]:
    """Jobs of three replies each, all at once in one process."""
    figures: list[Figure] = []
    for suffix, descriptors in DESCRIPTORS.items():
        figures += _with_descriptors(bench, suffix, descriptors)
    return figures


def _with_descriptors(bench: Bench, suffix: str, descriptors: int) -> list[Figure]:
    taken: dict[str, list[float]] = {name: [] for name in ("cpu", "memory", "wall", "most")}
    places = 0
    for _number in range(max(1, bench.long_runs // 2)):
        folder = workspace(bench.folder())
        told = folder / "told.json"
        command = [sys.executable, str(HERE / "run_many_jobs.py"), str(folder), str(bench.jobs)]
        with model_server(bench.scratch, world()) as (url, _):
            cost = spent(
                [*command, str(descriptors)], folder, environment(bench.scratch, url), told
            )
        said = json.loads(told.read_text())
        if said["ended"] != {"completed": bench.jobs}:
            bench.notes.append(f"Row 7: not every job was completed: {said['ended']}.")
        places = said["places"]
        taken["cpu"].append(cost.cpu)
        taken["memory"].append(cost.memory)
        taken["wall"].append(said["wall"])
        taken["most"].append(said["most"])
    is_whole = bench.jobs == BOUND_JOBS
    name = f"{bench.jobs:,} jobs at once{suffix}"

    def figure(what: str, unit: str, key: str, bound: float | None = None) -> Figure:
        return Figure(7, f"{name}{what}", unit, tuple(taken[key]), bound, "", is_whole)

    return [
        figure("", "cpu", "cpu", 10.0),
        figure(": peak memory", "memory", "memory", 400e6),
        figure(f": wall time ({CALLS + 1} replies of {LATENCY_MS} ms each)", "s", "wall"),
        figure(": open descriptors at most", "count", "most"),
        Figure(7, f"{name}: may work at once", "count", (places,)),
    ]
