from typing import Any

import anyio
import anyio.lowlevel
import pytest

from perstack.providers import Failure, GenerateRequest, ReasoningDelta, Reply, TextDelta
from perstack.schema.history import History
from perstack.schema.message import TextPart, ThinkingPart, ToolCallPart, user_message
from perstack.schema.usage import Usage
from perstack.testing import ScriptedModel, call, fail, say, together

pytestmark = pytest.mark.anyio


def asked(*texts: str) -> GenerateRequest:
    messages = [user_message(str(at), text) for at, text in enumerate(texts or ("go",))]
    return GenerateRequest(model="scripted", instruction="", messages=History(messages))


async def pieces(model: ScriptedModel, request: GenerateRequest | None = None) -> list[Any]:
    return [piece async for piece in model.generate(request or asked())]


async def test_answers_come_in_the_order_of_the_list_and_requests_are_kept():
    model = ScriptedModel([call("todo", {"newTodos": ["x"]}), "Done."])
    (first,) = await pieces(model, asked("a"))
    *_, second = await pieces(model, asked("a", "b"))
    assert first.message.calls == (
        ToolCallPart(tool_call_id="call-1-0", tool_name="todo", args={"newTodos": ["x"]}),
    )
    assert second.message.text == "Done."
    assert [len(request.messages) for request in model.requests] == [1, 2]


async def test_a_reply_streams_its_thinking_and_text_before_it_is_whole():
    model = ScriptedModel([say("Hello.", thinking="Hm.")])
    assert await pieces(model) == [
        ReasoningDelta(text="Hm."),
        TextDelta(text="Hello."),
        Reply(
            contents=(ThinkingPart(thinking="Hm.", signature="scripted"), TextPart(text="Hello."))
        ),
    ]


async def test_several_calls_make_one_reply_with_an_id_each():
    reply = together(say("Both."), call("a"), call("b", id="mine"), call("c", usage=Usage()))
    *_, last = await pieces(ScriptedModel([reply]))
    assert [part.tool_call_id for part in last.message.calls] == ["call-1-1", "mine", "call-1-3"]


async def test_the_same_request_gets_the_same_ids_from_any_model():
    script = [call("a")] * 2
    assert await pieces(ScriptedModel(script)) == await pieces(ScriptedModel(script))


async def test_a_failure_is_given_as_it_is():
    script = [fail("overloaded_error", 529, retryable=True, retry_after=20)]
    (failure,) = await pieces(ScriptedModel(script))
    assert (failure.error.name, failure.error.status_code) == ("overloaded_error", 529)
    assert failure.error.is_retryable
    assert failure.retry_after == 20


async def test_deltas_can_be_scripted_one_by_one():
    stream = [TextDelta(text="Hel"), TextDelta(text="lo"), fail("Disconnected", retryable=True)]
    assert await pieces(ScriptedModel([stream])) == stream


async def test_a_list_by_turn_goes_on_in_another_model_where_the_first_one_stopped():
    script = [call("a"), say("b")]
    *_, first = await pieces(ScriptedModel(script, by="turn"))
    later = History([user_message("0", "go"), first.message, user_message("1", "on")])
    request = GenerateRequest(model="scripted", instruction="", messages=later)
    *_, second = await pieces(ScriptedModel(script, by="turn"), request)
    assert second.message.text == "b"


async def test_past_its_end_a_script_fails_for_good():
    model = ScriptedModel(["one"])
    await pieces(model)
    (failure,) = await pieces(model)
    assert isinstance(failure, Failure)
    assert failure.error.name == "ScriptExhausted"
    assert not failure.error.is_retryable


@pytest.mark.parametrize("kind", ["plain", "async"])
async def test_a_function_answers_each_request_by_what_it_says(kind):
    def answer(request: GenerateRequest) -> Reply:
        return say(f"{len(request.messages)} messages")

    async def later(request: GenerateRequest) -> Reply:
        await anyio.lowlevel.checkpoint()
        return answer(request)

    model = ScriptedModel(answer if kind == "plain" else later)
    *_, last = await pieces(model, asked("a", "b"))
    assert last.message.text == "2 messages"


async def test_a_gate_holds_the_model_until_the_test_opens_it():
    gate, waiting, done = anyio.Event(), anyio.Event(), anyio.Event()

    async def before(request: GenerateRequest) -> None:
        waiting.set()
        await gate.wait()

    async def generate() -> None:
        await pieces(model)
        done.set()

    model = ScriptedModel(["one"], before=before)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(generate)
        with anyio.fail_after(5):
            await waiting.wait()
            assert not done.is_set()
            gate.set()
            await done.wait()


async def test_closing_is_noted_and_may_be_repeated():
    model = ScriptedModel()
    await model.aclose()
    await model.aclose()
    assert model.is_closed
