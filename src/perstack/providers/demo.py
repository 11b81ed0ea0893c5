"""The demo player: stands where a model would, for one Expert of the catalogue. No AI.

It plays tic-tac-toe as the catalogue's Expert is told to. What it replies depends on
the conversation alone, so it goes on in any process, after any interruption, and also
from a conversation that a model began.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from perstack.providers import Reply, TextDelta
from perstack.providers.demo_table import FILE_TOOL, TURN_TOOL, Table
from perstack.providers.tic_tac_toe import EMPTY, Game, best_cell, read_cell
from perstack.schema.message import ExpertPart, Json, TextPart, ToolCallPart
from perstack.schema.tool import COMPLETION_TOOL

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from perstack.providers import Generated, GenerateRequest, Provider

NOTICE = (
    "no AI model is used: a scripted demo player answers in its place. "
    "Set ANTHROPIC_API_KEY, or give --provider and --model, to let a model play."
)

TIC_TAC_TOE = "93f36d085df577aed8a16de4f6bbb24a394b9270c6a29e490cfff1ac932ec313"
"""The digest of the catalogue's tic-tac-toe."""

FILE = "./tic-tac-toe.md"

STOP_WORDS = frozenset({"quit", "exit", "stop", "end", "resign", "give up", "i give up", "bye"})
RESTART_WORDS = frozenset({"again", "new", "new game", "restart", "start over"})
QUESTION = "Which cell is yours?"
HINT = 'A number, "b2" or "top left" will do; "quit" ends the game.'


def demo_for(definition_digest: str) -> Provider | None:
    """The player for the definition with this digest, where there is one.

    It goes by what a definition says, never by its name: an edited copy has none.
    """
    return DemoPlayer() if definition_digest == TIC_TAC_TOE else None


class DemoPlayer:
    """A Provider without a model. The same messages get the same reply, at no tokens."""

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Generated, None]:
        """One reply, its text in a few pieces."""
        from anyio.lowlevel import checkpoint

        move = next_move(request)
        for piece in pieces(move.text):
            await checkpoint()
            yield TextDelta(text=piece)
        parts: list[ExpertPart] = [TextPart(text=move.text)]
        for index, (name, args) in enumerate(move.calls):
            call_id = f"demo-{len(request.messages)}-{index}"
            parts.append(ToolCallPart(tool_call_id=call_id, tool_name=name, args=args))
        yield Reply(contents=tuple(parts))

    async def aclose(self) -> None:
        """Nothing is open."""


def pieces(text: str) -> Iterator[str]:
    """The text in at most five parts, cut after a space or line end."""
    words = re.findall(r"\S*\s+|\S+$", text)
    size = -(-len(words) // 5) or 1
    return ("".join(words[start : start + size]) for start in range(0, len(words), size))


class Move(NamedTuple):
    """A reply before it has ids: its text, and its calls as name and arguments."""

    text: str
    calls: tuple[tuple[str, Json], ...] = ()


def next_move(request: GenerateRequest) -> Move:
    """What to reply to this conversation, with the tools at hand."""
    table = Table()
    for message in request.messages:
        table.see(message)
    tools = {tool.name for tool in request.tools}
    if request.tool_choice == "none" or table.is_told:
        return Move(_result(table))
    if TURN_TOOL not in tools:
        return Move(f"There is nobody to play with: {TURN_TOOL} is not among the tools.")
    if table.trouble:
        return Move(f"The game cannot go on, {TURN_TOOL} failed: {table.trouble}")
    move = _choice(table, is_noted=table.is_noted or FILE_TOOL not in tools)
    return Move(move.text, tuple(call for call in move.calls if call[0] in tools))


def _choice(table: Table, *, is_noted: bool) -> Move:
    if table.game is None or table.has_heard(RESTART_WORDS):
        return _opening(table)
    settled = table.settled
    if settled and not settled.is_over:
        (_, theirs), (_, mine) = settled.moves[-2:]
        return _turn(table, settled, f"You took {theirs}, I take {mine}.")
    if settled is None and not table.has_heard(STOP_WORDS):
        return _question(table, table.game)
    if is_noted:
        return Move(_result(table), ((COMPLETION_TOOL, {}),))
    return Move("That ends the game. I note how.", (_note(table, settled or table.game),))


def _opening(table: Table) -> Move:
    table.clear()
    if table.user_begins:
        return _turn(table, Game(), "A new game, and you begin.")
    cell = best_cell(EMPTY)
    return _turn(table, Game().play(cell), f"A new game. I begin, and take {cell}.")


def _turn(table: Table, game: Game, news: str) -> Move:
    return Move(news, (_note(table, game), _ask(game, news)))


def _question(table: Table, game: Game) -> Move:
    said = table.heard[-1] if table.heard else ""
    cell = read_cell(said)
    shown = "".join(char for char in said if char.isprintable())[:40]
    problem = f"Cell {cell} is taken." if cell else f'I cannot tell which cell "{shown}" means.'
    free = ", ".join(str(cell) for cell in game.free)
    news = f"{problem} Free: {free}." if said.strip() else f"I heard no move. Free: {free}."
    return Move(news, (_ask(game, news),))


def _ask(game: Game, news: str) -> tuple[str, Json]:
    message = f"{news}\n\n{game.drawing}\n\nYou are {game.turn}. {QUESTION} {HINT}"
    return TURN_TOOL, {"board": game.board, "message": message}


def _note(table: Table, game: Game) -> tuple[str, Json]:
    user = table.game.turn if table.game else game.turn
    demo = "O" if user == "X" else "X"
    names = {user: "you", demo: "the demo player"}
    moves = [f"{n}. {mark} {cell} ({names[mark]})" for n, (mark, cell) in enumerate(game.moves, 1)]
    page = [
        "# Tic-tac-toe",
        f"You are {user}, the demo player is {demo}.\nScore: {table.score}.",
        f"```\n{game.drawing}\n```",
        "\n".join(moves) or "No moves yet.",
        _verdict(table) or "Your move.",
    ]
    return FILE_TOOL, {"path": FILE, "text": "\n\n".join(page) + "\n"}


def _verdict(table: Table) -> str:
    game, settled = table.game, table.settled
    if game is None:
        return ""
    if settled is None:
        return "The game was left unfinished." if table.has_heard(STOP_WORDS) else ""
    if not settled.is_over:
        return ""
    if settled.winner is None:
        return "A draw."
    return "You win." if settled.winner == game.turn else "The demo player wins."


def _result(table: Table) -> str:
    game = table.settled or table.game
    lines = [_verdict(table) or "The game is not over."]
    if game:
        lines.append(game.drawing)
    lines.append(f"Score: {table.score}. Any further message starts another game.")
    if table.is_unwritten:
        lines.append(f"{FILE} could not be written.")
    return "\n\n".join(lines)
