"""The scripted server's Responses dialect, as the vendor's own SDK and types see it."""

import json
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from perstack.providers import GenerateRequest
from perstack.providers.anthropic_body import request_body as anthropic_body
from perstack.providers.openai_responses_body import request_body
from perstack.schema.history import History
from perstack.schema.message import (
    ExpertMessage,
    Message,
    TextPart,
    ToolCallPart,
    ToolMessage,
    ToolResultPart,
    UserMessage,
    user_message,
)
from perstack.testing import anthropic_dialect, responses_dialect, serve_model
from perstack.testing.dialects import dialect_of
from perstack.testing.scenario import CallSpec, Conversation, ReplySpec, Rule, Scenario

pytestmark = pytest.mark.anyio

FULL = ReplySpec(
    thinking="Let me see.",
    redacted="b3BhcXVl",
    text="Grüße, 🙂 world.",
    text_pieces=4,
    calls=(
        CallSpec(name="readTextFile", args={"path": "a.txt"}),
        CallSpec(name="odd", raw='{"half', id="call_mine"),
    ),
    input_tokens=10,
    output_tokens=7,
    cached_tokens=200,
    cache_creation_tokens=30,
)
SPECS = {
    "full": FULL,
    "text": ReplySpec(text="Hello."),
    "empty": ReplySpec(),
    "cut": ReplySpec(text="So f", stop_reason="max_tokens"),
    "filtered": ReplySpec(text="So f", stop_reason="content_filter"),
    "refused": ReplySpec(text="I may not.", stop_reason="refusal", text_pieces=2),
}


async def events_of(url: str) -> list[Any]:
    """What the SDK reads, event by event."""
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0) as client:
        stream = await client.responses.create(model="gpt-5", input="Hi", stream=True)
        return [event async for event in stream]


async def streamed(url: str, **fields: Any) -> list[Any]:
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0) as client:
        asked: dict[str, Any] = {"model": "gpt-5", "input": "Hi"} | fields
        async with client.responses.stream(**asked) as stream:
            return [event async for event in stream] + [await stream.get_final_response()]


async def test_the_vendors_sdk_reads_the_whole_reply():
    async with serve_model([FULL]) as server:
        *events, final = await streamed(server.url)
    texts = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(texts) == final.output_text == "Grüße, 🙂 world."
    assert len(texts) == 4
    thoughts = [e.delta for e in events if e.type == "response.reasoning_summary_text.delta"]
    assert thoughts == ["Let me see."]
    hidden, thought, message, *calls = final.output
    assert (hidden.summary, hidden.encrypted_content) == ([], "b3BhcXVl")
    assert thought.summary[0].text == "Let me see."
    assert thought.encrypted_content == "signature-0"
    assert message.type == "message"
    assert [(call.call_id, call.name, call.arguments) for call in calls] == [
        ("call_0_0", "readTextFile", '{"path":"a.txt"}'),
        ("call_mine", "odd", '{"half'),
    ]
    assert final.usage.input_tokens == 240
    assert final.usage.input_tokens_details.cached_tokens == 200
    assert final.usage.input_tokens_details.cache_write_tokens == 30
    assert final.usage.output_tokens_details.reasoning_tokens == 3
    assert final.usage.total_tokens == 247
    assert final.status == "completed"


async def test_what_the_sdk_gathers_from_the_deltas_is_what_the_last_event_holds():
    async with serve_model([FULL]) as server:
        *events, _ = await streamed(server.url)
    arguments = [e for e in events if e.type == "response.function_call_arguments.done"]
    gathered: dict[int, str] = {}
    for event in events:
        if event.type == "response.function_call_arguments.delta":
            gathered[event.output_index] = gathered.get(event.output_index, "") + event.delta
    assert [gathered[event.output_index] for event in arguments] == [
        event.arguments for event in arguments
    ]


@pytest.mark.parametrize(
    ("reason", "word"),
    [("max_tokens", "max_output_tokens"), ("content_filter", "content_filter")],
)
async def test_a_reply_that_was_cut_is_incomplete_for_the_sdk(reason, word):
    spec = ReplySpec(text="So f", stop_reason=reason)
    async with serve_model([spec]) as server:
        *_, last = await events_of(server.url)
    assert last.type == "response.incomplete"
    assert last.response.incomplete_details.reason == word
    assert last.response.output_text == "So f"


async def test_a_refusal_is_one_for_the_sdk():
    async with serve_model([SPECS["refused"]]) as server:
        *_, final = await streamed(server.url)
    assert final.output[0].content[0].refusal == "I may not."
    assert final.output_text == ""


