"""Rows 3 and 6: a long run, and going on with it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from statistics import median

from .bench import BOUND_STEPS, Bench
from .figures import Figure
from .processes import Spent
from .worlds import ONE_REPLY, model_server, moments, reading, workspace


def steps(bench: Bench) -> list[Figure]:
    """A long run: what it costs, what it leaves, and whether its steps get slower."""
    ours: list[Spent] = []
    disk: list[float] = []
    out: list[float] = []
    first: list[float] = []
    last: list[float] = []
    slope: list[float] = []
    for _number in range(bench.long_runs):
        folder = workspace(bench.folder())
        with model_server(bench.scratch, reading(bench.steps)) as (url, times):
            ours.append(bench.run(folder, url))
            asked = moments(times, "asked")
        each = [after - before for before, after in pairwise(asked)]
        first.append(median(each[:10]))
        last.append(median(each[-10:]))
        slope.append(last[-1] / first[-1])
        disk.append(size_of(folder / "perstack"))
        out.append((folder / "stdout.jsonl").stat().st_size)
    with model_server(bench.scratch, reading(bench.steps)) as (url, _):
        folder = workspace(bench.folder())
        full = bench.run(folder, url, "--events", "full")
        full_out = (folder / "stdout.jsonl").stat().st_size
    is_whole = bench.steps == BOUND_STEPS
    name = f"{bench.steps} steps"

    def figure(
        what: str,
        unit: str,
        values: list[float],
        bound: float | None = None,
        reference: str = "",
    ) -> Figure:
        return Figure(3, f"{name}{what}", unit, tuple(values), bound, reference, is_whole)

    return [
        figure("", "cpu", [each.cpu for each in ours], 1.5, "16.9 CPU s"),
        figure(": history on disk", "bytes", disk, 1.5e6, "250 MB"),
        figure(": events on stdout", "bytes", out, 4e6, "188 MB"),
        figure(": peak memory", "memory", [each.memory for each in ours], 80e6, "335 MB"),
        figure(": wall time of the first ten steps, each", "ms", first),
        figure(": wall time of the last ten steps, each", "ms", last),
        figure(": last ten over first ten", "times", slope, 2.0),
        figure(" with `--events full`", "cpu", [full.cpu]),
        figure(" with `--events full`: events on stdout", "bytes", [full_out], None, "188 MB"),
    ]


def resuming(bench: Bench) -> list[Figure]:
    """Going on with a long job: its history is read once, whatever its length."""
    prepared = bench.read_job()
    log = sum(path.stat().st_size for path in prepared.glob("perstack/jobs/*/runs/*/events.jsonl"))
    ours: list[Spent] = []
    short: list[Spent] = []
    with model_server(bench.scratch, ONE_REPLY) as (url, _):
        rested = workspace(bench.folder())
        bench.run(rested, url)
        for _number in range(bench.long_runs + 1):
            with bench.copy_of(prepared) as folder:
                ours.append(bench.run(folder, url, "--continue"))
            with bench.copy_of(rested) as folder:
                short.append(bench.run(folder, url, "--continue"))
    ours, short = ours[1:], short[1:]
    name = f"a new query for a job of {bench.steps} steps"
    figures = [
        Figure(6, name, "cpu", tuple(each.cpu for each in ours)),
        Figure(6, f"{name}: peak memory", "memory", tuple(each.memory for each in ours)),
        Figure(6, "a new query for a job of one step", "cpu", tuple(each.cpu for each in short)),
    ]
    read = [
        (long.read - little.read) / log
        for long, little in zip(ours, short, strict=True)
        if long.read is not None and little.read is not None
    ]
    if read:
        figures.append(
            Figure(6, f"{name}: bytes read beyond that, over its log", "times", tuple(read))
        )
    return figures


def size_of(folder: Path) -> int:
    """Bytes in all files below `folder`."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
