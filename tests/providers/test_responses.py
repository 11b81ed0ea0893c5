"""The Responses wire, against a scripted server over a real socket."""

import json
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import pytest

from perstack.net.redaction import Redaction
from perstack.providers import Failure, ReasoningDelta, Reply, TextDelta
from perstack.providers.endpoint import Endpoint
from perstack.providers.openai_responses import ResponsesModel
from perstack.providers.openai_responses_body import request_body
from perstack.providers.openai_responses_proof import phase_mark
from perstack.providers.openai_responses_stream import ReplyBuilder
from perstack.providers.wire import wire_name
from perstack.schema.message import (
    ExpertMessage,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolMessage,
    ToolResultPart,
    user_message,
)
from perstack.schema.tool import ToolDefinition
from perstack.schema.usage import Usage
from perstack.testing import responses_dialect, serve_model
from perstack.testing.scenario import CallSpec, ReplySpec

from .conftest import Asking

pytestmark = pytest.mark.anyio

WIRE = "openai-responses"
KEY = "sk-proj-canary-4f1d9c27-b83e"
HELLO = ReplySpec(text="Hello, world.", text_pieces=4)
FULL = ReplySpec(
    thinking="Let me see. ",
    redacted="b3BhcXVl",
    text="Reading ünïcode 🙂 now.",
    text_pieces=7,
    calls=(
        CallSpec(name="readTextFile", args={"path": "a.txt", "deep": {"x": [1, None, "é"]}}),
        CallSpec(name="todo"),
    ),
    input_tokens=10,
    output_tokens=7,
    cached_tokens=200,
    cache_creation_tokens=30,
)


@pytest.fixture
async def ask():
    """Opens the wire to a URL. Its connections are closed after the test."""
    async with AsyncExitStack() as stack:

        def opened(url: str, *, provider: str = "openai", is_vendor: bool = True) -> Asking:
            endpoint = Endpoint(
                f"{url}/v1/responses", {"authorization": f"Bearer {KEY}"}, {}, (KEY,)
            )
            model = ResponsesModel(endpoint, provider=provider, is_vendor=is_vendor)
            stack.push_async_callback(model.aclose)
            return Asking(model)

        yield opened


@pytest.mark.parametrize("write", ["whole", "events", "bytes"])
async def test_a_reply_comes_whole_however_its_stream_is_cut(ask, write):
    async with serve_model([msgspec.structs.replace(FULL, write=write)]) as server:
        asking = ask(server.url)
        reply = await asking.reply()
    hidden, thought, said, *calls = reply.contents
    assert (hidden.thinking, hidden.redacted) == ("", True)
    assert hidden.signature.startswith(f"{WIRE}:")
    assert (thought.thinking, thought.redacted) == ("Let me see. ", False)
    assert "signature-0" in thought.signature
    assert said == TextPart(text="Reading ünïcode 🙂 now.")
    assert calls == [
        ToolCallPart(
            tool_call_id="call_0_0",
            tool_name="readTextFile",
            args={"path": "a.txt", "deep": {"x": [1, None, "é"]}},
        ),
        ToolCallPart(tool_call_id="call_0_1", tool_name="todo", args={}),
    ]
    assert reply.usage == Usage(
        input_tokens=240,
        output_tokens=7,
        reasoning_tokens=3,
        total_tokens=247,
        cached_input_tokens=200,
    )
    assert not reply.is_truncated
    assert reply.problems == {}
    assert asking.shown(TextDelta) == "Reading ünïcode 🙂 now."
    assert asking.shown(ReasoningDelta) == "Let me see. "


async def test_deltas_that_arrive_together_are_one(ask):
    spec = ReplySpec(thinking="Hm.", text="Hello, world.", text_pieces=9, write="whole")
    async with serve_model([spec]) as server:
        asking = ask(server.url)
        await asking.reply()
    assert asking.pieces[:-1] == [ReasoningDelta(text="Hm."), TextDelta(text="Hello, world.")]


