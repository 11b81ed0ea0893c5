"""The Chat Completions wire: streams of many servers, folded into replies."""

import json
from contextlib import AsyncExitStack
from typing import Any

import anyio
import msgspec
import pytest

from perstack.net.redaction import Redaction
from perstack.providers import Failure, GenerateRequest, ReasoningDelta, Reply, TextDelta
from perstack.providers.endpoint import Endpoint
from perstack.providers.openai_chat import ChatModel
from perstack.providers.openai_chat_quirks import COMPATIBLE, DEEPSEEK, OPENAI
from perstack.providers.openai_chat_stream import ReplyBuilder
from perstack.providers.wire import sealed, wire_name
from perstack.schema.history import History
from perstack.schema.message import (
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolMessage,
    ToolResultPart,
    user_message,
)
from perstack.schema.tool import ToolDefinition
from perstack.schema.usage import Usage
from perstack.testing import serve_model
from perstack.testing.scenario import CallSpec, ReplySpec

pytestmark = pytest.mark.anyio

KEY = "sk-canary-9f0e7b1d55"
FULL = ReplySpec(
    thinking="Let me see. ",
    text="Reading ünïcode 🙂 now.",
    text_pieces=7,
    calls=(
        CallSpec(name="readTextFile", args={"path": "a.txt", "deep": {"x": [1, None, "é"]}}),
        CallSpec(name="todo"),
    ),
    input_tokens=10,
    output_tokens=8,
    cached_tokens=200,
    cache_creation_tokens=30,
)


def asked(**fields: Any) -> GenerateRequest:
    fields = {"model": "gpt-x", "instruction": "Be brief.", "timeout": 5_000} | fields
    fields.setdefault("messages", History([user_message("m1", "Hello")]))
    return GenerateRequest(**fields)


@pytest.fixture
async def model():
    """Opens the wire to a URL. Its connections are closed after the test."""
    async with AsyncExitStack() as stack:

        def opened(url: str, quirks=COMPATIBLE) -> ChatModel:
            own = {"authorization": f"Bearer {KEY}"}
            provider = ChatModel(Endpoint(f"{url}/v1/chat/completions", own, {}, (KEY,)), quirks)
            stack.push_async_callback(provider.aclose)
            return provider

        yield opened


async def pieces_of(provider: ChatModel, **fields: Any) -> list[Any]:
    return [piece async for piece in provider.generate(asked(**fields))]


def builder(**names: str) -> ReplyBuilder:
    return ReplyBuilder(names, Redaction((KEY,)), wire="w", place=4)


