"""The first thing anyone runs: a game, without a key, answered with the commands it prints."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.process import PERSTACK, QUIET, Ended, perstack

Opponent = Callable[[str], str]

LINES = ((0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6))


def free_cells(board: str) -> list[int]:
    return [cell for cell, mark in enumerate(board) if mark == "."]


def first_free(board: str) -> str:
    return str(free_cells(board)[0] + 1)


def at_random(board: str) -> str:
    cells = free_cells(board)
    return str(cells[zlib.crc32(board.encode()) % len(cells)] + 1)


def greedy(board: str) -> str:
    mine = "O" if board.count("X") > board.count("O") else "X"
    for mark in (mine, "X" if mine == "O" else "O"):
        for line in LINES:
            marks = [board[cell] for cell in line]
            if marks.count(mark) == 2 and "." in marks:
                return str(line[marks.index(".")] + 1)
    return str(free_cells(board)[-1] + 1)


def in_words(board: str) -> str:
    rows, columns = ("top", "middle", "bottom"), ("left", "middle", "right")
    cell = free_cells(board)[-1]
    return "center" if cell == 4 else f"{rows[cell // 3]} {columns[cell % 3]}"


def stubborn() -> Opponent:
    said = iter(["nonsense", "5", "77", ""])

    def answer(board: str) -> str:
        return next(said, None) or first_free(board)

    return answer


def printed_command(ended: Ended) -> list[str]:
    line = next(line for line in ended.stderr.splitlines() if "--continue" in line)
    return shlex.split(line)


def winner(board: str) -> str:
    return next(
        (board[a] for a, b, c in LINES if board[a] != "." and board[a] == board[b] == board[c]), ""
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "opponent", [first_free, at_random, greedy, in_words, stubborn()], ids=lambda f: f.__name__
)
def test_a_whole_game_is_played_with_the_commands_that_each_run_prints(
    opponent: Opponent, tmp_path: Path
) -> None:
    ended = perstack("run", "tic-tac-toe", "Let's play!", cwd=tmp_path)
    asked = ""
    for _ in range(14):
        assert ended.code == 0, ended.stderr
        if ended.types[-1] == "completeRun":
            break
        assert ended.types[-1] == "stopRunByInteractiveTool"
        called = next(event for event in ended.events if event["type"] == "callInteractiveTool")
        asked = str(called["toolCall"]["args"]["board"])
        program, *words = printed_command(ended)
        assert program == "perstack"
        assert words[-1] == "YOUR ANSWER"
        ended = perstack(*words[:-1], opponent(asked), cwd=tmp_path)
    assert ended.types[-1] == "completeRun", "the game never ended"
    assert "no AI model is used" in ended.stderr
    assert winner(asked) == ""
    text = str(ended.events[-1]["text"]).lower()
    assert "you win" not in text
    assert (tmp_path / "tic-tac-toe.md").is_file()
    again = perstack("run", "tic-tac-toe", "--continue", "again", cwd=tmp_path)
    assert again.code == 0
    assert again.types[-1] == "stopRunByInteractiveTool"


def test_the_first_run_says_on_stderr_and_in_the_first_event_that_no_model_is_used(
    tmp_path: Path,
) -> None:
    ended = perstack("run", "tic-tac-toe", "Let's play!", cwd=tmp_path)

    assert ended.code == 0
    assert "no AI model is used" in ended.stderr
    assert "no AI model is used" in ended.events[0]["notice"]
    assert ended.events[0]["type"] == "initializeRuntime"


def test_an_edited_copy_of_the_same_name_gets_help_instead_of_the_demo(tmp_path: Path) -> None:
    (tmp_path / "perstack.toml").write_text(
        '[experts.tic-tac-toe]\ninstruction = "Play tic-tac-toe."\n', encoding="utf-8"
    )

    ended = perstack("run", "tic-tac-toe", "Let's play!", cwd=tmp_path)

    assert ended.code == 2
    assert ended.stdout == ""
    assert "ANTHROPIC_API_KEY" in ended.stderr


def test_a_named_model_or_a_key_means_a_model_and_no_demo(tmp_path: Path) -> None:
    named = perstack("run", "tic-tac-toe", "Hi", "--model", "claude-sonnet-4-5", cwd=tmp_path)

    assert named.code == 2
    assert "ANTHROPIC_API_KEY" in named.stderr
    assert "no AI model" not in named.stderr


ALONE = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child")
"""What makes a program the first process of all, as the entrypoint of a container is."""


@pytest.mark.skipif(
    shutil.which("unshare") is None
    or subprocess.run((*ALONE, "true"), check=False).returncode != 0,
    reason="no process may have its own numbers here",
)
def test_nobody_plays_in_a_container_that_lacks_its_key(tmp_path: Path) -> None:
    def alone(*words: str) -> subprocess.CompletedProcess[str]:
        command = (*ALONE, str(PERSTACK), *words)
        return subprocess.run(
            command, cwd=tmp_path, env=QUIET, capture_output=True, text=True, check=False
        )

    ended = alone("run", "tic-tac-toe", "Let's play!")
    assert "tic-tac-toe" not in alone("doctor").stdout
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert "set ANTHROPIC_API_KEY" in ended.stderr
    assert "tic-tac-toe" not in ended.stderr
    assert [*tmp_path.iterdir()] == []