@pytest.mark.parametrize("is_vendor", [True, False])
async def test_reasoning_goes_back_to_where_it_came_from(ask, ask_for, is_vendor):
    async with serve_model([FULL, HELLO, HELLO]) as server:
        asking = ask(server.url, is_vendor=is_vendor)
        reply = await asking.reply()
        turn = ExpertMessage(id="e", contents=reply.contents)
        results = tuple(
            ToolResultPart(tool_call_id=call.tool_call_id, tool_name=call.tool_name, contents=())
            for call in reply.message.calls
        )
        history = (user_message("m", "Hi"), turn, ToolMessage(id="t", contents=results))
        request = ask_for(*history, model="some-model")
        await asking.reply(request)
        await ask(server.url, is_vendor=not is_vendor).reply(request)
        *_, back, elsewhere = (request.json for request in server.requests)
    items: Any = back["input"]
    streamed = [json.loads(event.split(b"data: ")[1]) for event in responses_dialect.events(FULL)]
    came = [event["item"] for event in streamed if event["type"] == "response.output_item.done"]
    for item in came:
        item["id"] = item["id"].replace("{n}", "0")
        item |= {k: item[k].replace("{n}", "0") for k in ("encrypted_content",) if k in item}
    assert items[1:3] == came[:2]
    assert [item["type"] for item in items[3:6]] == ["message", "function_call", "function_call"]
    others: Any = elsewhere["input"]
    assert [item["type"] for item in others[:4]] == [
        item["type"] for item in (items[0], *items[3:6])
    ]


async def test_the_key_is_sent_and_nothing_is_stored(ask):
    async with serve_model([HELLO]) as server:
        await ask(server.url).reply()
        (request,) = server.requests
    assert request.path == "/v1/responses"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.json["store"] is False
    assert request.json["stream"] is True


async def test_a_connection_serves_many_requests(ask):
    async with serve_model([HELLO] * 3 + [ReplySpec(status=500), HELLO]) as server:
        asking = ask(server.url)
        for _ in range(5):
            await asking()
        assert len({request.peer for request in server.requests}) == 1


async def test_a_tool_that_the_vendor_refuses_is_a_failure_before_anything_is_sent(ask, ask_for):
    tool = ToolDefinition(skill_name="crm", name="find", input_schema={"anyOf": []})
    async with serve_model([HELLO]) as server:
        failure = await ask(server.url).failure(ask_for(tools=(tool,)))
        assert server.requests == []
        await ask(server.url, is_vendor=False).reply(ask_for(tools=(tool,)))
    assert failure.error.name == "UnsupportedToolSchema"
    assert "'find' of the skill 'crm'" in failure.error.message
    assert not failure.error.is_retryable


@pytest.mark.parametrize("reason", ["max_output_tokens", "max_tokens"])
async def test_a_cut_reply_is_truncated(ask, reason):
    async with serve_model([ReplySpec(text="So f", stop_reason=reason)]) as server:
        reply = await ask(server.url).reply()
    assert reply.is_truncated
    assert reply.message.text == "So f"


async def test_an_empty_reply_is_a_reply(ask):
    async with serve_model([ReplySpec()]) as server:
        assert (await ask(server.url).reply()).contents == ()


@pytest.mark.parametrize(
    "raw", ['{"path": "a', "[1]", '"text"', "{'a': 1}", '{"a": NaN}', "[" * 50]
)
async def test_arguments_that_are_no_json_object_are_a_problem_of_that_call(ask, raw):
    calls = (CallSpec(name="a", raw=raw, id="bad"), CallSpec(name="b", args={"x": 1}, id="good"))
    async with serve_model([ReplySpec(calls=calls)]) as server:
        reply = await ask(server.url).reply()
    assert [call.args for call in reply.message.calls] == [{}, {"x": 1}]
    assert reply.problems.keys() == {"bad"}
    assert "JSON" in reply.problems["bad"]


async def test_a_tool_is_called_by_its_own_name_again(ask, ask_for):
    name = "søk.filer"
    calls = (CallSpec(name=wire_name(name)), CallSpec(name="made_up"))
    tool = ToolDefinition(skill_name="s", name=name, input_schema={"type": "object"})
    async with serve_model([ReplySpec(calls=calls)]) as server:
        reply = await ask(server.url).reply(ask_for(tools=(tool,)))
    assert [call.tool_name for call in reply.message.calls] == [name, "made_up"]


