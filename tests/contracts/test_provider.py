"""What every Provider promises, over every wire, against a scripted server on a real socket."""

from __future__ import annotations

import json
import logging
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import anyio
import msgspec
import pytest

from contracts.wires import KEY, Wire
from perstack.providers import Failure, ReasoningDelta, Reply, TextDelta
from perstack.schema.message import (
    ExpertMessage,
    FileInlinePart,
    ImageInlinePart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolMessage,
    ToolResultPart,
    user_message,
)
from perstack.schema.tool import ToolDefinition
from perstack.testing import serve_model
from perstack.testing.scenario import CallSpec, ReplySpec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from perstack.providers import Generated, GenerateRequest

pytestmark = pytest.mark.anyio

READ = ToolDefinition(
    skill_name="@perstack/base",
    name="readTextFile",
    description="Reads.",
    input_schema={"type": "object", "properties": {"path": {"type": "string"}}},
)
ODD = ToolDefinition(
    skill_name="wiki",
    name="søk i/pages.v2 " + "x" * 60,
    description="",
    input_schema={"type": "object"},
)
HELLO = ReplySpec(text="Hello, world.", text_pieces=4)
ARGS = {"path": "a.txt", "deep": {"x": [1, None, "é"], "empty": {}}}
FULL = ReplySpec(
    thinking="Let me see. ",
    text="Reading ünïcode 🙂 now.",
    text_pieces=7,
    calls=(
        CallSpec(name="readTextFile", args=ARGS),
        CallSpec(name="readTextFile", args={"path": "b.txt"}),
    ),
    input_tokens=240,
    output_tokens=37,
    cached_tokens=0,
)
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"
    "AAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PAGES = "JVBERi0xLjQKJSVFT0YK"


@pytest.fixture(autouse=True)
def _no_proxy_of_this_machine(monkeypatch):
    for name in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name.upper()}_PROXY", raising=False)


class Asking:
    """One wire to one server; `pieces` is what the last answer came in."""

    def __init__(self, wire: Wire, url: str) -> None:
        self.wire = wire
        self.provider = wire.open(url)
        self.pieces: list[Generated] = []

    async def __call__(self, request: GenerateRequest | None = None) -> Reply | Failure:
        self.pieces = [
            piece async for piece in self.provider.generate(request or self.wire.request())
        ]
        *deltas, last = self.pieces
        assert isinstance(last, Reply | Failure)
        assert not any(isinstance(delta, Reply | Failure) for delta in deltas)
        return last

    async def reply(self, request: GenerateRequest | None = None) -> Reply:
        last = await self(request)
        assert isinstance(last, Reply), last
        return last

    async def failure(self, request: GenerateRequest | None = None) -> Failure:
        last = await self(request)
        assert isinstance(last, Failure), last
        return last

    def shown(self, kind: type[ReasoningDelta | TextDelta]) -> str:
        return "".join(piece.text for piece in self.pieces if isinstance(piece, kind))


@pytest.fixture
async def ask(wire) -> AsyncIterator[Callable[[str], Asking]]:
    """Opens the wire to a URL. Its connections are closed after the test."""
    async with AsyncExitStack() as stack:

        def opened(url: str) -> Asking:
            asking = Asking(wire, url)
            stack.push_async_callback(asking.provider.aclose)
            return asking

        yield opened


def calls_of(reply: Reply) -> list[ToolCallPart]:
    return list(reply.message.calls)


def answered(reply: Reply, *contents: object) -> ToolMessage:
    """The answer to every call of a reply."""
    parts = tuple(
        ToolResultPart(
            tool_call_id=call.tool_call_id,
            tool_name=call.tool_name,
            contents=contents or (TextPart(text="text"),),  # pyright: ignore[reportArgumentType]
        )
        for call in calls_of(reply)
    )
    return ToolMessage(id="t", contents=parts)


@pytest.mark.parametrize("write", ["whole", "events", "bytes"])
async def test_a_reply_comes_whole_however_its_stream_is_cut(ask, wire, write):
    async with serve_model([msgspec.structs.replace(FULL, write=write)]) as server:
        asking = ask(server.url)
        reply = await asking.reply(wire.request(tools=(READ,)))
    said = [part.text for part in reply.contents if isinstance(part, TextPart)]
    assert said == ["Reading ünïcode 🙂 now."]
    assert [call.args for call in calls_of(reply)] == [ARGS, {"path": "b.txt"}]
    assert {call.tool_name for call in calls_of(reply)} == {"readTextFile"}
    assert len({call.tool_call_id for call in calls_of(reply)}) == 2
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (240, 37)
    assert reply.usage.total_tokens == 277
    assert not reply.is_truncated
    assert reply.problems == {}
    assert asking.shown(TextDelta) == "Reading ünïcode 🙂 now."
    if wire.thinks:
        assert asking.shown(ReasoningDelta) == "Let me see. "
        thoughts = [part for part in reply.contents if isinstance(part, ThinkingPart)]
        assert "".join(part.thinking for part in thoughts) == "Let me see. "
        assert any(part.signature for part in thoughts) is wire.signs


