"""Row 14: looking at a long job."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .bench import BOUND_STEPS, Bench
from .figures import Figure
from .processes import Spent, environment, perstack_command, spent

BOUND_EVENTS = 100_000
"""The events of a job that the bounds are for."""
MOST = 0.5
"""CPU seconds for the end of such a job."""
MEMORY = 40e6
"""Bytes, whatever the job's length."""

WAYS = {
    "`perstack log`": ("log",),
    "`perstack log --errors`": ("log", "--errors"),
    "`perstack log --json --take 0`": ("log", "--json", "--take", "0"),
    "`perstack log --delegations`": ("log", "--delegations"),
    "`perstack jobs`": ("jobs",),
}


def long_logs(bench: Bench) -> list[Figure]:
    """The end of a job of 100,000 events, all of it, and what else is asked of it."""
    events = BOUND_EVENTS if bench.steps == BOUND_STEPS else 20 * bench.steps
    with bench.copy_of(bench.read_job()) as folder:
        [path] = folder.glob("perstack/jobs/*/runs/*/events.jsonl")
        count = lengthen(path, events)
        taken = {
            name: [_looked(bench, folder, words) for _ in range(bench.long_runs)]
            for name, words in WAYS.items()
        }
        ask_a_vendor(path)
        priced = [_looked(bench, folder, ("log",)) for _ in range(bench.long_runs)]
    whole = events == BOUND_EVENTS
    figures: list[Figure] = []
    for name, spent_on in taken.items():
        is_end = name == "`perstack log`"
        what = f"a job of {count:,} events: {name}"
        cpu = tuple(each.cpu for each in spent_on)
        memory = tuple(float(each.memory) for each in spent_on)
        figures += [
            Figure(14, what, "cpu", cpu, MOST if is_end else None, has_bound_size=whole),
            Figure(14, f"{what}: peak memory", "memory", memory, MEMORY, has_bound_size=whole),
        ]
    what = f"a job of {count:,} events, its replies priced: `perstack log`"
    cpu = tuple(each.cpu for each in priced)
    return [*figures, Figure(14, what, "cpu", cpu, MOST, has_bound_size=whole)]


def ask_a_vendor(path: Path) -> None:
    """Make it a job whose model has a price: the server's address is left out of its log."""
    changed = path.with_suffix(".changed")
    with path.open() as old, changed.open("w") as new:
        for line in old:
            told: dict[str, Any] = json.loads(line)
            told.pop("providerAddress", None)
            new.write(json.dumps(told, separators=(",", ":"), ensure_ascii=False) + "\n")
    changed.replace(path)


def _looked(bench: Bench, folder: Path, words: tuple[str, ...]) -> Spent:
    command = [*perstack_command(), *words]
    return spent(command, folder, environment(bench.scratch), folder / "out")


def lengthen(path: Path, events: int) -> int:
    """Repeat the steps of a run until its log has this many events, or a few more.

    Line by line: what this process takes, the measured ones are not seen to take less.
    """
    longer = path.with_suffix(".longer")
    seq = 0
    with longer.open("w") as file:
        for seq, line in enumerate(_repeated(path.read_text().splitlines(), events), 1):
            told = line | {"seq": seq, "id": f"e{seq}", "timestamp": line["timestamp"] + seq}
            file.write(json.dumps(told, separators=(",", ":"), ensure_ascii=False) + "\n")
    longer.replace(path)
    return seq


def _repeated(lines: list[str], events: int) -> Iterator[dict[str, Any]]:
    ends = [at for at, line in enumerate(lines) if '"type":"continueToNextStep"' in line]
    first, last = ends[0] + 1, ends[-1] + 1
    yield from map(json.loads, lines[:first])
    count, number = first + len(lines) - last, 2
    while count < events:
        for line in lines[first:last]:
            told: dict[str, Any] = json.loads(line)
            yield told | {"stepNumber": number}
            number += told["type"] == "continueToNextStep"
        count += last - first
    for line in lines[last:]:
        yield json.loads(line) | {"stepNumber": number}