def chunk(reason: str | None = None, /, **delta: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return json.dumps({"choices": [choice]}).encode()


def piece(name: str | None = None, arguments: Any = None, **fields: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"function": {k: v for k, v in function.items() if v is not None}, **fields}


def folded(*events: bytes, **names: str) -> Reply:
    folding = builder(**names)
    folding.feed([*events, b"[DONE]"])
    reply = folding.reply()
    assert isinstance(reply, Reply), reply
    return reply


def failed(*events: bytes) -> Failure:
    folding = builder()
    folding.feed(events)
    failure = folding.reply()
    assert isinstance(failure, Failure), failure
    return failure


def calls(*pieces: dict[str, Any]) -> list[tuple[str, str, Any]]:
    """What a stream of these pieces, a chunk each, makes of the calls."""
    reply = folded(*(chunk(tool_calls=[each]) for each in pieces), chunk("tool_calls"))
    assert reply.problems == {}
    return [(call.tool_call_id, call.tool_name, call.args) for call in reply.message.calls]


@pytest.mark.parametrize("write", ["whole", "events", "bytes"])
async def test_a_reply_comes_whole_however_its_stream_is_cut(model, write):
    async with serve_model([msgspec.structs.replace(FULL, write=write)]) as server:
        *deltas, reply = await pieces_of(model(server.url))
        (request,) = server.requests
    assert request.path == "/v1/chat/completions"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert reply == Reply(
        contents=(
            ThinkingPart(
                thinking="Let me see. ", signature=sealed("openai-chat-like", "reasoning_content")
            ),
            TextPart(text="Reading ünïcode 🙂 now."),
            ToolCallPart(
                tool_call_id="call_0_0",
                tool_name="readTextFile",
                args={"path": "a.txt", "deep": {"x": [1, None, "é"]}},
            ),
            ToolCallPart(tool_call_id="call_0_1", tool_name="todo", args={}),
        ),
        usage=Usage(
            input_tokens=240,
            output_tokens=8,
            reasoning_tokens=4,
            total_tokens=248,
            cached_input_tokens=200,
        ),
    )
    shown = {
        kind: "".join(delta.text for delta in deltas if isinstance(delta, kind))
        for kind in (TextDelta, ReasoningDelta)
    }
    assert shown == {TextDelta: "Reading ünïcode 🙂 now.", ReasoningDelta: "Let me see. "}


async def test_a_tool_is_called_by_its_own_name_again(model):
    name = "søk.filer"
    called = (CallSpec(name=wire_name(name)), CallSpec(name="made_up"))
    tool = ToolDefinition(skill_name="s", name=name, input_schema={"type": "object"})
    async with serve_model([ReplySpec(calls=called)]) as server:
        *_, reply = await pieces_of(model(server.url), tools=(tool,))
    assert [call.tool_name for call in reply.message.calls] == [name, "made_up"]


@pytest.mark.parametrize("reason", ["length", "max_tokens"])
async def test_a_reply_cut_at_the_limit_is_truncated(model, reason):
    async with serve_model([ReplySpec(text="So f", stop_reason=reason)]) as server:
        *_, reply = await pieces_of(model(server.url))
    assert reply.is_truncated
    assert reply.message.text == "So f"


@pytest.mark.parametrize(
    ("reason", "is_retryable"),
    [("content_filter", False), ("insufficient_system_resource", True), ("error", True)],
)
async def test_an_ending_that_leaves_no_answer_is_a_failure_with_its_usage(
    model, reason, is_retryable
):
    spec = ReplySpec(text="I", stop_reason=reason, input_tokens=5)
    async with serve_model([spec]) as server:
        *_, failure = await pieces_of(model(server.url))
    assert failure.error.name == reason
    assert failure.error.is_retryable is is_retryable
    assert failure.usage.input_tokens == 5


async def test_a_refusal_is_a_final_failure_in_the_models_words(model):
    spec = ReplySpec(text=f"I will not say {KEY}.", text_pieces=3, stop_reason="refusal")
    async with serve_model([spec]) as server:
        *deltas, failure = await pieces_of(model(server.url))
    assert deltas == []
    assert failure.error.name == "refusal"
    assert failure.error.message.endswith("I will not say ***.")
    assert not failure.error.is_retryable


async def test_a_tool_that_the_vendor_refuses_ends_the_run_before_anything_is_sent(model):
    schema = {"type": "object", "properties": {}, "anyOf": [{"required": ["a"]}]}
    tool = ToolDefinition(skill_name="wiki", name="search", input_schema=schema)
    async with serve_model([ReplySpec(text="Hi")] * 2) as server:
        (failure,) = await pieces_of(model(server.url, OPENAI), tools=(tool,))
        assert server.requests == []
        *_, reply = await pieces_of(model(server.url), tools=(tool,))
        (request,) = server.requests
    assert failure.error.name == "UnsupportedToolSchema"
    assert not failure.error.is_retryable
    for words in ("'search'", "'wiki'", '"anyOf"'):
        assert words in failure.error.message
    assert isinstance(reply, Reply)
    assert json.loads(request.body)["tools"][0]["function"]["parameters"] == schema


async def test_deepseek_is_sent_its_thoughts_until_the_tools_have_answered(model):
    spec = ReplySpec(thinking="Hm.", calls=(CallSpec(name="readTextFile"),))
    async with serve_model([spec, ReplySpec(text="Done.")]) as server:
        provider = model(server.url, DEEPSEEK)
        *_, reply = await pieces_of(provider)
        part = ToolResultPart(
            tool_call_id="call_0_0", tool_name="readTextFile", contents=(TextPart(text="x"),)
        )
        answered = ToolMessage(id="t", contents=(part,))
        history = History([user_message("0", "go"), reply.message, answered])
        await pieces_of(provider, messages=history)
        back = json.loads(server.requests[1].body)["messages"][2]
    assert back["reasoning_content"] == "Hm."
    assert back["tool_calls"][0]["id"] == "call_0_0"


async def test_a_broken_stream_has_the_usage_it_told_of(model):
    async with serve_model([ReplySpec(text="abc", trouble="cut")]) as server:
        *_, failure = await pieces_of(model(server.url))
    assert failure.error.name == "Disconnected"
    assert failure.usage == Usage()


async def test_a_generation_ends_at_its_deadline(model):
    async with serve_model([ReplySpec(text="abc", trouble="stall")]) as server:
        with anyio.fail_after(5):
            *_, failure = await pieces_of(model(server.url), timeout=150)
    assert failure.error.name == "TimedOut"


def test_pieces_are_told_apart_by_their_number():
    assert calls(
        piece("a", "", index=0, id="x"),
        piece("b", "", index=1, id="y"),
        piece(None, '{"n":', index=0),
        piece(None, '{"n":', index=1),
        piece(None, "1}", index=0),
        piece(None, "2}", index=1),
    ) == [("x", "a", {"n": 1}), ("y", "b", {"n": 2})]


def test_pieces_without_a_number_belong_to_the_newest_call():
    assert calls(
        piece("a", '{"n":', id="x"),
        piece(None, "1}"),
        piece("b", '{"n":', id="y"),
        piece(None, "2", id="y"),
        piece(None, "0}"),
    ) == [("x", "a", {"n": 1}), ("y", "b", {"n": 20})]
    assert calls(piece("a", '{"n":', index=0, id="x"), piece(None, "1}")) == [("x", "a", {"n": 1})]


def test_whole_calls_may_share_one_number():
    assert calls(
        piece("a", '{"n": 1}', index=0, id="x"), piece("a", '{"n": 2}', index=0, id="y")
    ) == [("x", "a", {"n": 1}), ("y", "a", {"n": 2})]


def test_whole_calls_may_come_without_number_and_id():
    assert calls(piece("a", '{"n": 1}'), piece("a", {"n": 2}), piece("b"), piece("c")) == [
        ("call_4_0", "a", {"n": 1}),
        ("call_4_1", "a", {"n": 2}),
        ("call_4_2", "b", {}),
        ("call_4_3", "c", {}),
    ]


def test_calls_that_share_an_id_get_one_of_their_own():
    assert calls(
        piece("a", '{"n": 1}', index=0, id="x"), piece("b", '{"n": 2}', index=1, id="x")
    ) == [("x", "a", {"n": 1}), ("x_4_1", "b", {"n": 2})]


@pytest.mark.parametrize("index", [{}, {"index": 0}])
def test_a_server_may_repeat_id_and_name_with_every_piece(index):
    assert calls(
        *(piece("a", part, id="x", **index) for part in ("", '{"m": {}', ', "n": ', "1}")),
        piece("b", "{}", id="y", **index),
    ) == [("x", "a", {"m": {}, "n": 1}), ("y", "b", {})]


def test_an_empty_id_or_name_says_nothing():
    assert calls(
        piece("a", '{"n":', index=0, id="x"),
        piece("", "1}", index=0, id=""),
        piece("", "", index=0),
    ) == [("x", "a", {"n": 1})]


def test_arguments_that_are_no_object_are_a_problem_of_that_call():
    reply = folded(
        chunk(tool_calls=[piece("a", '{"path": "a', index=0, id="bad")]),
        chunk(tool_calls=[piece("b", "[1]", index=1, id="list")]),
        chunk(tool_calls=[piece("c", "", index=2, id="good")]),
        chunk("length"),
    )
    assert reply.is_truncated
    assert [call.args for call in reply.message.calls] == [{}, {}, {}]
    assert reply.problems.keys() == {"bad", "list"}


def test_deltas_that_arrive_together_are_joined():
    events = [
        chunk(reasoning="a"),
        chunk(reasoning="b"),
        chunk(content="c"),
        chunk(content="d"),
        chunk(reasoning_content="e"),
    ]
    assert builder().feed(events) == [
        ReasoningDelta(text="ab"),
        TextDelta(text="cd"),
        ReasoningDelta(text="e"),
    ]


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_reasoning_is_kept_with_the_field_it_came_in(field):
    reply = folded(chunk(**{field: "Hm, "}), chunk(**{field: "so."}), chunk("stop", content="Yes."))
    assert reply.contents == (
        ThinkingPart(thinking="Hm, so.", signature=sealed("w", field)),
        TextPart(text="Yes."),
    )


def test_reasoning_that_comes_in_two_fields_is_told_once():
    folding = builder()
    told = chunk("stop", reasoning="Hm.", reasoning_content="Hm.", content=None, refusal=None)
    assert folding.feed([told]) == [ReasoningDelta(text="Hm.")]


def test_reasoning_details_are_put_together_again():
    text = {"type": "reasoning.text", "index": 0, "format": "f"}
    hidden = {"type": "reasoning.encrypted", "index": 1, "data": "b3BhcXVl"}
    reply = folded(
        chunk(reasoning="Hm, ", reasoning_details=[text | {"text": "Hm, "}]),
        chunk(reasoning_details=[text | {"text": "so.", "signature": None}]),
        chunk(reasoning_details=[text | {"signature": "sig"}]),
        chunk(reasoning_details=[text | {"text": "", "signature": None}]),
        chunk(reasoning_details=[hidden]),
        chunk(reasoning_details=[hidden]),
        chunk("stop", content="Yes."),
    )
    thinking = reply.contents[0]
    assert isinstance(thinking, ThinkingPart)
    assert thinking.thinking == "Hm, so."
    wire, _, proof = (thinking.signature or "").partition(":")
    assert wire == "w"
    assert json.loads(proof) == [text | {"text": "Hm, so.", "signature": "sig"}, hidden, hidden]


def test_hidden_reasoning_is_a_part_that_says_nothing():
    reply = folded(chunk("stop", reasoning_details=[{"type": "reasoning.encrypted", "data": "x"}]))
    (part,) = reply.contents
    assert isinstance(part, ThinkingPart)
    assert (part.thinking, part.redacted) == ("", True)


@pytest.mark.parametrize(
    ("error", "name", "is_retryable", "status"),
    [
        ({"type": "server_error", "code": None, "message": "Oh."}, "server_error", True, None),
        (
            {"type": "invalid_request_error", "code": "context_length_exceeded", "message": "Oh."},
            "context_length_exceeded",
            False,
            None,
        ),
        (
            {"type": "insufficient_quota", "code": "insufficient_quota", "message": "Oh."},
            "insufficient_quota",
            False,
            None,
        ),
        ({"code": 502, "message": "Oh."}, "error", True, 502),
        ({"code": 400, "message": "Oh."}, "error", False, 400),
        ({"type": "server_error", "code": "odd", "message": "Oh."}, "server_error", True, None),
        ("Oh.", "error", False, None),
    ],
)
def test_an_error_inside_a_stream_keeps_its_name_and_says_whether_it_passes(
    error, name, is_retryable, status
):
    failure = failed(chunk(content="x"), json.dumps({"error": error, "choices": []}).encode())
    assert failure.error.name == name
    assert failure.error.message == "Oh."
    assert failure.error.is_retryable is is_retryable
    assert failure.error.status_code == status


def test_an_error_may_be_the_chunk_itself():
    told = {"object": "error", "message": f"No {KEY}", "type": "BadRequestError", "code": 400}
    failure = failed(json.dumps(told).encode())
    assert (failure.error.name, failure.error.status_code) == ("BadRequestError", 400)
    assert failure.error.message == "No ***"


def test_an_empty_error_is_none():
    told = {"error": None, "choices": [{"delta": {"content": "Hi"}, "finish_reason": "stop"}]}
    assert folded(json.dumps(told).encode()).message.text == "Hi"


@pytest.mark.parametrize("data", [b"{", b"[1]", b'{"choices": 3}', b'{"choices": [{"delta": 1}]}'])
def test_an_event_that_cannot_be_read_may_be_tried_again(data):
    failure = failed(chunk(content="x"), data)
    assert failure.error.name == "UnreadableResponse"
    assert failure.error.is_retryable


def test_fields_and_choices_nobody_asked_for_are_skipped():
    odd = {
        "choices": [
            {"index": 1, "delta": {"content": "another"}},
            {"index": 0, "delta": {"content": "Hi", "odd": [1]}, "content_filter_results": {}},
            {"index": 0},
        ],
        "prompt_filter_results": [{}],
        "x": 1,
    }
    reply = folded(b"{}", b'{"choices": null}', json.dumps(odd).encode(), chunk("stop"))
    assert reply.contents == (TextPart(text="Hi"),)


def test_half_a_surrogate_pair_does_not_stop_a_reply():
    reply = folded(b'{"choices":[{"delta":{"content":"x\\ud83dy"},"finish_reason":"stop"}]}')
    assert reply.message.text == "x?y"


def test_a_reply_is_whole_with_its_finish_reason_or_the_mark_of_its_end():
    folding = builder()
    folding.feed([chunk("stop", content="Hi")])
    assert not folding.is_done
    assert isinstance(folding.reply(), Reply)
    assert isinstance(folded(chunk(content="Hi")), Reply)
    assert failed(chunk(content="Hi")).error.name == "Disconnected"
    assert failed().error.is_retryable


def test_what_follows_the_end_is_not_read():
    folding = builder()
    assert folding.feed([b"[DONE]", chunk(content="more"), b"{"]) == []
    assert folding.reply() == Reply(contents=())


def test_the_last_count_of_tokens_counts_in_either_spelling():
    counts = [
        {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6},
        {
            "prompt_tokens": 9,
            "completion_tokens": 4,
            "prompt_cache_hit_tokens": 3,
            "prompt_tokens_details": None,
            "completion_tokens_details": {"reasoning_tokens": 2},
        },
    ]
    reply = folded(
        *(json.dumps({"choices": [], "usage": each}).encode() for each in counts), chunk("stop")
    )
    assert reply.usage == Usage(
        input_tokens=9,
        output_tokens=4,
        reasoning_tokens=2,
        total_tokens=13,
        cached_input_tokens=3,
    )