async def test_errors_are_the_sdks_own():
    specs = [
        ReplySpec(status=429, error=("rate_limit_exceeded", "Slow down.")),
        ReplySpec(text="abc", trouble="error", error=("server_error", "It broke.")),
    ]
    async with serve_model(specs) as server:
        with pytest.raises(openai.RateLimitError) as refused:
            await streamed(server.url)
        assert refused.value.code == "rate_limit_exceeded"
        *_, last = await events_of(server.url)
    assert (last.type, last.code, last.message) == ("error", "server_error", "It broke.")


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_each_event_is_one_that_the_vendors_types_describe(spec):
    adapter = TypeAdapter(ResponseStreamEvent)
    events = [*responses_dialect.events(spec), responses_dialect.error_event(spec)]
    for number, event in enumerate(events):
        name, data = event.decode().removeprefix("event: ").split("\ndata: ")
        told = json.loads(data)
        assert told["type"] == name
        assert told["sequence_number"] == (number if told["type"] != "error" else 0)
        adapter.validate_python(told)
        for response in [told["response"]] if "response" in told else []:
            assert response.keys() <= Response.model_fields.keys()


def asked(*messages: Message, instruction: str = "Be brief.") -> tuple[bytes, bytes]:
    """The same request on both wires: this one, and Anthropic's."""
    history = History(messages)
    request = GenerateRequest(model="m", instruction=instruction, messages=history)
    ours = request_body(request, wire="openai-responses", info=None, is_vendor=True)
    return ours, anthropic_body(request)


def call(name: str) -> ToolCallPart:
    return ToolCallPart(tool_call_id=name, tool_name=name, args={})


def result(*names: str) -> ToolMessage:
    results = (ToolResultPart(tool_call_id=n, tool_name=n, contents=()) for n in names)
    return ToolMessage(id="t", contents=tuple(results))


def expert(*parts: Any) -> ExpertMessage:
    return ExpertMessage(id="e", contents=parts)


GO = user_message("0", "go")
TEXT = TextPart(text="Hm.")
HISTORIES: dict[str, tuple[Message, ...]] = {
    "first": (GO,),
    "calls": (GO, expert(TEXT, call("a"), call("b")), result("a", "b")),
    "texts": (GO, expert(TEXT, TEXT), user_message("1", "more")),
    "neighbours": (GO, expert(TEXT), expert(TEXT), user_message("1", "more")),
    "words between": (GO, expert(call("a")), result("a"), user_message("1", "feedback")),
    "two words": (user_message("0", "one "), user_message("1", "two"), expert(TEXT)),
    "silence": (GO, expert(), user_message("1", "You said nothing.")),
    "ends with a reply": (GO, expert(TEXT)),
    "last words are media": (GO, expert(TEXT), UserMessage(id="1", contents=())),
    "long": (GO, *(part for _ in range(40) for part in (expert(call("a")), result("a")))),
}


@pytest.mark.parametrize("messages", HISTORIES.values(), ids=HISTORIES)
@pytest.mark.parametrize("reads_text", [True, False])
def test_a_conversation_is_the_same_on_both_wires(messages, reads_text):
    ours, theirs = asked(*messages)
    told = responses_dialect.conversation(ours, reads_text=reads_text)
    other = anthropic_dialect.conversation(theirs, reads_text=reads_text)
    assert told.turns == other.turns
    if not isinstance(messages[-1], ExpertMessage):  # Anthropic's ends with words of ours
        assert told == other


def test_the_input_may_be_a_text():
    body = b'{"input":"Hi","instructions":"Be brief."}'
    assert responses_dialect.conversation(body, reads_text=True) == Conversation(
        system="Be brief.", user="Hi", turns=0
    )
    assert responses_dialect.conversation(body, reads_text=False).turns == 0


async def test_rules_see_the_words_of_a_request():
    scenario = Scenario(
        rules=(Rule(system="poet", replies=(ReplySpec(text="verse"),)),),
        replies=(ReplySpec(text="other"),),
    )
    async with serve_model(scenario) as server:
        *_, verse = await streamed(server.url, instructions="You are a poet.")
        *_, other = await streamed(server.url)
        told: Any = [{"role": "developer", "content": "You are a poet."}]
        *_, again = await streamed(server.url, input=told)
    assert [verse.output_text, other.output_text, again.output_text] == ["verse", "other", "verse"]


@pytest.mark.parametrize("path", ["/v1/responses", "/openai/v1/responses", "/openai/responses"])
def test_the_dialect_is_spoken_at_the_paths_of_the_vendor_and_of_azure(path):
    found = dialect_of(path)
    assert found is not None
    assert found.events is responses_dialect.events
