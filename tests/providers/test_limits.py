"""What a server may fill a reply with, over each of our own wires."""

import json
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import anyio.abc
import pytest

from perstack.net.redaction import Redaction
from perstack.providers import (
    Failure,
    Reply,
    anthropic_stream,
    limits,
    openai_chat_calls,
    openai_chat_stream,
    openai_responses_stream,
)
from perstack.providers.endpoint import Endpoint
from perstack.providers.limits import MAX_ARGUMENTS, MAX_PARTS, MAX_VALUES, values_in
from perstack.providers.wire import arguments, evened_json, tokens

NOTHING = Redaction(())
MIB = 1024 * 1024


def encoded(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


class Messages:
    """The events of Anthropic's wire."""

    end = encoded(type="message_stop")

    def builder(self) -> anthropic_stream.ReplyBuilder:
        return anthropic_stream.ReplyBuilder({}, NOTHING)

    def started(self, index: int, kind: str) -> bytes:
        block = {"type": kind, "id": f"c{index}", "name": "n"}
        return encoded(type="content_block_start", index=index, content_block=block)

    def delta(self, index: int, kind: str, **told: str) -> bytes:
        delta = {"type": kind} | told
        return encoded(type="content_block_delta", index=index, delta=delta)

    def call(self, index: int) -> list[bytes]:
        return [self.started(index, "tool_use")]

    def piece(self, index: int, text: str) -> bytes:
        return self.delta(index, "input_json_delta", partial_json=text)

    def text(self, text: str) -> bytes:
        return self.delta(0, "text_delta", text=text)

    def thought(self, text: str) -> bytes:
        return self.delta(1, "thinking_delta", thinking=text)

    @property
    def opening(self) -> list[bytes]:
        return [self.started(0, "text"), self.started(1, "thinking")]

    def counted(self, count: int) -> bytes:
        usage = {"input_tokens": count, "output_tokens": count, "cache_read_input_tokens": count}
        return encoded(type="message_delta", usage=usage)


class Chat:
    """The chunks of Chat Completions."""

    end = b"[DONE]"
    opening = ()

    def builder(self) -> openai_chat_stream.ReplyBuilder:
        return openai_chat_stream.ReplyBuilder({}, NOTHING, wire="w", place=0)

    def chunk(self, **delta: Any) -> bytes:
        return encoded(choices=[{"delta": delta}])

    def call(self, index: int) -> list[bytes]:
        told = {"index": index, "id": f"c{index}", "function": {"name": "n"}}
        return [self.chunk(tool_calls=[told])]

    def piece(self, index: int, text: str) -> bytes:
        return self.chunk(tool_calls=[{"index": index, "function": {"arguments": text}}])

    def text(self, text: str) -> bytes:
        return self.chunk(content=text)

    def thought(self, text: str) -> bytes:
        return self.chunk(reasoning_content=text)

    def counted(self, count: int) -> bytes:
        details = {"cached_tokens": count}
        usage = {"prompt_tokens": count, "completion_tokens": count, "total_tokens": count}
        return encoded(usage=usage | {"prompt_tokens_details": details})


class Responses:
    """The events of Responses."""

    opening = ()
    end = encoded(type="response.completed", response={})

    def builder(self) -> openai_responses_stream.ReplyBuilder:
        return openai_responses_stream.ReplyBuilder({}, NOTHING, wire="w")

    def call(self, index: int) -> list[bytes]:
        item = {"type": "function_call", "call_id": f"c{index}", "name": "n"}
        return [encoded(type="response.output_item.added", output_index=index, item=item)]

    def delta(self, kind: str, index: int, delta: str, **told: int) -> bytes:
        return encoded(type=f"response.{kind}.delta", output_index=index, delta=delta, **told)

    def piece(self, index: int, text: str) -> bytes:
        return self.delta("function_call_arguments", index, text)

    def text(self, text: str) -> bytes:
        return self.delta("output_text", 0, text)

    def thought(self, text: str) -> bytes:
        return self.delta("reasoning_summary_text", 1, text)

    def counted(self, count: int) -> bytes:
        details = {"cached_tokens": count}
        usage = {"input_tokens": count, "output_tokens": count, "total_tokens": count}
        usage |= {"input_tokens_details": details}
        return encoded(type="response.completed", response={"usage": usage})


WIRES = pytest.mark.parametrize(
    "wire", [Messages(), Chat(), Responses()], ids=lambda w: type(w).__name__
)


def folded(wire: Any, *events: bytes) -> Reply | Failure:
    builder = wire.builder()
    for event in (*wire.opening, *events, wire.end):
        builder.feed([event])
        if builder.is_done:
            break
    return builder.reply()


def assert_too_large(last: Reply | Failure) -> None:
    assert isinstance(last, Failure), last
    assert last.error.name == "ResponseTooLarge"
    assert not last.error.is_retryable


@WIRES
def test_arguments_past_the_limit_are_a_problem_of_that_call_alone(wire):
    piece = "[]," * (MIB // 3)
    events = [*wire.call(0), wire.piece(0, '{"a":['), *[wire.piece(0, piece)] * 5]
    events += [*wire.call(1), wire.piece(1, '{"b":1}')]
    reply = folded(wire, *events)
    assert isinstance(reply, Reply), reply
    assert [call.args for call in reply.message.calls] == [{}, {"b": 1}]
    assert list(reply.problems) == ["c0"]
    assert str(MAX_ARGUMENTS) in reply.problems["c0"]


@WIRES
def test_arguments_that_go_on_and_on_take_no_more_memory(wire):
    builder = wire.builder()
    builder.feed([*wire.call(0)])
    piece = wire.piece(0, "x" * MIB)
    tracemalloc.start()
    try:
        for _ in range(24):
            builder.feed([piece])
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert not builder.is_done
    assert kept < 8 * MIB


@WIRES
@pytest.mark.parametrize("kind", ["text", "thought"])
def test_text_and_thinking_without_end_end_the_reply(wire, kind):
    assert_too_large(folded(wire, *[getattr(wire, kind)("x" * MIB)] * 17))


@WIRES
def test_long_text_and_thinking_within_the_limits_are_a_reply(wire):
    reply = folded(wire, *[wire.text("x" * MIB), wire.thought("y" * MIB)] * 7)
    assert isinstance(reply, Reply), reply


@WIRES
def test_calls_without_end_end_the_reply(wire):
    few = [event for index in range(MAX_PARTS - 2) for event in wire.call(index + 2)]
    reply = folded(wire, *few)
    assert isinstance(reply, Reply), reply
    assert len(reply.message.calls) == MAX_PARTS - 2
    more = [event for index in range(MAX_PARTS, MAX_PARTS + 4) for event in wire.call(index)]
    assert_too_large(folded(wire, *few, *more))


@WIRES
def test_the_arguments_of_all_calls_have_a_limit_too(wire):
    calls = range(2, 8)
    events = [event for index in calls for event in wire.call(index)]
    assert_too_large(folded(wire, *events, *[wire.piece(i, "x" * 3 * MIB) for i in calls]))


@WIRES
def test_the_values_of_all_calls_have_a_limit_too(wire):
    values = '{"a":[' + "[]," * (MAX_VALUES // 3) + "1]}"
    calls = range(2, 8)
    events = [event for index in calls for event in wire.call(index)]
    assert_too_large(folded(wire, *events, *[wire.piece(index, values) for index in calls]))


@WIRES
@pytest.mark.parametrize(("told", "meant"), [(-5, 0), (7, 7), (2**64, 2**53), (10**300, 2**53)])
def test_counts_of_tokens_are_ones_that_can_be_true(wire, told, meant):
    reply = folded(wire, *wire.call(0), wire.counted(told))
    assert isinstance(reply, Reply), reply
    for count in (reply.usage.output_tokens, reply.usage.cached_input_tokens):
        assert count == meant
    assert meant <= reply.usage.input_tokens <= 2**53
    assert meant <= reply.usage.total_tokens <= 2**53


def test_tokens_are_clamped():
    assert [tokens(count) for count in (None, -1, 0, 3, 2**60)] == [0, 0, 0, 3, 2**53]


@pytest.mark.parametrize("field", ["content", "summary"])
def test_the_pieces_of_an_output_item_are_counted(field):
    wire = Responses()
    item = {"type": "reasoning", field: [{}] * (MAX_PARTS + 1)}
    assert_too_large(
        folded(wire, encoded(type="response.output_item.done", output_index=0, item=item))
    )


def test_items_that_only_the_last_event_holds_are_counted():
    wire = Responses()
    response = {"output": [{"type": "function_call", "name": "n"}] * (MAX_PARTS + 1)}
    assert_too_large(folded(wire, encoded(type="response.completed", response=response)))


def test_reasoning_details_without_end_end_the_reply():
    wire = Chat()
    details = [{"type": "reasoning.encrypted", "data": "x"}] * (MAX_PARTS + 1)
    assert_too_large(folded(wire, wire.chunk(reasoning_details=details)))
    big = [{"type": "reasoning.encrypted", "data": "x" * MIB}]
    assert_too_large(folded(wire, *[wire.chunk(reasoning_details=big)] * 17))


def test_arguments_given_as_an_object_are_limited_as_well():
    many = {"a": [[]] * (MAX_VALUES + 1)}
    block = {"type": "tool_use", "id": "c0", "name": "n", "input": many}
    start = encoded(type="content_block_start", index=2, content_block=block)
    call = {"id": "c0", "function": {"name": "n", "arguments": many}}
    for reply in (folded(Messages(), start), folded(Chat(), Chat().chunk(tool_calls=[call]))):
        assert isinstance(reply, Reply), reply
        assert str(MAX_VALUES) in reply.problems["c0"]


def test_the_arguments_of_a_call_in_many_named_pieces_are_read_once(monkeypatch):
    read: list[int] = []

    def counted(text: str, *rest: Any) -> Any:
        read.append(len(text))
        return arguments(text, *rest)

    monkeypatch.setattr(openai_chat_calls, "arguments", counted)
    wire = Chat()

    def named(text: str) -> bytes:
        return wire.chunk(tool_calls=[{"function": {"name": "n", "arguments": text}}])

    reply = folded(wire, named('{"a":"'), *[named("}")] * 500, named('"}'), named('{"b":2}'))
    assert isinstance(reply, Reply), reply
    assert [call.args for call in reply.message.calls] == [{"a": "}" * 500}, {"b": 2}]
    assert len(read) == 2


@pytest.mark.parametrize(
    "text", [r'{"a":"\\"}', r'{"a":"}\\\""}', r'{"a":[{"b":"]\"{"}]}', r'{"}":{}}', "{ }\n"]
)
def test_whole_arguments_are_told_from_a_piece_wherever_they_are_cut(text):
    wire = Chat()

    def named(text: str) -> bytes:
        return wire.chunk(tool_calls=[{"function": {"name": "n", "arguments": text}}])

    for cut in range(1, len(text.rstrip())):
        reply = folded(wire, named(text[:cut]), named(text[cut:]), named(text))
        assert isinstance(reply, Reply), reply
        assert [call.args for call in reply.message.calls] == [json.loads(text)] * 2


def calls_made(work: Callable[[], object]) -> int:
    """How many Python functions and generators `work` enters."""
    count = 0

    def profile(_frame: object, what: str, _arg: object) -> None:
        nonlocal count
        count += what == "call"

    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def test_a_further_summary_costs_the_same_however_many_came_before():
    wire = Responses()

    def fed(count: int) -> int:
        builder = wire.builder()
        texts = [wire.delta("output_text", 0, "x", content_index=i) for i in range(count)]
        parts = [
            wire.delta("reasoning_summary_text", 0, "x", summary_index=i) for i in range(count)
        ]
        return calls_made(lambda: builder.feed(texts + parts))

    assert fed(400) < 3 * fed(200)


def test_an_odd_event_is_read_the_slow_way_only_while_it_is_short():
    assert evened_json(b'{"a":"\\ud800"}') == b'{"a": "?"}'
    with pytest.raises(ValueError, match="bytes"):
        evened_json(b'"' + b"x" * limits.MAX_ODD_EVENT_BYTES + b'"')


@pytest.mark.parametrize("text", ["[]," * MAX_VALUES, '"",' * MAX_VALUES, '"\\"",' * MAX_VALUES])
def test_crowds_are_counted(text):
    assert values_in(text) >= MAX_VALUES


def test_what_stands_in_a_string_is_no_crowd():
    assert values_in(json.dumps({"a": '[{"b\\",' * MAX_VALUES})) < 10


def chunked(events: list[bytes]) -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
    for event in events:
        yield b"data: " + event + b"\n\n"


@pytest.mark.anyio
async def test_a_crowded_event_is_refused_before_it_is_decoded():
    crowd = (
        b'{"choices":[{"delta":{"tool_calls":[' + b",".join([b"{}"] * (MAX_VALUES + 1)) + b"]}}]}"
    )

    last: list[bytes] | Failure | None = []

    async def serve(client: anyio.abc.SocketStream) -> None:
        async with client:
            await client.receive()
            for piece in chunked([crowd]):
                await client.send(piece)

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listener.serve, serve)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        endpoint = Endpoint(f"http://127.0.0.1:{port}/", {}, {}, ())
        async with endpoint.post(b"{}", 5_000) as answer:
            while last == []:
                last = await answer.read()
        await endpoint.aclose()
        tasks.cancel_scope.cancel()
    assert isinstance(last, Failure), last
    assert_too_large(last)
