"""The last line of a run says what it cost, to a person."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cli.process import perstack
from cli.server import serving
from cli.terminal import told_on_a_terminal

CONFIG = '[experts.worker]\ninstruction = "You work."\n'
SCENARIO: dict[str, Any] = {"rules": [{"replies": [{"text": "Done."}]}]}


def said_on_a_terminal(folder: Path, env: dict[str, str], *words: str) -> str:
    """What a person reads on standard error."""
    return told_on_a_terminal("run", *words, cwd=folder, env=env, stream="stderr")[1]


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
