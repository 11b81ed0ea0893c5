from __future__ import annotations

from typing import Any

import pytest

from perstack import Expert, run
from perstack.providers import Failure, GenerateRequest, Reply
from perstack.providers.scripted import Answer
from perstack.schema.history import History
from perstack.schema.message import TextPart, ToolCallPart, user_message
from perstack.schema.usage import Usage
from perstack.testing import (
    CallSpec,
    Playbook,
    ReplySpec,
    Rule,
    Scenario,
    ScriptedModel,
    call,
    fail,
    say,
    serve_model,
    together,
)
from perstack.testing.playbook import reply_spec
from perstack.testing.scenario import Conversation, Play

pytestmark = pytest.mark.anyio

WRITER = Expert("writer", "You write one line.", description="Writes a line.")
EDITOR = Expert("editor", "You print. You write one line. At most.", delegates=[WRITER])
BOTH = [WRITER, EDITOR]

BOOK = Playbook(
    {
        "editor": [
            together(*(call("writer", {"query": theme}) for theme in ("rain", "sun"))),
            call("writeTextFile", {"path": "paper.txt", "text": "It rains."}),
            say("Printed."),
        ],
        "writer": [
            fail("overloaded_error", 529, retryable=True, retry_after=1),
            call("todo", {"newTodos": ["think"]}),
            "It rains.",
        ],
    }
)


def cut(reply: Reply) -> Reply:
    return Reply(contents=reply.contents, is_truncated=True)


async def played(book: Playbook, expert: Expert, wire: str, folder: Any, **more: Any) -> Any:
    """A run of the playbook, in process or over a real socket."""
    if wire == "in process":
        return await run(expert, "Go", provider=book.model(), workspace=folder, **more)
    async with serve_model(book.scenario(BOTH)) as server:
        return await run(
            expert,
            "Go",
            workspace=folder,
            env=server.variables,
            provider="openai" if wire == "openai" else "anthropic",
            model="gpt-5" if wire == "openai" else "claude-sonnet-4-5",
            **more,
        )


wires = pytest.mark.parametrize("wire", ["in process", "anthropic", "openai"])


@wires
async def test_each_run_of_each_expert_plays_its_own_script(wire, tmp_path):
    result = await played(BOOK, EDITOR, wire, tmp_path)
    assert (result.status, result.text) == ("completed", "Printed.")
    assert (tmp_path / "paper.txt").read_text() == "It rains."
    types = [event.type for event in result.events]
    assert types.count("completeRun") == 3
    assert types.count("retry") == 2


@wires
async def test_a_script_that_is_too_short_tells_what_was_asked(wire, tmp_path):
    book = Playbook({"writer": [call("readTextFile", {"path": "none.txt"})]})
    result = await played(book, WRITER, wire, tmp_path)
    assert result.status == "stoppedByError"
    assert "has no answer" in result.error.message
    asked = "readTextFile" if wire == "in process" else "'Go'"
    assert asked in result.error.message


@wires
async def test_an_expert_nobody_expected_is_named(wire, tmp_path):
    result = await played(Playbook({"editor": ["x"]}), WRITER, wire, tmp_path)
    assert result.status == "stoppedByError"
    named = "'writer'" if wire == "in process" else "'You write one line.'"
    assert named in result.error.message
    assert "'Go'" in result.error.message


@wires
@pytest.mark.parametrize("unusable", ["", cut(say("It ra")), cut(call("todo"))])
async def test_a_reply_that_a_run_cannot_use_is_given_once(unusable, wire, tmp_path):
    result = await played(Playbook({"writer": [unusable, "It rains."]}), WRITER, wire, tmp_path)
    assert (result.status, result.text) == ("completed", "It rains.")


async def test_a_model_goes_on_with_a_job_where_another_one_stopped(tmp_path):
    book = Playbook({"writer": ["It rains.", "It pours."]})
    first = await run(WRITER, "Go", provider=book.model(), workspace=tmp_path)
    second = await run(
        WRITER, "More", provider=book.model(), workspace=tmp_path, continue_job=first.job_id
    )
    assert [first.text, second.text] == ["It rains.", "It pours."]


def asked(key: str, run_id: str = "run") -> GenerateRequest:
    history = History([user_message("0", "go " * 200)])
    return GenerateRequest(
        model="m", instruction="", messages=history, cache_key=run_id, expert_key=key
    )