@pytest.mark.parametrize("reason", ["content_filter", "refusal"])
async def test_a_reply_that_was_refused_is_a_final_failure_with_its_usage(ask, reason):
    spec = ReplySpec(text=f"I may not {KEY}.", stop_reason=reason, input_tokens=5)
    async with serve_model([spec]) as server:
        asking = ask(server.url)
        failure = await asking.failure()
    assert failure.error.name == reason
    assert not failure.error.is_retryable
    assert failure.usage.input_tokens == 5
    assert KEY not in failure.error.message
    assert ("I may not" in failure.error.message) == (reason == "refusal")


@pytest.mark.parametrize(
    ("name", "is_retryable"),
    [
        ("server_error", True),
        ("rate_limit_exceeded", True),
        ("overloaded_error", True),
        ("invalid_prompt", False),
        ("insufficient_quota", False),
    ],
)
async def test_an_error_inside_a_stream_is_told_apart_by_its_code(ask, name, is_retryable):
    spec = ReplySpec(text="abc", error=(name, "It broke."), trouble="error")
    async with serve_model([spec]) as server:
        failure = await ask(server.url).failure()
    assert (failure.error.name, failure.error.message) == (name, "It broke.")
    assert failure.error.is_retryable is is_retryable


async def test_a_status_is_a_failure_under_the_vendors_name(ask):
    specs = [
        ReplySpec(status=429, headers={"retry-after": "7"}, error=("rate_limit_exceeded", "Slow.")),
        ReplySpec(status=429, error=("insufficient_quota", "Pay.")),
        ReplySpec(status=400, error=("context_length_exceeded", "Too long.")),
    ]
    async with serve_model(specs) as server:
        asking = ask(server.url)
        slow, broke, long = [await asking.failure() for _ in specs]
    assert (slow.error.name, slow.retry_after) == ("rate_limit_exceeded", 7000)
    assert not broke.error.is_retryable
    assert not long.error.is_retryable


@pytest.mark.parametrize("trouble", ["disconnect", "cut", "noStop"])
async def test_a_connection_that_ends_early_may_be_tried_again(ask, trouble):
    async with serve_model([ReplySpec(text="abc" * 9, trouble=trouble)]) as server:
        failure = await ask(server.url).failure()
    assert failure.error.name == "Disconnected"
    assert failure.error.is_retryable


async def test_the_key_is_in_no_failure_or_repr(ask):
    body = json.dumps({"error": {"code": f"e {KEY}", "message": f"Incorrect API key: {KEY}"}})
    specs = [
        ReplySpec(status=401, body=body),
        ReplySpec(text="a", trouble="error", error=(f"e {KEY}", f"m {KEY}")),
    ]
    async with serve_model(specs) as server:
        asking = ask(server.url)
        said = [repr(await asking.failure()) for _ in specs]
    assert all("canary" not in words for words in [*said, repr(asking.provider)])


BLANK = {"type": "message", "content": []}


def event(kind: str, **fields: Any) -> bytes:
    return msgspec.json.encode({"type": f"response.{kind}", "sequence_number": 0} | fields)


def delta(kind: str, text: str, index: int = 0, **fields: Any) -> bytes:
    return event(f"{kind}.delta", output_index=index, delta=text, **fields)


def added(index: int, **item: Any) -> bytes:
    return event("output_item.added", output_index=index, item=item)


def done(index: int, **item: Any) -> bytes:
    return event("output_item.done", output_index=index, item=item)


def said(text: str, **fields: Any) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "message", "id": "msg_1", "role": "assistant", "content": content} | fields


END = event("completed", response={"output": [], "usage": None})


def built(*events: bytes, names: dict[str, str] | None = None) -> ReplyBuilder:
    builder = ReplyBuilder(names or {}, Redaction(()), wire=WIRE)
    builder.feed(events)
    return builder


def whole(*events: bytes) -> Reply:
    reply = built(*events).reply()
    assert isinstance(reply, Reply), reply
    return reply


def broken(*events: bytes) -> Failure:
    failure = built(*events).reply()
    assert isinstance(failure, Failure), failure
    return failure


