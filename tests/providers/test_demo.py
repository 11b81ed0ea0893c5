from __future__ import annotations

import itertools
import json
import zlib
from typing import TYPE_CHECKING

import anyio
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perstack.providers import GenerateRequest, Reply, TextDelta
from perstack.providers.demo import NOTICE, TIC_TAC_TOE, DemoPlayer, demo_for
from perstack.providers.tic_tac_toe import (
    EMPTY,
    Game,
    best_cell,
    board_after,
    free_cells,
    read_board,
    read_cell,
    winner_of,
)
from perstack.registry.catalogue import catalogue_experts
from perstack.schema.digest import digest
from perstack.schema.history import History
from perstack.schema.message import (
    ExpertMessage,
    Message,
    TextPart,
    ToolCallPart,
    ToolMessage,
    ToolResultPart,
    user_message,
    with_part_ids,
)
from perstack.schema.skill import InteractiveSkill, McpStdioSkill
from perstack.schema.tool import ToolDefinition
from perstack.schema.usage import NO_USAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Literal

    Choice = Literal["auto", "none"]
    Opponent = Callable[[str], str]

TURN, FILE, DONE = "takeTurn", "writeTextFile", "attemptCompletion"
TOOLS = tuple(ToolDefinition(skill_name="s", name=n, input_schema={}) for n in (TURN, FILE, DONE))


async def replied(
    messages: Sequence[Message], tools: tuple[ToolDefinition, ...] = TOOLS, choice: Choice = "auto"
) -> Reply:
    request = GenerateRequest(
        model="m", instruction="", messages=History(messages), tools=tools, tool_choice=choice
    )
    *pieces, reply = [piece async for piece in DemoPlayer().generate(request)]
    assert isinstance(reply, Reply)
    deltas = [piece.text for piece in pieces if isinstance(piece, TextDelta) and piece.text]
    assert len(deltas) == len(pieces)
    assert "".join(deltas) == reply.message.text != ""
    assert reply.usage == NO_USAGE
    return reply


def answer(call: ToolCallPart, text: str, *, is_error: bool = False) -> ToolResultPart:
    return ToolResultPart(
        tool_call_id=call.tool_call_id,
        tool_name=call.tool_name,
        contents=(TextPart(text=text),),
        is_error=is_error,
    )


class Match:
    """A conversation with the demo player, in which this class is everybody else."""

    def __init__(self, *, tools: tuple[ToolDefinition, ...] = TOOLS, can_write=True) -> None:
        self.messages: list[Message] = []
        self.tools = tools
        self.can_write = can_write
        self.page = ""
        self.boards: list[str] = []
        self.questions: list[str] = []
        self.result = ""

    async def play(self, query: str, opponent: Opponent) -> str:
        """One game, to its result. The opponent is shown each board and answers with text."""
        self.messages.append(user_message(f"m{len(self.messages)}", query))
        for _ in range(60):
            reply = await self.step()
            if not reply.message.calls:
                return reply.message.text
            if reply.message.calls[0].tool_name == DONE:
                assert len(reply.message.calls) == 1
                return reply.message.text
            self.react(reply, opponent)
        pytest.fail("the game does not end")

    async def step(self) -> Reply:
        reply = await replied(self.messages, self.tools)
        assert reply == await replied(self.messages, self.tools)
        name = f"m{len(self.messages)}"
        self.messages.append(
            ExpertMessage(id=name, contents=with_part_ids(reply.contents, name)),
        )
        if [call.tool_name for call in reply.message.calls] == [DONE]:
            self.messages.append(self.told(answer(reply.message.calls[0], "{}")))
        return reply

    def told(self, *results: ToolResultPart) -> ToolMessage:
        return ToolMessage(id=f"m{len(self.messages)}", contents=results)

    def react(self, reply: Reply, opponent: Opponent) -> None:
        results: list[ToolResultPart] = []
        for call in reply.message.calls:
            if call.tool_name == FILE:
                assert call.args["path"] == "./tic-tac-toe.md"
                self.page = str(call.args["text"])
                results.append(answer(call, "{}", is_error=not self.can_write))
            else:
                assert call.tool_name == TURN
                assert set(call.args) == {"board", "message"}
                board = read_board(call.args["board"])
                assert board is not None
                assert Game(board).drawing in str(call.args["message"])
                self.boards.append(board)
                self.questions.append(str(call.args["message"]))
                results.append(answer(call, opponent(board)))
        self.messages.append(self.told(*results))

    def call_ids(self) -> list[str]:
        experts = [message for message in self.messages if isinstance(message, ExpertMessage)]
        return [call.tool_call_id for message in experts for call in message.calls]