async def test_deltas_arrive_before_the_reply_is_complete(ask, wire):
    spec = ReplySpec(text="early and late and later", text_pieces=8, trouble="stall")
    async with serve_model([spec]) as server, anyio.create_task_group() as tasks:
        asking = ask(server.url)
        seen = anyio.Event()

        async def watch() -> None:
            async for piece in asking.provider.generate(wire.request(timeout=60_000)):
                if isinstance(piece, TextDelta):
                    seen.set()

        tasks.start_soon(watch)
        with anyio.fail_after(20):
            await seen.wait()
        tasks.cancel_scope.cancel()


async def test_a_conversation_goes_on_with_the_answers_to_its_calls(ask, wire):
    rule = {"steps": 2, "reply": FULL, "final": HELLO}
    async with serve_model(_policy(**rule)) as server:
        asking = ask(server.url)
        messages = [user_message("0", "go")]
        for _ in range(2):
            reply = await asking.reply(wire.request(*messages, tools=(READ,)))
            assert len(calls_of(reply)) == 2
            messages += [reply.message, answered(reply)]
        last = await asking.reply(wire.request(*messages, tools=(READ,)))
    assert last.message.text == "Hello, world."  # the server counted two replies before it


async def test_thinking_goes_back_to_the_vendor_it_came_from_and_to_no_other(ask, wire):
    if not wire.signs:
        pytest.skip("this wire has no proofs")
    spec = msgspec.structs.replace(FULL, signature="cHJvb2YtY2FuYXJ5")
    foreign = ThinkingPart(thinking="foreign thought", signature="elsewhere:Zm9yZWlnbg")
    async with serve_model([spec, HELLO]) as server:
        asking = ask(server.url)
        reply = await asking.reply(wire.request(tools=(READ,)))
        message = msgspec.structs.replace(reply.message, contents=(foreign, *reply.contents))
        await asking.reply(
            wire.request(user_message("0", "go"), message, answered(reply), tools=(READ,))
        )
        sent = server.requests[1].body.decode()
    assert "cHJvb2YtY2FuYXJ5" in sent
    assert "Zm9yZWlnbg" not in sent
    assert "foreign thought" not in sent


async def test_a_tool_of_any_name_is_called_by_that_name_again(ask, wire):
    async with serve_model([HELLO]) as server:
        await ask(server.url).reply(wire.request(tools=(ODD, READ)))
        sent = server.requests[0].body.decode()
    assert ODD.name not in sent
    from perstack.providers.wire import wire_name

    assert wire_name(ODD.name) in sent
    async with serve_model([ReplySpec(calls=(CallSpec(name=wire_name(ODD.name)),))]) as server:
        reply = await ask(server.url).reply(wire.request(tools=(ODD, READ)))
    assert [call.tool_name for call in calls_of(reply)] == [ODD.name]


@pytest.mark.parametrize("place", ["user", "tool"])
async def test_an_image_and_a_document_reach_the_model(ask, wire, place):
    media = (
        ImageInlinePart(encoded_data=PIXEL, mime_type="image/png"),
        FileInlinePart(encoded_data=PAGES, mime_type="application/pdf"),
    )
    call = ToolCallPart(tool_call_id="c1", tool_name="readTextFile", args={})
    reply = Reply(contents=(call,))
    messages = [user_message("0", "go"), reply.message, answered(reply, TextPart(text="x"), *media)]
    if place == "user":
        whole = (TextPart(text="Look:"), *media)
        messages = [msgspec.structs.replace(user_message("0", "go"), contents=whole)]
    async with serve_model([HELLO]) as server:
        await ask(server.url).reply(wire.request(*messages, tools=(READ,)))
        sent = server.requests[0].body.decode()
    plain = sent.replace("\\/", "/").replace("-", "+").replace("_", "/")  # base64 has two alphabets
    assert PIXEL in plain
    assert (PAGES in sent) is wire.reads_pdf


async def test_a_failed_call_is_told_as_failed(ask, wire):
    call = ToolCallPart(tool_call_id="c1", tool_name="readTextFile", args={})

    async def sent(*, is_error: bool) -> bytes:
        result = ToolResultPart(
            tool_call_id="c1",
            tool_name="readTextFile",
            contents=(TextPart(text="no file"),),
            is_error=is_error,
        )
        messages = [
            user_message("0", "go"),
            ExpertMessage(id="1", contents=(call,)),
            ToolMessage(id="2", contents=(result,)),
        ]
        async with serve_model([HELLO]) as server:
            await ask(server.url).reply(wire.request(*messages, tools=(READ,)))
            return server.requests[0].body

    assert await sent(is_error=True) != await sent(is_error=False)