def test_events_and_items_that_are_unknown_are_passed_over():
    reply = whole(
        event("created", response={"output": [], "tools": [{"type": "new"}]}),
        event("queued", response=5),
        event("new_thing", delta=5, output_index="x", item=[1]),
        b"{}",
        added(0, type="web_search_call", content="not a list", summary=7),
        done(0, type="web_search_call", content="not a list", summary=7),
        added(1, type="message", content=[]),
        delta("output_text", "a", 1),
        END,
        b"[DONE]",
    )
    assert reply.contents == (TextPart(text="a"),)


def test_a_stream_that_ends_with_the_older_mark_alone_was_cut():
    failure = broken(added(0, type="message"), delta("output_text", "a"), b"[DONE]")
    assert failure.error.name == "Disconnected"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nonsense",
        b"[]",
        event("output_text.delta", delta=7),
        event("output_item.done", output_index=0),
        event("output_item.done", output_index=0, item={"type": "message", "content": 7}),
        event("output_item.done", item=BLANK).replace(b'"message"', b'"\xff"'),
        event("completed", response=7),
        event("completed"),
    ],
)
def test_an_event_that_cannot_be_read_ends_the_reply(data):
    builder = built(data, END)
    assert builder.is_done
    failure = broken(data, END)
    assert failure.error.name == "UnreadableResponse"
    assert failure.error.is_retryable


def test_half_a_surrogate_pair_is_survived_wherever_it_stands():
    half = b'"a\\ud83d"'
    events = [
        delta("output_text", "HERE").replace(b'"HERE"', half),
        done(1, **said("HERE")).replace(b'"HERE"', half),
        END.replace(
            b"[]", msgspec.json.encode([BLANK, BLANK, said("HERE")]).replace(b'"HERE"', half)
        ),
    ]
    assert whole(*events).contents == (TextPart(text="a?"),) * 3


def test_items_stand_in_the_order_of_the_reply():
    reply = whole(
        added(2, type="function_call", call_id="c", name="n", arguments=""),
        delta("function_call_arguments", '{"a":', 2),
        added(0, type="reasoning", id="rs", summary=[]),
        delta("function_call_arguments", "1}", 2),
        done(1, **said("Hm.")),
        done(0, type="reasoning", id="rs", summary=[], encrypted_content="x"),
        END,
    )
    kinds = [type(part) for part in reply.contents]
    assert kinds == [ThinkingPart, TextPart, ToolCallPart]
    assert reply.message.calls[0].args == {"a": 1}


def test_what_only_the_last_event_holds_counts_too():
    output = [
        {"type": "reasoning", "id": "rs", "summary": [], "encrypted_content": "x"},
        said("Hello."),
        {"type": "function_call", "call_id": "c", "name": "n", "arguments": '{"a":1}'},
    ]
    reply = whole(event("completed", response={"output": output}))
    assert reply.message.text == "Hello."
    assert reply.message.calls[0].args == {"a": 1}
    assert thoughts(reply)[0].signature


def test_what_was_streamed_to_its_end_is_not_taken_twice():
    last = event("completed", response={"output": [said("Hello.")]})
    assert len(whole(done(0, **said("Hello.")), last).contents) == 1
    late = added(0, type="message", content=[])
    assert whole(done(0, **said("Hello.")), late, END).message.text == "Hello."


def test_the_parts_of_a_summary_are_parted_for_the_reader_and_kept_apart_for_the_vendor():
    summary = [{"type": "summary_text", "text": text} for text in ("One.", "Two.")]
    item = {"type": "reasoning", "id": "rs", "encrypted_content": "x"}
    builder = ReplyBuilder({}, Redaction(()), wire=WIRE)
    shown = builder.feed(
        [
            added(0, **item, summary=[]),
            delta("reasoning_summary_text", "On", summary_index=0),
            delta("reasoning_summary_text", "e.", summary_index=0),
            delta("reasoning_summary_text", "Two.", summary_index=1),
            done(0, **item, summary=summary),
            done(1, **said("Hello.")),
            END,
        ]
    )
    assert shown == [ReasoningDelta(text="One.\n\nTwo.")]
    reply = builder.reply()
    assert isinstance(reply, Reply)
    assert thoughts(reply)[0].thinking == "One.\n\nTwo."
    sent = request_of(reply)
    assert sent[0] == item | {"summary": summary}


def thoughts(reply: Reply) -> list[ThinkingPart]:
    return [part for part in reply.contents if isinstance(part, ThinkingPart)]