def assert_fair(boards: list[str]) -> None:
    """From each board to the next: the same, one legal move of each side, or a new game."""
    for before, after in itertools.pairwise(boards):
        if after.count(".") > before.count(".") or before == after:
            continue
        assert Game(before).continued(after), f"{before} cannot become {after}"


def first_free(board: str) -> str:
    return str(free_cells(board)[0])


def perfect(board: str) -> str:
    return str(best_cell(board))


def at_random(seed: int) -> Opponent:
    def answered(board: str) -> str:
        free = free_cells(board)
        return str(free[zlib.crc32(f"{seed} {board}".encode()) % len(free)])

    return answered


def test_the_digest_is_that_of_the_catalogue_definition():
    assert digest(catalogue_experts()["tic-tac-toe"]) == TIC_TAC_TOE


def test_a_definition_is_known_by_its_content_and_not_by_its_name():
    expert = catalogue_experts()["tic-tac-toe"]
    edited = msgspec.structs.replace(expert, instruction=expert.instruction + " ")
    assert demo_for(digest(expert)) is not None
    assert demo_for(digest(edited)) is None
    assert demo_for(digest(catalogue_experts()["pro-trainer"])) is None
    assert demo_for("tic-tac-toe") is None


def test_the_demo_calls_only_tools_that_the_catalogue_definition_has():
    expert = catalogue_experts()["tic-tac-toe"]
    base, player = expert.skills["@perstack/base"], expert.skills["player"]
    assert isinstance(base, McpStdioSkill)
    assert set(base.pick) >= {FILE, DONE}
    assert isinstance(player, InteractiveSkill)
    schema = json.loads(player.tools[TURN].input_json_schema)
    assert set(schema["required"]) == {"board", "message"}


def test_the_notice_says_that_no_model_is_used():
    assert NOTICE.startswith("no AI model is used: ")


@pytest.mark.anyio
async def test_the_first_reply_plays_a_move_writes_it_down_and_asks_the_user():
    reply = await replied([user_message("m0", "Let's play!")])
    write, turn = reply.message.calls
    assert (write.tool_name, turn.tool_name) == (FILE, TURN)
    assert (write.tool_call_id, turn.tool_call_id) == ("demo-1-0", "demo-1-1")
    assert turn.args["board"] == "....X...."
    assert "1. X 5 (the demo player)" in str(write.args["text"])


@pytest.mark.anyio
@pytest.mark.parametrize("opponent", [first_free, perfect], ids=["first free", "perfect"])
async def test_the_demo_never_loses_whoever_begins(opponent):
    match = Match()
    first = await match.play("Let's play!", opponent)
    second = await match.play("again", opponent)
    third = await match.play("again", opponent)
    for result in (first, second, third):
        assert result.startswith("A draw" if opponent is perfect else ("The demo player", "A draw"))
    assert match.boards[0].count("X") == 1
    assert EMPTY in match.boards
    assert_fair(match.boards)


@pytest.mark.anyio
async def test_the_demo_wins_or_draws_against_a_hundred_players_who_move_at_random():
    won = 0
    for seed in range(50):
        match = Match()
        for query in ("Let's play!", "again"):
            result = await match.play(query, at_random(seed))
            assert result.startswith(("The demo player wins.", "A draw."))
            won += result.startswith("The demo player wins.")
        assert_fair(match.boards)
        assert len(set(match.call_ids())) == len(match.call_ids())
    assert won > 50


