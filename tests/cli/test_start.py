"""`perstack start`, in a terminal and without one."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cli.process import perstack
from cli.server import serving
from cli.terminal import Terminal, in_a_terminal

F2, F3, F4 = "\x1bOQ", "\x1bOR", "\x1bOS"
LEAVES_SCREEN = "\x1b[?1049l"
EXPERT = '[experts.helper]\ndescription = "Helps."\ninstruction = "Help."\n'
TWO_ANSWERS = {"replies": [{"text": "First answer."}, {"text": "Second answer."}]}


@contextmanager
def helping(
    folder: Path, scenario: dict[str, Any], *words: str
) -> Generator[tuple[Terminal, dict[str, str]]]:
    """`perstack start helper …` in a terminal, with a model that answers as it is told to."""
    (folder / "perstack.toml").write_text(EXPERT)
    with (
        serving(scenario, folder) as env,
        in_a_terminal("start", "helper", *words, cwd=folder, env=env) as terminal,
    ):
        yield terminal, env


def leave(terminal: Terminal) -> None:
    terminal.press("\x11")
    assert terminal.ended() == 0


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
        leave(terminal)
        assert terminal.settings() == before
        left, _, words = terminal.raw.rpartition(LEAVES_SCREEN)
        assert left
        assert "perstack start tic-tac-toe --continue" in words

    with in_a_terminal("start", "tic-tac-toe", "--continue", cwd=tmp_path) as terminal:
        terminal.until("answer takeTurn")
        terminal.press("9\r")
        terminal.until("● ready")
        leave(terminal)
    types = [event["type"] for event in events_of(tmp_path)]
    assert types.count("callInteractiveTool") == 2
    assert types[-1] == "completeRun", "a bad move was answered, and lost the game"


def test_an_expert_is_picked_and_the_first_line_is_the_query(tmp_path: Path) -> None:
    (tmp_path / "perstack.toml").write_text(EXPERT)
    with (
        serving(TWO_ANSWERS, tmp_path) as env,
        in_a_terminal("start", cwd=tmp_path, env=env) as terminal,
    ):
        terminal.until("Which Expert, or which job?")
        terminal.press("\r")
        terminal.until("what to do")
        terminal.press("Do one\r")
        terminal.until("First answer.")
        terminal.until("● ready  helper  claude-sonnet-5-5  step 1")
        terminal.press("Do two\r")
        terminal.until("Second answer.")
        terminal.until("● ready  helper  claude-sonnet-5-5  step 2")
        leave(terminal)
    events = events_of(tmp_path)
    assert len({event["jobId"] for event in events}) == 1
    assert [event["type"] for event in events].count("completeRun") == 2


def test_a_stopped_job_goes_on_and_a_signal_leaves_the_terminal_whole(tmp_path: Path) -> None:
    scenario = {"replies": [{"trouble": "hang"}, {"text": "At last."}]}
    with helping(tmp_path, scenario, "Go") as (terminal, _):
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
    [(("tic-tac-toe", "Let's play!"), "answer takeTurn"), ((), "Which Expert, or which job?")],
)
def test_it_ends_when_its_terminal_is_gone(
    tmp_path: Path, words: tuple[str, ...], shown: str
) -> None:
    with in_a_terminal("start", *words, cwd=tmp_path) as terminal:
        terminal.until(shown)
        terminal.hang_up()
        assert terminal.process.wait() == 128 + signal.SIGHUP


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_something_is_asked_leaves_the_terminal_whole(
    tmp_path: Path, number: signal.Signals
) -> None:
    with in_a_terminal("start", cwd=tmp_path) as terminal:
        before = terminal.settings()
        terminal.until("Which Expert, or which job?")
        terminal.process.send_signal(number)
        assert terminal.ended() == 128 + number
        assert terminal.settings() == before
        assert LEAVES_SCREEN in terminal.raw


def test_bytes_that_are_no_text_end_nothing(tmp_path: Path) -> None:
    (tmp_path / "perstack.toml").write_text(EXPERT)
    with (
        serving(TWO_ANSWERS, tmp_path) as env,
        in_a_terminal("start", cwd=tmp_path, env=env) as terminal,
    ):
        terminal.until("Which Expert, or which job?")
        terminal.press(b"\xff")
        terminal.until("\ufffd")
        terminal.press("\x7f\r")
        terminal.until("what to do")
        terminal.press(b"A caf\xe9, and")
        terminal.press(" more")
        terminal.until("A caf\ufffd, and more")
        terminal.press("\r")
        terminal.until("First answer.")
        leave(terminal)


def test_after_a_stop_the_screen_is_whole_again(tmp_path: Path) -> None:
    with in_a_terminal("start", "tic-tac-toe", "Let's play!", cwd=tmp_path) as terminal:
        for drawn in ("A new game. I begin", "answer takeTurn", "● waiting", "Keys"):
            terminal.until(drawn)
        terminal.process.send_signal(signal.SIGTSTP)
        os.waitid(os.P_PID, terminal.process.pid, os.WSTOPPED)
        terminal.read_all()
        terminal.process.send_signal(signal.SIGCONT)
        for drawn in ("A new game. I begin", "answer takeTurn", "● waiting", "Keys"):
            terminal.until(drawn)
        leave(terminal)
        assert terminal.raw.count(LEAVES_SCREEN) == 2


def test_the_file_is_read_anew_for_each_query_and_what_is_wrong_in_it_loses_nothing(
    tmp_path: Path,
) -> None:
    path = tmp_path / "perstack.toml"
    with helping(tmp_path, TWO_ANSWERS, "Do one") as (terminal, _):
        terminal.until("● ready  helper  claude-sonnet-5-5  step 1")
        path.write_text("experts = 7\n")
        terminal.press("Do two\r")
        terminal.until("experts")
        path.write_text(f'model = "claude-opus-5"\n{EXPERT}'.replace("Help.", "Help well."))
        terminal.press("\r")
        terminal.until("was read anew: the Expert helper: instruction; model")
        terminal.until("Second answer.")
        terminal.until("claude-opus-5  step 2")
        leave(terminal)
    asked = [event for event in events_of(tmp_path) if event["type"] == "initializeRuntime"]
    assert [event["query"] for event in asked] == ["Do one", "Do two"]


def test_another_model_is_asked_from_the_next_query_on(tmp_path: Path) -> None:
    with helping(tmp_path, TWO_ANSWERS, "Do one") as (terminal, _):
        terminal.until("● ready  helper  claude-sonnet-5-5  step 1")
        terminal.press(F2)
        terminal.until("Which model")
        terminal.press("openai/gpt-5\r")
        terminal.until("needs a key")
        terminal.press(F2)
        terminal.until("Which model")
        terminal.press("haiku-5\r")
        terminal.until("claude-haiku-5-5 of anthropic is asked")
        terminal.press("Do two\r")
        terminal.until("● ready  helper  claude-haiku-5-5  step 2")
        leave(terminal)
        assert "--model claude-haiku-5-5" in terminal.raw


def test_a_query_goes_on_from_a_checkpoint_that_was_gone_back_to(tmp_path: Path) -> None:
    with helping(tmp_path, {"replies": [{"text": "After-{n}."}] * 3}, "Do one") as (terminal, _):
        terminal.until("After-0.")
        terminal.until("● ready  helper  claude-sonnet-5-5  step 1")
        terminal.press("Do two\r")
        terminal.until("After-1.")
        terminal.until("● ready  helper  claude-sonnet-5-5  step 2")
        terminal.press(F3)
        terminal.until("Back to which checkpoint?")
        terminal.press("after-0\r")
        terminal.until("what to do from this checkpoint")
        terminal.press("Do three\r")
        terminal.until("After-1.")
        terminal.until("● ready  helper  claude-sonnet-5-5  step 3")
        terminal.press(F3)
        terminal.until("After-0.")
        terminal.until("Files are not rolled back")
        assert "the newest" not in terminal.since, "the query has left the earlier checkpoint"
        terminal.press("\x1b")
        terminal.until("what to do")
        leave(terminal)


def test_what_is_typed_after_a_stop_is_done_in_place_of_what_was_stopped(tmp_path: Path) -> None:
    scenario = {"replies": [{"trouble": "hang"}, {"text": "Done instead."}]}
    with helping(tmp_path, scenario, "Go wrong") as (terminal, env):
        terminal.until("step 1")
        terminal.press("\x1b")
        terminal.until("● stopped")
        terminal.press("Go right\r")
        terminal.until("Done instead.")
        terminal.until("● ready")
        leave(terminal)
        again = perstack("run", "helper", "--continue", cwd=tmp_path, env=env)
    assert "is at rest (completed)" in again.stderr, "what was stopped is not carried on"
    types = [event["type"] for event in events_of(tmp_path)]
    assert (types.count("startRun"), types.count("completeRun")) == (2, 1)


def test_at_the_step_limit_a_higher_one_is_set_without_leaving(tmp_path: Path) -> None:
    looks = {"calls": [{"name": "listDirectory", "args": {"path": "."}}]}
    scenario = {"replies": [looks, {"text": "Seen."}]}
    with helping(tmp_path, scenario, "Look", "--max-steps", "1") as (terminal, _):
        terminal.until("stopped at the limit of 1 step; F4 sets a higher one")
        terminal.press(F4)
        terminal.until("It has taken 1 of 1.")
        terminal.press("5\r")
        terminal.until("the job may take 5 steps")
        terminal.press("Go on\r")
        terminal.until("Seen.")
        terminal.until("step 2/5")
        leave(terminal)


def test_a_job_is_picked_and_goes_on_at_one_of_its_checkpoints(tmp_path: Path) -> None:
    (tmp_path / "perstack.toml").write_text(EXPERT)
    with serving(TWO_ANSWERS, tmp_path) as env:
        assert perstack("run", "helper", "Compose", cwd=tmp_path, env=env).code == 0
        assert perstack("run", "helper", "--continue", "Do two", cwd=tmp_path, env=env).code == 0
        with in_a_terminal("start", cwd=tmp_path, env=env) as terminal:
            terminal.until("Which Expert, or which job?")
            terminal.press("compose\r")
            terminal.until("Go on where?")
            terminal.press("first\r")
            terminal.until("what to do from this checkpoint")
            terminal.until("First answer.")
            assert "Second answer." not in terminal.raw.partition("what to do from")[2]
            terminal.press("Do three\r")
            terminal.until("● ready  helper  claude-sonnet-5-5  step 3")
            terminal.press("\x11")
            assert terminal.ended() == 0
    assert len({event["jobId"] for event in events_of(tmp_path)}) == 1


def test_a_job_that_goes_on_names_its_expert(tmp_path: Path) -> None:
    assert perstack("run", "tic-tac-toe", "Play", cwd=tmp_path).code == 0
    with in_a_terminal("start", "--continue", cwd=tmp_path) as terminal:
        terminal.until("answer takeTurn")
        leave(terminal)
        assert "perstack start tic-tac-toe --continue" in terminal.raw