def request_of(reply: Reply) -> list[dict[str, Any]]:
    from perstack.providers import GenerateRequest
    from perstack.schema.history import History

    history = History([ExpertMessage(id="e", contents=reply.contents)])
    request = GenerateRequest(model="m", instruction="", messages=history)
    return json.loads(request_body(request, wire=WIRE, info=None, is_vendor=True))["input"]


def test_reasoning_in_the_open_is_shown_and_goes_nowhere():
    reply = whole(
        added(0, type="reasoning", id="rs", summary=[]),
        delta("reasoning_text", "Hm.", content_index=0),
        done(0, type="reasoning", id="rs", summary=[], content=[{"text": "Hm."}]),
        done(1, **said("Hello.")),
        END,
    )
    assert reply.contents[0] == ThinkingPart(thinking="Hm.")
    assert len(request_of(reply)) == 1


def test_encrypted_content_counts_only_once_it_is_whole():
    reply = whole(
        added(0, type="reasoning", id="rs", summary=[], encrypted_content="half"),
        delta("reasoning_summary_text", "Hm."),
        END,
    )
    assert reply.contents == (ThinkingPart(thinking="Hm."),)


def test_the_phase_of_a_message_comes_back_to_the_vendor():
    reply = whole(
        done(0, **said("I look.", phase="commentary")),
        done(1, **said("Done.", phase="final_answer")),
        done(2, **said("Odd.", phase="new_phase")),
        done(3, **said("", phase="commentary")),
        END,
    )
    assert reply.contents == (
        phase_mark(WIRE, "commentary"),
        TextPart(text="I look."),
        phase_mark(WIRE, "final_answer"),
        TextPart(text="Done."),
        TextPart(text="Odd."),
    )
    assert [item.get("phase") for item in request_of(reply)] == ["commentary", "final_answer", None]


def test_calls_that_share_an_id_or_have_none_are_told_apart():
    calls = [done(i, type="function_call", call_id=c, name="n") for i, c in enumerate("tt")]
    calls += [done(2, type="function_call", name="n"), done(3, type="function_call", name="n")]
    ids = [call.tool_call_id for call in whole(*calls, END).message.calls]
    assert ids == ["t", "t-1", "call-2", "call-3"]


@pytest.mark.parametrize(
    ("error", "name", "is_retryable"),
    [
        ({"code": "server_error", "message": "m"}, "server_error", True),
        ({"code": "invalid_image", "message": "m"}, "invalid_image", False),
        ({"code": None, "type": "server_error", "message": "m"}, "server_error", True),
        ({"code": "odd", "type": "server_error", "message": "m"}, "server_error", True),
        ({"code": "insufficient_quota", "type": "server_error"}, "insufficient_quota", False),
        ({"code": 500, "message": "m"}, "500", False),
        ({"message": "m"}, "error", False),
        (None, "error", False),
    ],
)
def test_a_failed_response_says_why(error, name, is_retryable):
    usage = {"input_tokens": 3, "output_tokens": 4}
    failure = broken(event("failed", response={"error": error, "usage": usage}))
    assert (failure.error.name, failure.error.is_retryable) == (name, is_retryable)
    assert failure.error.message
    assert failure.usage == Usage(input_tokens=3, output_tokens=4, total_tokens=7)


@pytest.mark.parametrize(
    "data",
    [
        {"type": "error", "code": "server_error", "message": "m"},
        {"type": "error", "error": {"type": "x", "code": "server_error", "message": "m"}},
        {"error": {"type": "server_error", "message": "m"}},
    ],
)
def test_an_error_event_is_read_in_each_of_its_forms(data):
    error = broken(msgspec.json.encode(data)).error
    assert (error.name, error.message, error.is_retryable) == ("server_error", "m", True)


def test_an_error_that_is_words_alone_is_told():
    assert broken(b'{"type":"error","error":"Out of memory"}').error.message == "Out of memory"


def test_a_response_that_says_it_is_incomplete_was_cut_whatever_its_event():
    details = {"incomplete_details": {"reason": "max_output_tokens"}}
    assert whole(done(0, **said("a")), event("completed", response=details)).is_truncated
    assert whole(done(0, **said("a")), event("incomplete", response={})).is_truncated
    assert not whole(done(0, **said("a")), END).is_truncated
