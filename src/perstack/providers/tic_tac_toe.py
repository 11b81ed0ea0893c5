"""Tic-tac-toe: its rules, a player that never loses, and how people name a cell.

A board is nine characters in reading order: "X", "O", or "." for a free cell.
Cells are numbered 1 to 9 in the same order. X moves first.
"""

from __future__ import annotations

import json
import re
import unicodedata
from functools import cache
from typing import NamedTuple, cast

EMPTY = "." * 9
PREFERENCE = (5, 1, 3, 7, 9, 2, 4, 6, 8)
LINES = ((1, 2, 3), (4, 5, 6), (7, 8, 9), (1, 4, 7), (2, 5, 8), (3, 6, 9), (1, 5, 9), (3, 5, 7))

LONGEST_ANSWER = 500
ROWS = {"top": 0, "upper": 0, "bottom": 2, "lower": 2}
COLUMNS = {"left": 0, "right": 2}
MIDDLES = frozenset({"middle", "mid", "center", "centre", "central"})
NUMBER_WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
ANSWER_KEYS = ("cell", "move", "position", "square", "answer", "text")


def turn_of(board: str) -> str:
    """The mark that is to move."""
    return "X" if board.count("X") == board.count("O") else "O"


def winner_of(board: str) -> str | None:
    """The mark that fills a line."""
    for line in LINES:
        marks = {board[cell - 1] for cell in line}
        if marks in ({"X"}, {"O"}):
            return marks.pop()
    return None


def free_cells(board: str) -> tuple[int, ...]:
    """The cells without a mark, ascending."""
    return tuple(cell for cell in range(1, 10) if board[cell - 1] == ".")


def board_after(board: str, cell: int) -> str:
    """The board once the side to move has taken `cell`, which must be free."""
    return board[: cell - 1] + turn_of(board) + board[cell:]


@cache
def worth(board: str) -> int:
    """What the side to move can reach: above 0 a win, below 0 a loss, larger the sooner."""
    free = free_cells(board)
    if winner_of(board):
        return -1 - len(free)
    return max((-worth(board_after(board, cell)) for cell in free), default=0)


def best_cell(board: str) -> int:
    """A cell from which the side to move cannot do better. The same board, the same cell."""
    if board == EMPTY:
        return PREFERENCE[0]  # every opening is a draw: nothing to search for
    free = free_cells(board)
    return max(
        (cell for cell in PREFERENCE if cell in free),
        key=lambda cell: -worth(board_after(board, cell)),
    )


class Game(NamedTuple):
    """A board and the moves, each a mark and a cell, that are known to have led to it."""

    board: str = EMPTY
    moves: tuple[tuple[str, int], ...] = ()

    @classmethod
    def at(cls, board: str) -> Game:
        """The game at `board`, with its moves where they are plain: none or one."""
        marks = [cell for cell in range(1, 10) if board[cell - 1] != "."]
        return cls().play(marks[0]) if len(marks) == 1 else cls(board)

    @property
    def turn(self) -> str:
        """The mark that is to move."""
        return turn_of(self.board)

    @property
    def free(self) -> tuple[int, ...]:
        """The cells without a mark, ascending."""
        return free_cells(self.board)

    @property
    def winner(self) -> str | None:
        """The mark that fills a line."""
        return winner_of(self.board)

    @property
    def is_over(self) -> bool:
        """Whether nobody may move any more."""
        return self.winner is not None or not self.free

    @property
    def drawing(self) -> str:
        """Three rows of text. A free cell shows its number."""
        shown = [
            str(cell) if mark == "." else mark for cell, mark in enumerate(self.board, start=1)
        ]
        rows = (" " + " | ".join(shown[start : start + 3]) for start in (0, 3, 6))
        return "\n---+---+---\n".join(rows)

    def play(self, cell: int) -> Game:
        """The game once the side to move has taken `cell`, which must be free."""
        return Game(board_after(self.board, cell), (*self.moves, (self.turn, cell)))

    def continued(self, board: str) -> Game | None:
        """This game at `board`: the same one, or a move of each side later. Else None."""
        taken = [cell for cell in self.free if board[cell - 1] != "."]
        if len(taken) not in (0, 2):
            return None
        game = self
        for cell in sorted(taken, key=lambda cell: board[cell - 1] != self.turn):
            game = game.play(cell)
        return game if game.board == board else None


def read_board(value: object) -> str | None:
    """`value` as a board of a game that goes on, else None."""
    if not isinstance(value, str) or not re.fullmatch(r"[XO.]{9}", value):
        return None
    ahead = value.count("X") - value.count("O")
    goes_on = ahead in (0, 1) and "." in value and winner_of(value) is None
    return value if goes_on else None


def read_cell(text: str) -> int | None:
    """The one cell that an answer names, taken or not; None where it names none or several.

    Understood are numbers ("5", "cell 5", "five"), a column and a row ("b2", "a1" is
    the top left), places ("top left", "centre") and JSON with one of these in it.
    """
    if len(text) > LONGEST_ANSWER:
        return None
    plain = unicodedata.normalize("NFKC", _unwrapped(text)).lower()
    words = re.findall(
        r"[+-]?[a-z0-9]+(?:[.,][0-9]+)*", re.sub(r"(?<=[a-z])-(?=[a-z])", " ", plain)
    )
    named = {cell for word in words if (cell := _cell_of(word))} | _places(set(words))
    if not named:
        named = {number for number, word in enumerate(NUMBER_WORDS, start=1) if word in words}
    return named.pop() if len(named) == 1 else None


def _unwrapped(text: str) -> str:
    if not text.lstrip().startswith("{"):
        return text
    try:
        parsed: object = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if not isinstance(parsed, dict):
        return text
    answer = cast(dict[str, object], parsed)
    return next((str(answer[key]) for key in ANSWER_KEYS if key in answer), text)


def _cell_of(word: str) -> int | None:
    if re.fullmatch(r"[1-9]", word):
        return int(word)
    if re.fullmatch(r"[abc][1-3]", word):
        return "abc".index(word[0]) + 1 + 3 * (int(word[1]) - 1)
    return None


def _places(words: set[str]) -> set[int]:
    rows = {row for word, row in ROWS.items() if word in words}
    columns = {column for word, column in COLUMNS.items() if word in words}
    if words & MIDDLES:
        if rows and columns:
            return {1, 9}  # "centre, or top right": two cells, so none
        rows, columns = rows or {1}, columns or {1}
    return {3 * row + column + 1 for row in rows for column in columns}
