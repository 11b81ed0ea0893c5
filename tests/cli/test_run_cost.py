"""The last line of a run says what it cost, to a person."""

from __future__ import annotations

import os
import subprocess
import tty
from pathlib import Path
from typing import Any

from cli.process import PERSTACK, QUIET, perstack
from cli.server import serving

CONFIG = '[experts.worker]\ninstruction = "You work."\n'
SCENARIO: dict[str, Any] = {"rules": [{"replies": [{"text": "Done."}]}]}


def said_on_a_terminal(folder: Path, env: dict[str, str], *words: str) -> str:
    """What a person reads on standard error."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    with subprocess.Popen(
        [str(PERSTACK), "run", *words],
        cwd=folder,
        env=QUIET | env,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 65536):
                shown += piece
        except OSError:  # the other end is closed
            pass
        os.close(ours)
        process.wait(60)
    return shown.decode()


def test_a_person_is_told_what_it_cost_and_a_program_is_not(tmp_path: Path):
    (tmp_path / "perstack.toml").write_text(CONFIG)
    with serving(SCENARIO, tmp_path) as env:
        said = said_on_a_terminal(tmp_path, env, "worker", "Work.")
    with serving(SCENARIO, tmp_path) as env:
        ended = perstack("run", "worker", "Work.", cwd=tmp_path, env=env)
    assert said.splitlines()[-1] == "completed; the job has taken 1 step, unknown cost this time"
    assert ended.stderr.splitlines()[-1] == "completed; the job has taken 1 step"
    [first] = [event for event in ended.events if event["type"] == "initializeRuntime"]
    assert first["provider"] == "anthropic"
    assert first["providerAddress"] == env["ANTHROPIC_BASE_URL"]


def test_the_demo_player_costs_nothing(tmp_path: Path):
    said = said_on_a_terminal(tmp_path, {}, "tic-tac-toe", "Let's play!")
    assert "cost" not in said
    assert "$" not in said


def test_a_run_that_was_stopped_has_cost_as_well(tmp_path: Path):
    (tmp_path / "perstack.toml").write_text(CONFIG)
    calls = {"calls": [{"name": "healthCheck", "args": {}}]}
    with serving({"rules": [{"replies": [calls]}]}, tmp_path) as env:
        said = said_on_a_terminal(tmp_path, env, "worker", "Work.", "--max-steps", "1")
    assert "cost: unknown cost this time" in said
