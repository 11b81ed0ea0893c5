"""The demo player's table: what a conversation says about the games played in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from perstack.providers.tic_tac_toe import Game, best_cell, read_board, read_cell
from perstack.schema.message import (
    ExpertMessage,
    InstructionMessage,
    Message,
    TextPart,
    ToolCallPart,
    ToolMessage,
    ToolResultPart,
    UserMessage,
)
from perstack.schema.tool import COMPLETION_TOOL

if TYPE_CHECKING:
    from collections.abc import Sequence

TURN_TOOL = "takeTurn"
FILE_TOOL = "writeTextFile"


class Score(NamedTuple):
    """Games, by how they ended."""

    user: int = 0
    demo: int = 0
    draws: int = 0

    def __str__(self) -> str:
        return f"you {self.user}, the demo player {self.demo}, draws {self.draws}"


NO_SCORE = Score()


@dataclass(slots=True)
class Table:
    """What a conversation says about the games played in it.

    Attributes:
        game: the one being played, as last shown to the user, who is to move.
        heard: what the user has said since.
        is_noted: the end of the game stands in the file.
        is_told: the end of the game has been told.
        is_unwritten: the file could not be written the last time.
        trouble: why the user could not be asked.
        user_begins: whether the user begins the next game.
        earlier: the score without this game.
    """

    game: Game | None = None
    heard: list[str] = field(default_factory=list[str])
    is_noted: bool = False
    is_told: bool = False
    is_unwritten: bool = False
    trouble: str = ""
    user_begins: bool = False
    earlier: Score = NO_SCORE
    _asked: str = ""

    def see(self, message: Message) -> None:
        """Take in the next message."""
        match message:
            case UserMessage():
                if self.is_told:
                    self.clear()
                self.trouble = ""
                self._hear(message.contents)
            case ExpertMessage():
                self._see_reply({call.tool_name: call for call in message.calls})
            case ToolMessage():
                for result in message.contents:
                    self._see_result(result)
            case InstructionMessage():
                pass

    def _see_reply(self, calls: dict[str, ToolCallPart]) -> None:
        if turn := calls.get(TURN_TOOL):
            board = read_board(turn.args.get("board"))
            game = self.game.continued(board) if self.game and board else None
            if game is None:
                self.clear()
                game = Game.at(board) if board else None
            self.game, self.heard, self.is_noted, self.is_told = game, [], False, False
            self._asked = turn.tool_call_id
        elif FILE_TOOL in calls:
            self.is_noted = True
        self.is_told |= not calls or COMPLETION_TOOL in calls

    def _see_result(self, result: ToolResultPart) -> None:
        if result.tool_name == FILE_TOOL:
            self.is_unwritten = result.is_error
        elif result.tool_call_id == self._asked and result.is_error:
            self.trouble = text_of(result.contents) or "no reason was given"
        elif result.tool_call_id == self._asked:
            self._hear(result.contents)

    def _hear(self, parts: Sequence[object]) -> None:
        self.heard.append(text_of(parts))

    def clear(self) -> None:
        """Put the game away: its result counts, and the other side begins the next one."""
        self.earlier = self.score
        if self.game:
            self.user_begins = self.game.turn == "O"
        self.game, self.heard, self.is_noted, self.is_told = None, [], False, False

    @property
    def settled(self) -> Game | None:
        """The game after the first legal move that was heard, and the answer to it."""
        if self.game is None:
            return None
        named = (read_cell(text) for text in self.heard)
        cell = next((cell for cell in named if cell in self.game.free), None)
        if cell is None:
            return None
        game = self.game.play(cell)
        return game if game.is_over else game.play(best_cell(game.board))

    @property
    def score(self) -> Score:
        """The score with this game, once it is over."""
        user, demo, draws = self.earlier
        settled = self.settled
        if self.game is None or settled is None or not settled.is_over:
            return self.earlier
        if settled.winner is None:
            return Score(user, demo, draws + 1)
        is_users = settled.winner == self.game.turn
        return Score(user + is_users, demo + (not is_users), draws)

    def has_heard(self, words: frozenset[str]) -> bool:
        """Whether the user said one of these, and nothing else in one breath."""
        return any(text.strip(" .!\"'\n").lower() in words for text in self.heard)


def text_of(parts: Sequence[object]) -> str:
    """All text parts, joined."""
    return "".join(part.text for part in parts if isinstance(part, TextPart))