async def last(model: ScriptedModel, request: GenerateRequest) -> Any:
    return [piece async for piece in model.generate(request)][-1]


@pytest.mark.parametrize("key", ["@me/writer", "@me/writer@1.2.3", "@me/writer@latest"])
async def test_a_script_is_found_by_the_name_of_an_expert_as_well(key):
    assert (await last(ScriptedModel.for_experts({"@me/writer": ["x"]}), asked(key))).message.text


async def test_a_script_for_the_very_key_comes_before_one_for_the_name():
    model = ScriptedModel.for_experts({"writer": ["any"], "writer@1.0.0": ["first"]})
    assert (await last(model, asked("writer@1.0.0"))).message.text == "first"
    assert (await last(model, asked("writer@2.0.0"))).message.text == "any"


async def test_a_failure_is_given_to_each_run_once_and_the_same_turn_asked_again_repeats():
    script: list[Answer] = [fail("busy"), "one"]
    models = [ScriptedModel(script, by="turn"), ScriptedModel.for_experts({"writer": script})]
    for model in models:
        for run_id in ("a", "b"):
            given = [await last(model, asked("writer", run_id)) for _ in range(3)]
            assert isinstance(given[0], Failure)
            assert [reply.message.text for reply in given[1:]] == ["one", "one"]


async def test_a_script_that_ends_with_a_failure_is_over_after_it():
    model = ScriptedModel.for_experts({"writer": [fail("busy")]})
    given = [await last(model, asked("writer")) for _ in range(2)]
    assert [failure.error.name for failure in given] == ["busy", "ScriptExhausted"]
    assert len(given[1].error.message) < 300


@pytest.mark.parametrize(
    ("book", "message"),
    [
        (Playbook({"writr": ["x"]}), "has the Expert 'writr'; the Experts are: writer, editor"),
        (Playbook({"writer": ["x"], "writer@1.0.0": ["x"]}), "the instruction of another one"),
    ],
)
def test_a_playbook_that_a_server_cannot_play_is_refused(book, message):
    with pytest.raises(ValueError, match=message):
        book.scenario(BOTH)


def test_everything_a_reply_holds_reaches_the_server():
    usage = Usage(input_tokens=7, output_tokens=3, cached_input_tokens=2)
    reply = together(
        say("Hm.", thinking="Well.", usage=usage), call("todo", {"newTodos": []}, id="mine")
    )
    assert reply_spec(reply) == ReplySpec(
        text="Hm.",
        thinking="Well.",
        calls=(CallSpec(name="todo", args={"newTodos": []}, id="mine"),),
        input_tokens=5,
        output_tokens=3,
        cached_tokens=2,
    )
    broken = Reply(
        contents=(TextPart(text="x"), ToolCallPart(tool_call_id="a", tool_name="t", args={})),
        problems={"a": "no JSON"},
        is_truncated=True,
    )
    spec = reply_spec(broken)
    assert (spec.calls[0].raw, spec.stop_reason) == ("{", "max_tokens")


@pytest.mark.parametrize(
    ("failure", "status"),
    [(fail(status=418), 418), (fail(retryable=True), 503), (fail("no", message="why"), 400)],
)
def test_a_failure_leaves_as_an_error_that_means_the_same(failure, status):
    spec = reply_spec(failure)
    assert spec.status == status
    assert spec.error == (failure.error.name, failure.error.message)


def playing(rule: Rule) -> Any:
    """A function of a request's turn and text, which tells the answer's text or its status."""
    play = Play(Scenario(rules=(rule,)))

    def answer(turn: int, user: str = "") -> str | int:
        spec = play.answer(Conversation(system="", user=user, turns=turn))
        return spec.text if spec.status == 200 else spec.status

    return answer


def test_a_rule_by_turn_gives_an_answer_that_leaves_no_reply_once_to_each_text():
    busy = ReplySpec(status=529)
    play = playing(Rule(by="turn", replies=(busy, ReplySpec(text="0"), busy)))
    assert [play(0), play(0), play(0)] == [529, "0", "0"]
    assert [play(0, "other"), play(0, "other")] == [529, "0"]
    assert [play(1), play(1), play(9)] == [529, 529, 529]


def test_a_rule_that_does_not_repeat_is_over_after_its_last_answer():
    for by in ("turn", "arrival"):
        play = playing(Rule(by=by, replies=(ReplySpec(text="0"),), repeats=False))
        assert [play(0), play(1)] == ["0", 400]