def test_no_line_of_play_beats_the_best_cell():
    def endings(board: str, mark: str) -> set[str | None]:
        if winner_of(board) or not free_cells(board):
            return {winner_of(board)}
        is_ours = Game(board).turn == mark
        cells = (best_cell(board),) if is_ours else free_cells(board)
        return set().union(*(endings(board_after(board, cell), mark) for cell in cells))

    assert endings(EMPTY, "X") == {"X", None}
    assert endings(EMPTY, "O") == {"O", None}


@pytest.mark.anyio
@pytest.mark.parametrize(
    "nonsense",
    [
        "",
        "hello",
        "10",
        "0",
        "-5",
        "5.5",
        "1 or 2",
        "\0\x1b[2J",
        "{" * 400,
        "9" * 10_000,
        '{"cell": []}',
    ],
)
async def test_an_answer_that_names_no_cell_is_asked_again_on_the_same_board(nonsense):
    answers = iter([nonsense, nonsense, "1"])
    match = Match()
    await match.play("Let's play!", lambda board: next(answers, first_free(board)))
    assert match.boards[0] == match.boards[1] == match.boards[2] != match.boards[3]
    assert "Free: 1, 2, 3, 4, 6, 7, 8, 9." in match.questions[1]
    assert "\x1b" not in match.questions[1]


@pytest.mark.anyio
async def test_a_taken_cell_is_explained_and_asked_again():
    answers = iter(["centre"])
    match = Match()
    await match.play("Let's play!", lambda board: next(answers, first_free(board)))
    assert match.questions[1].startswith("Cell 5 is taken.")
    assert match.boards[0] == match.boards[1]


@pytest.mark.anyio
async def test_the_file_follows_the_game_and_ends_with_the_result():
    match = Match()
    answers = iter(["1", "4", "8"])
    result = await match.play("Let's play!", lambda _: next(answers))
    assert result.startswith("The demo player wins.")
    assert "2. O 1 (you)" in match.page
    assert match.page.rstrip().endswith("The demo player wins.")
    final = Game(match.boards[-1]).play(4)
    drawing = final.play(best_cell(final.board)).drawing
    assert drawing in match.page
    assert drawing in result


@pytest.mark.anyio
async def test_the_score_counts_the_games_of_one_conversation():
    match = Match()
    assert "you 0, the demo player 0, draws 1" in await match.play("Let's play!", perfect)
    assert "you 0, the demo player 0, draws 2" in await match.play("once more", perfect)
    answers = iter(["1", "4", "8"])
    assert "demo player 1, draws 2" in await match.play("again", lambda _: next(answers))
    assert "Score: you 0, the demo player 1, draws 2." in match.page


@pytest.mark.anyio
async def test_the_user_may_stop_a_game():
    match = Match()
    result = await match.play("Let's play!", lambda _: " Quit. ")
    assert result.startswith("The game was left unfinished.")
    assert "you 0, the demo player 0, draws 0" in result


@pytest.mark.anyio
async def test_the_user_may_start_over():
    answers = iter(["1", "new game"])
    match = Match()
    await match.play("Let's play!", lambda board: next(answers, first_free(board)))
    assert match.boards[2] == EMPTY


@pytest.mark.anyio
async def test_a_message_in_the_middle_of_a_game_counts_as_the_answer():
    match = Match()
    match.messages.append(user_message("m0", "Let's play!"))
    reply = await match.step()
    write, turn = reply.message.calls
    failed = answer(turn, "not answered", is_error=True)
    match.messages.append(match.told(answer(write, "{}"), failed))
    await match.play("top left", first_free)
    assert match.boards[0][0] == "O"


@pytest.mark.anyio
async def test_answers_that_arrive_in_messages_of_their_own_are_found():
    match = Match()
    match.messages.append(user_message("m0", "Let's play!"))
    write, turn = (await match.step()).message.calls
    match.messages += [match.told(answer(write, "{}")), match.told(answer(turn, "1"))]
    reply = await match.step()
    assert str(reply.message.calls[1].args["board"]).startswith("O")


