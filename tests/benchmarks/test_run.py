"""The benchmarks in miniature: every row is measured and printed. No time is judged."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def run(*options: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, BENCHMARKS / "run", *options],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | env,
    )


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("figures", BENCHMARKS / "measure/figures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "figures", module)
    spec.loader.exec_module(module)
    return module


def printed(*options: str) -> tuple[set[int], str]:
    """The rows that are measured, and the names of all figures, once each line is checked."""
    done = run("--runs", "1", *options)
    assert done.returncode == 0, done.stderr
    about, *rest = done.stdout.splitlines()
    assert about.startswith("Measured on ")
    assert "Load averages before: " in about
    head, rule, *lines = [line for line in rest if line.startswith("|")]
    assert "bound" in head
    assert set(rule) == {"|", "-"}
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    for cells in rows:
        assert len(cells) == 6
        shown = re.match(r"(\d+(?:\.\d+)?)(?: (?:CPU s|CPU ms|s|ms|µs|MB|x))?(?: |$)", cells[2])
        assert shown is not None, cells
        assert (float(shown[1]) > 0) != cells[1].endswith("processes left"), cells
    assert "not every job" not in done.stdout
    return {int(cells[0]) for cells in rows}, " ".join(cells[1] for cells in rows)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_row_without_servers_is_measured_and_printed():
    rows, names = printed("--rows", "1,2,3,4,5,6,7,8,9,10,14", "--steps", "12", "--jobs", "20")
    assert rows == {*range(1, 11), 14}
    for name in ("the bare stack", "`--version`", "12 steps", "8 delegates", "fdatasync", "query"):
        assert name in names
    for name in (
        "20 jobs at once",
        "Messages, 201 messages: Perstack",
        "from the start: anthropic",
        "events: `perstack log --errors`",
    ):
        assert name in names


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_row_of_the_workbench_is_measured_and_printed():
    rows, names = printed("--rows", "15,16,17", "--steps", "12", "--deltas", "200")
    assert rows == {15, 16, 17}
    for name in ("until it can be typed into", "200 deltas", "one table", "12 steps, watched"):
        assert name in names


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_row_with_servers_is_measured_and_printed():
    rows, names = printed("--rows", "11,12,13")
    assert (11 in rows) == (BENCHMARKS.parent / ".servers/installed").exists()
    assert rows | {11} == {11, 12, 13}
    assert "a call over stdio: Perstack beyond that" in names
    assert "30 delegates with a server each: servers at once" in names


@pytest.mark.slow
def test_as_json_the_rows_asked_for_are_printed_and_no_others():
    done = run("--rows", "2", "--runs", "1", "--json", PYTHONDONTWRITEBYTECODE="1")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert {figure["row"] for figure in told["figures"]} == {2}
    for figure in told["figures"]:
        assert 0 < figure["min"] <= figure["median"] <= figure["max"], figure
        assert figure["unit"] == "cpu"
    assert re.search(r"\d+ cores, .*Python \d", told["machine"])


@pytest.mark.parametrize("option", ["--rows=99", "--rows=", "--runs=0", "--steps=x"])
def test_a_row_or_a_number_that_cannot_be_is_refused(option):
    done = run(option)
    assert done.returncode == 2
    assert option.split("=")[0] in done.stderr


def test_a_bound_is_held_against_the_median(figures):
    kept = figures.Figure(1, "a", "cpu", (0.1, 0.2, 9.0), bound=0.2)
    missed = figures.Figure(1, "b", "cpu", (0.1, 0.21, 0.3), bound=0.2)
    assert (kept.is_met, missed.is_met) == (True, False)
    assert "| 0.20 CPU s (0.10-9.00) | <= 0.20 CPU s | yes |" in figures.line(kept)
    assert "| **no** |" in figures.line(missed)


def test_a_bound_says_nothing_about_other_sizes(figures):
    small = figures.Figure(3, "12 steps", "cpu", (9.0,), bound=1.5, has_bound_size=False)
    assert small.is_met is None
