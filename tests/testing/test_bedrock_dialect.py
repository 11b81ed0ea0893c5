"""The vendor's own SDK reads what the scripted server says."""

from __future__ import annotations

import anyio.to_thread
import pytest

from perstack.testing import serve_model
from perstack.testing.scenario import CallSpec, ReplySpec, Rule, Scenario

boto3 = pytest.importorskip("boto3")
from botocore.config import Config  # noqa: E402 - after the check for its package
from botocore.exceptions import ClientError, EventStreamError  # noqa: E402 - see above

pytestmark = pytest.mark.anyio

MODEL = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"


async def events_of(url):
    """The events of one reply, each with its name."""

    def ask():
        session = boto3.Session("AKIDEXAMPLE", "s" * 40, region_name="eu-west-1")
        client = session.client(
            "bedrock-runtime",
            endpoint_url=url,
            config=Config(retries={"total_max_attempts": 1}, proxies={}),
        )
        answer = client.converse_stream(
            modelId=MODEL,
            system=[{"text": "Be brief."}],
            messages=[{"role": "user", "content": [{"text": "Hello"}]}],
        )
        found = [next(iter(event.items())) for event in answer["stream"]]
        client.close()
        return found

    return await anyio.to_thread.run_sync(ask)


def deltas_of(events):
    return [data["delta"] for kind, data in events if kind == "contentBlockDelta"]


async def test_text_thoughts_calls_and_counts_arrive():
    spec = ReplySpec(
        redacted="hidden",
        thinking="Let me see.",
        text="Reading ünïcode.",
        text_pieces=3,
        calls=(CallSpec(name="readTextFile", args={"path": "a.txt"}), CallSpec(name="b", raw="{")),
        input_tokens=30,
        cached_tokens=12,
        cache_creation_tokens=5,
        output_tokens=9,
    )
    async with serve_model([spec]) as server:
        events = await events_of(server.url)
        assert server.requests[0].path == f"/model/{MODEL.replace(':', '%3A')}/converse-stream"
    deltas = deltas_of(events)
    thoughts = [each["reasoningContent"] for each in deltas if "reasoningContent" in each]
    assert thoughts == [
        {"redactedContent": b"hidden"},
        {"text": "Let me see."},
        {"signature": "signature-0"},
    ]
    said = [each["text"] for each in deltas if "text" in each]
    assert len(said) == 3
    assert "".join(said) == "Reading ünïcode."
    started = [data["start"]["toolUse"] for kind, data in events if kind == "contentBlockStart"]
    assert started == [
        {"toolUseId": "tooluse_0_0", "name": "readTextFile"},
        {"toolUseId": "tooluse_0_1", "name": "b"},
    ]
    written = "".join(each["toolUse"]["input"] for each in deltas if "toolUse" in each)
    assert written == '{"path":"a.txt"}{'
    assert [kind for kind, _ in events][-2:] == ["messageStop", "metadata"]
    assert events[-2][1]["stopReason"] == "tool_use"
    assert events[-1][1]["usage"] == {
        "inputTokens": 30,
        "outputTokens": 9,
        "totalTokens": 56,
        "cacheReadInputTokens": 12,
        "cacheWriteInputTokens": 5,
    }


@pytest.mark.parametrize("write", ["whole", "events", "bytes"])
async def test_a_stream_may_be_cut_anywhere(write):
    async with serve_model([ReplySpec(text="Hello, world {n}.", write=write)]) as server:
        deltas = deltas_of(await events_of(server.url))
    assert "".join(delta["text"] for delta in deltas) == "Hello, world 0."


async def test_an_error_has_the_vendors_form():
    spec = ReplySpec(status=429, error=("ThrottlingException", "Slow down."))
    async with serve_model([spec]) as server:
        with pytest.raises(ClientError) as caught:
            await events_of(server.url)
    assert caught.value.response["Error"]["Code"] == "ThrottlingException"
    assert caught.value.response["Error"]["Message"] == "Slow down."


async def test_an_error_inside_a_stream_has_the_vendors_form():
    error = ("ModelStreamErrorException", "It broke.")
    spec = ReplySpec(text="abcd", text_pieces=4, trouble="error", error=error)
    async with serve_model([spec]) as server:
        with pytest.raises(EventStreamError) as caught:
            await events_of(server.url)
    assert caught.value.response["Error"]["Code"] == "modelStreamErrorException"
    assert caught.value.response["Error"]["Message"] == "It broke."


async def test_rules_read_the_words_of_a_request():
    rule = Rule(user="Hello", system="Be brief", replies=(ReplySpec(text="Found."),))
    async with serve_model(Scenario(rules=(rule,))) as server:
        deltas = deltas_of(await events_of(server.url))
    assert "".join(delta["text"] for delta in deltas) == "Found."