@pytest.mark.anyio
async def test_a_turn_that_cannot_be_asked_ends_the_run_with_the_reason():
    match = Match()
    match.messages.append(user_message("m0", "Let's play!"))
    write, turn = (await match.step()).message.calls
    match.messages.append(match.told(answer(write, "{}"), answer(turn, "no user", is_error=True)))
    reply = await match.step()
    assert reply.message.calls == ()
    assert "no user" in reply.message.text


@pytest.mark.anyio
async def test_a_completion_that_is_not_accepted_is_followed_by_text_alone():
    match = Match()
    await match.play("Let's play!", first_free)
    reply = await match.step()
    assert reply.message.calls == ()
    assert reply.message.text.startswith(("The demo player wins.", "A draw."))


@pytest.mark.anyio
async def test_without_a_tool_choice_the_result_comes_as_text():
    match = Match()
    result = await match.play("Let's play!", first_free)
    assert (await replied(match.messages, choice="none")).contents == (TextPart(text=result),)
    early = await replied([user_message("m0", "Let's play!")], choice="none")
    assert early.message.calls == ()


@pytest.mark.anyio
async def test_only_tools_at_hand_are_called():
    only_turns = TOOLS[:1]
    result = await Match(tools=only_turns).play("Let's play!", first_free)
    assert result.startswith(("The demo player wins.", "A draw."))
    assert "takeTurn is not among the tools" in await Match(tools=()).play("Hi", first_free)


@pytest.mark.anyio
async def test_a_file_that_cannot_be_written_is_told_with_the_result():
    result = await Match(can_write=False).play("Let's play!", first_free)
    assert "./tic-tac-toe.md could not be written." in result


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("board", "expected"),
    [
        ("X...O....", "XO..O...X"),  # the user is X and took 9: a side keeps the draw
        ("XXX......", "....X...."),  # no board on which one can move: a new game
        (None, "....X...."),
        ("a drawing", "....X...."),
    ],
)
async def test_a_game_that_a_model_began_goes_on_where_its_board_makes_sense(board, expected):
    call = ToolCallPart(tool_call_id="toolu_1", tool_name=TURN, args={"board": board})
    messages: list[Message] = [
        user_message("m0", "Let's play!"),
        ExpertMessage(id="m1", contents=(call,)),
        ToolMessage(id="m2", contents=(answer(call, "9"),)),
    ]
    reply = await replied(messages)
    shown = str(reply.message.calls[1].args["board"])
    assert shown == expected


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("5", 5),
        (" 5 \n", 5),
        ("5.", 5),
        ("I take cell 7!", 7),
        ("5 (centre)", 5),
        ("\uff15", 5),
        ("five", 5),
        ("b2", 5),
        ("A1", 1),
        ("c1", 3),
        ("a3", 7),
        ("center", 5),
        ("the middle", 5),
        ("top left", 1),
        ("Top-Right", 3),
        ("bottom middle", 8),
        ("middle left", 4),
        ("lower right corner", 9),
        ("the top right one", 3),
        ('{"cell": 5}', 5),
        ('{"move": "b2"}', 5),
        ('{"cell": true}', None),
        ('{"cell": ', None),
        ("[5]", 5),
        ("top", None),
        ("left", None),
        ("center or top right", None),
        ("top left or bottom right", None),
        ("all right", None),
        ("15", None),
        ("d4", None),
        ("1, 2", None),
        ("", None),
        ("x" * 1000 + " 5", None),
    ],
)
def test_a_cell_is_read_from_what_people_type(text, cell):
    assert read_cell(text) == cell


@given(st.text())
@settings(max_examples=200, deadline=None)
def test_any_text_is_read_as_a_cell_or_as_none(text):
    assert read_cell(text) in {None, *range(1, 10)}


@given(st.lists(st.text(max_size=20) | st.integers(0, 10).map(str), max_size=12))
@settings(max_examples=40, deadline=None)
def test_a_game_ends_well_whatever_is_answered(answers):
    async def whole_game() -> None:
        left = iter(answers)
        match = Match()
        result = await match.play("Hi", lambda board: next(left, first_free(board)))
        assert not result.startswith("You win")
        assert_fair(match.boards)

    anyio.run(whole_game)