async def test_schemas_go_as_they_came(ask, wire):
    schema = {
        "type": "object",
        "properties": {
            "filter": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
            "mode": {"enum": ["a", "b"]},
            "nested": {"type": "object", "additionalProperties": {"type": "integer"}},
        },
        "required": ["mode"],
    }
    tool = msgspec.structs.replace(READ, input_schema=schema)
    async with serve_model([HELLO]) as server:
        await ask(server.url).reply(wire.request(tools=(tool,)))
        found = _schemas(server.requests[0].json, "mode")
    assert found == [schema]


async def test_with_no_choice_the_tools_are_still_sent(ask, wire):
    reply = Reply(contents=(ToolCallPart(tool_call_id="c1", tool_name=READ.name, args={}),))
    said = (user_message("0", "go"), reply.message, answered(reply))
    async with serve_model([HELLO, HELLO]) as server:
        asking = ask(server.url)
        await asking.reply(wire.request(*said, tools=(READ,)))
        await asking.reply(wire.request(*said, tools=(READ,), tool_choice="none"))
        bodies = [request.body.decode() for request in server.requests]
    assert "readTextFile" in bodies[1]
    assert bodies[0] != bodies[1]


async def test_a_connection_serves_many_requests(ask):
    async with serve_model([HELLO] * 3) as server:
        asking = ask(server.url)
        for _ in range(3):
            await asking.reply()
        peers = {request.peer for request in server.requests}
    assert len(peers) == 1


async def test_requests_at_once_do_not_mix(ask, wire):
    rules = [{"user": f"number {n}", "replies": [{"text": f"answer {n}"}]} for n in range(8)]
    replies: dict[int, str] = {}
    async with serve_model(_rules(rules)) as server:
        asking = ask(server.url)

        async def one(number: int) -> None:
            request = wire.request(user_message("m", f"number {number}"))
            pieces = [piece async for piece in asking.provider.generate(request)]
            assert isinstance(pieces[-1], Reply)
            replies[number] = pieces[-1].message.text

        async with anyio.create_task_group() as tasks:
            for number in range(8):
                tasks.start_soon(one, number)
    assert replies == {n: f"answer {n}" for n in range(8)}


async def test_a_cut_reply_is_truncated(ask, wire):
    async with serve_model([ReplySpec(text="Half", stop_reason=wire.cut_reason)]) as server:
        reply = await ask(server.url).reply()
    assert reply.is_truncated


async def test_cached_tokens_are_part_of_the_input(ask):
    spec = ReplySpec(text="Hi", input_tokens=30, cached_tokens=200, output_tokens=5)
    async with serve_model([spec]) as server:
        reply = await ask(server.url).reply()
    assert reply.usage.cached_input_tokens == 200
    assert reply.usage.input_tokens >= 200
    assert reply.usage.total_tokens == reply.usage.input_tokens + reply.usage.output_tokens


@pytest.mark.parametrize("raw", ['{"path": ', "[1]"])
async def test_arguments_that_are_no_json_object_are_a_problem_of_that_call(ask, wire, raw):
    if not wire.sends_raw_arguments:
        pytest.skip("arguments cannot be malformed on this wire")
    calls = (CallSpec(name="readTextFile", raw=raw), CallSpec(name="readTextFile", args=ARGS))
    async with serve_model([ReplySpec(calls=calls)]) as server:
        reply = await ask(server.url).reply(wire.request(tools=(READ,)))
    broken, fine = calls_of(reply)
    assert broken.args == {}
    assert set(reply.problems) == {broken.tool_call_id}
    assert fine.args == ARGS


@pytest.mark.parametrize(
    ("status", "is_retryable"),
    [
        (400, False),
        (401, False),
        (403, False),
        (404, False),
        (408, True),
        (409, True),
        (429, True),
        (500, True),
        (503, True),
        (529, True),
    ],
)
async def test_a_status_says_whether_to_ask_again(ask, status, is_retryable):
    async with serve_model([ReplySpec(status=status, error=("some_name", "It broke."))]) as server:
        failure = await ask(server.url).failure()
        assert len(server.requests) == 1  # who retries is the runtime alone
    assert failure.error.status_code == status
    assert failure.error.is_retryable is is_retryable
    assert "It broke." in failure.error.message


async def test_the_wait_a_vendor_asks_for_is_kept(ask):
    spec = ReplySpec(status=429, headers={"retry-after": "7"})
    async with serve_model([spec]) as server:
        failure = await ask(server.url).failure()
    assert failure.retry_after == 7_000


