"""`perstack start`, in a terminal and without one."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from cli.process import perstack
from cli.server import serving
from cli.terminal import in_a_terminal

LEAVES_SCREEN = "\x1b[?1049l"
EXPERT = '[experts.helper]\ndescription = "Helps."\ninstruction = "Help."\n'
TWO_ANSWERS = {"replies": [{"text": "First answer."}, {"text": "Second answer."}]}


def events_of(folder: Path) -> list[dict[str, object]]:
    ended = perstack("log", "--json", "--take", "0", cwd=folder)
    return [json.loads(line) for line in ended.stdout.splitlines()]


def test_without_a_terminal_it_is_run(tmp_path: Path) -> None:
    ended = perstack("start", "tic-tac-toe", "Let's play!", cwd=tmp_path)

    assert ended.code == 0
    assert ended.types[0] == "initializeRuntime"
    assert ended.types[-1] == "stopRunByInteractiveTool"
    assert "takeTurn waits for your answer" in ended.stderr


def test_without_a_terminal_an_expert_and_a_query_must_be_named(tmp_path: Path) -> None:
    nobody = perstack("start", cwd=tmp_path)
    nothing = perstack("start", "tic-tac-toe", cwd=tmp_path)

    assert (nobody.code, nothing.code) == (2, 2)
    assert "EXPERT is missing" in nobody.stderr
    assert "QUERY is missing" in nothing.stderr


def test_a_game_is_begun_answered_left_and_gone_on_with(tmp_path: Path) -> None:
    with in_a_terminal("start", "tic-tac-toe", "Let's play!", cwd=tmp_path) as terminal:
        before = terminal.settings()
        terminal.until("answer takeTurn")
        terminal.press("1\r")
        terminal.until("step 2/100")
        terminal.until("● waiting")
        terminal.press("\x11")
        assert terminal.ended() == 0
        assert terminal.settings() == before
        left, _, words = terminal.raw.rpartition(LEAVES_SCREEN)
        assert left
        assert "perstack start tic-tac-toe --continue" in words

    with in_a_terminal("start", "tic-tac-toe", "--continue", cwd=tmp_path) as terminal:
        terminal.until("answer takeTurn")
        terminal.press("9\r")
        terminal.until("● ready")
        terminal.press("\x11")
        assert terminal.ended() == 0
    types = [event["type"] for event in events_of(tmp_path)]
    assert types.count("callInteractiveTool") == 2
    assert types[-1] == "completeRun", "a bad move was answered, and lost the game"


def test_an_expert_is_picked_and_the_first_line_is_the_query(tmp_path: Path) -> None:
    (tmp_path / "perstack.toml").write_text(EXPERT)
    with (
        serving(TWO_ANSWERS, tmp_path) as env,
        in_a_terminal("start", cwd=tmp_path, env=env) as terminal,
    ):
        terminal.until("Which Expert?")
        terminal.press("\r")
        terminal.until("what to do")
        terminal.press("Do one\r")
        terminal.until("First answer.")
        terminal.until("● ready  helper  claude-sonnet-5-5  step 1")
        terminal.press("Do two\r")
        terminal.until("Second answer.")
        terminal.until("● ready  helper  claude-sonnet-5-5  step 2")
        terminal.press("\x11")
        assert terminal.ended() == 0
    events = events_of(tmp_path)
    assert len({event["jobId"] for event in events}) == 1
    assert [event["type"] for event in events].count("completeRun") == 2


def test_a_stopped_job_goes_on_and_a_signal_leaves_the_terminal_whole(tmp_path: Path) -> None:
    (tmp_path / "perstack.toml").write_text(EXPERT)
    scenario = {"replies": [{"trouble": "hang"}, {"text": "At last."}]}
    words = ("start", "helper", "Go")
    with (
        serving(scenario, tmp_path) as env,
        in_a_terminal(*words, cwd=tmp_path, env=env) as terminal,
    ):
        before = terminal.settings()
        terminal.until("step 1")
        terminal.press("\x03")
        terminal.until("● stopped")
        terminal.press("\r")
        terminal.until("At last.")
        terminal.until("● ready")
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.ended() == 128 + signal.SIGTERM
        assert terminal.settings() == before
        assert LEAVES_SCREEN in terminal.raw


def test_what_the_command_line_gets_wrong_is_said_before_any_screen(tmp_path: Path) -> None:
    for words in (["helpr"], ["tic-tac-toe", "--continue"], ["tic-tac-toe", "--max-steps", "no"]):
        with in_a_terminal("start", *words, cwd=tmp_path) as terminal:
            assert terminal.ended() == 2
            assert "perstack: " in terminal.raw


@pytest.mark.parametrize(
    ("words", "shown"),
    [(("tic-tac-toe", "Let's play!"), "answer takeTurn"), ((), "Which Expert?")],
)
def test_it_ends_when_its_terminal_is_gone(
    tmp_path: Path, words: tuple[str, ...], shown: str
) -> None:
    with in_a_terminal("start", *words, cwd=tmp_path) as terminal:
        terminal.until(shown)
        terminal.hang_up()
        assert terminal.process.wait() == 128 + signal.SIGHUP