@pytest.mark.parametrize("trouble", ["disconnect", "cut", "noStop", "error"])
async def test_a_stream_that_breaks_is_a_failure_and_may_be_tried_again(ask, wire, trouble):
    if trouble == "noStop" and not wire.ends_with_a_mark:
        pytest.skip("the SDK of this wire takes the end of a stream for its last event")
    spec = ReplySpec(text="abcdefgh", text_pieces=8, trouble=trouble, error=("server_error", "Oh."))
    async with serve_model([spec]) as server:
        failure = await ask(server.url).failure()
    assert failure.error.is_retryable


async def test_nobody_listening_may_be_tried_again(ask):
    async with serve_model([HELLO]) as server:
        url = server.url
    failure = await ask(url).failure()
    assert failure.error.is_retryable


@pytest.mark.parametrize("trouble", ["hang", "stall", "endless"])
async def test_a_generation_ends_at_its_deadline(ask, wire, trouble):
    async with serve_model([ReplySpec(text="abcdefgh", text_pieces=8, trouble=trouble)]) as server:
        with anyio.fail_after(20):
            failure = await ask(server.url).failure(wire.request(timeout=300))
    assert failure.error.is_retryable or failure.error.name == "ResponseTooLarge"


@pytest.mark.parametrize("trouble", ["hang", "stall"])
async def test_a_cancelled_generation_ends_at_once_and_hangs_up(ask, wire, trouble):
    spec = ReplySpec(text="abcdefgh", text_pieces=8, trouble=trouble)
    async with serve_model([spec]) as server, anyio.create_task_group() as tasks:
        asking = ask(server.url)

        async def generate() -> None:
            async for _ in asking.provider.generate(wire.request(timeout=60_000)):
                pass

        tasks.start_soon(generate)
        with anyio.fail_after(20):
            while not server.requests:  # noqa: ASYNC110 - no event is set for a request
                await anyio.sleep(0.005)
            tasks.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                await server.hangups.wait()


async def test_a_generation_that_is_left_hangs_up(ask, wire):
    spec = ReplySpec(text="abcdefgh", text_pieces=8, trouble="stall")
    async with serve_model([spec]) as server:
        stream = ask(server.url).provider.generate(wire.request(timeout=60_000))
        async for piece in stream:
            if isinstance(piece, TextDelta):
                break
        await stream.aclose()
        with anyio.fail_after(20):
            await server.hangups.wait()


async def test_a_redirect_is_a_failure_and_the_key_stays_here(ask):
    async with serve_model([HELLO]) as other:
        there = {"location": f"{other.url}/v1/messages"}
        async with serve_model([ReplySpec(status=307, headers=there, body="")]) as server:
            failure = await ask(server.url).failure()
        assert not failure.error.is_retryable
        assert other.requests == []


async def test_the_key_is_in_no_failure_repr_or_log(ask, caplog):
    caplog.set_level(logging.DEBUG)
    seen = []
    for spec in (
        ReplySpec(status=401, error=("authentication_error", f"Bad key {KEY}.")),
        ReplySpec(status=500, body=f"<html>{KEY}</html>"),
        ReplySpec(text="abcdefgh", text_pieces=8, trouble="error", error=("oh", f"{KEY} broke")),
        ReplySpec(status=302, headers={"location": "http://127.0.0.1:1/"}, body=KEY),
    ):
        async with serve_model([spec]) as server:
            asking = ask(server.url)
            seen += [repr(await asking.failure()), repr(asking.provider), str(asking.provider)]
    assert KEY not in "".join(seen)
    assert KEY[:14] not in "".join(seen)
    assert KEY not in caplog.text


async def test_half_a_surrogate_pair_does_not_stop_a_request(ask, wire):
    async with serve_model([HELLO]) as server:
        reply = await ask(server.url).reply(wire.request(user_message("m", "half \ud83d of it")))
    assert reply.message.text == "Hello, world."


async def test_closing_twice_is_harmless(ask):
    async with serve_model([HELLO]) as server:
        asking = ask(server.url)
        await asking.reply()
        await asking.provider.aclose()
        await asking.provider.aclose()


def _policy(**fields: object):
    from perstack.testing.scenario import Policy, Scenario

    return Scenario(policy=Policy(**fields))  # pyright: ignore[reportArgumentType]


def _rules(rules: list[dict[str, object]]):
    from perstack.testing.scenario import Scenario

    return msgspec.convert({"rules": rules}, Scenario)


def _schemas(value: object, key: str) -> list[object]:
    """Every object schema inside `value` with a property of that name."""
    if isinstance(value, str) and value.startswith("{"):
        value = json.loads(value)
    if isinstance(value, list):
        return [found for each in value for found in _schemas(each, key)]
    if not isinstance(value, dict):
        return []
    properties = value.get("properties")
    if isinstance(properties, dict) and key in properties:
        return [value]
    return [found for each in value.values() for found in _schemas(each, key)]
