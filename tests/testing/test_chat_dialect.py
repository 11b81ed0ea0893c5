"""The scripted server's Chat Completions, as the vendor's own SDK reads it."""

import pytest

from perstack.testing import serve_model
from perstack.testing.scenario import CallSpec, ReplySpec, Rule, Scenario

openai = pytest.importorskip("openai")
pytestmark = pytest.mark.anyio

ASKED = {
    "model": "gpt-x",
    "messages": [{"role": "user", "content": "Hello"}],
    "stream": True,
    "stream_options": {"include_usage": True},
}


@pytest.fixture(autouse=True)
def _no_proxy_of_this_machine(monkeypatch):
    for name in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name.upper()}_PROXY", raising=False)


async def chunks_of(client, **fields):
    async with client:
        stream = await client.chat.completions.create(**ASKED | fields)
        return [chunk async for chunk in stream]


def sdk(url: str):
    return openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0)


@pytest.mark.parametrize("write", ["whole", "events", "bytes"])
async def test_the_vendors_sdk_reads_text_calls_and_usage(write):
    spec = ReplySpec(
        thinking="Hm.",
        text="Grüße 🙂, world.",
        text_pieces=5,
        calls=(
            CallSpec(name="a", args={"path": "x", "n": [1, None]}),
            CallSpec(name="b", id="own-id"),
            CallSpec(name="c", raw='{"half'),
        ),
        input_tokens=10,
        cached_tokens=200,
        cache_creation_tokens=30,
        output_tokens=8,
        write=write,
    )
    async with serve_model([spec]) as server:
        chunks = await chunks_of(sdk(server.url))
    choices = [choice for chunk in chunks for choice in chunk.choices]
    assert "".join(choice.delta.content or "" for choice in choices) == "Grüße 🙂, world."
    assert choices[0].delta.role == "assistant"
    assert [choice.finish_reason for choice in choices if choice.finish_reason] == ["tool_calls"]
    thoughts = [getattr(choice.delta, "reasoning_content", None) for choice in choices]
    assert "".join(thought or "" for thought in thoughts) == "Hm."
    calls: dict[int, list[str]] = {}
    for choice in choices:
        for call in choice.delta.tool_calls or ():
            made = calls.setdefault(call.index, ["", "", ""])
            for place, told in enumerate((call.id, call.function.name, call.function.arguments)):
                made[place] += told or ""
    assert list(calls.values()) == [
        ["call_0_0", "a", '{"path":"x","n":[1,null]}'],
        ["own-id", "b", "{}"],
        ["call_0_2", "c", '{"half'],
    ]
    assert [chunk.usage for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    usage = chunks[-1].usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (240, 8, 248)
    assert usage.prompt_tokens_details.cached_tokens == 200
    assert usage.completion_tokens_details.reasoning_tokens == 4


async def test_the_vendors_sdk_reads_endings_refusals_and_errors():
    replies = [
        ReplySpec(text="So f", stop_reason="max_tokens"),
        ReplySpec(text="No.", stop_reason="refusal"),
        ReplySpec(text="abc", trouble="error", error=("server_error", "It broke.")),
        ReplySpec(status=429, error=("rate_limit_error", "Slow down.")),
    ]
    async with serve_model(replies) as server:
        (*_, cut, _) = await chunks_of(sdk(server.url))
        refused = await chunks_of(sdk(server.url))
        with pytest.raises(openai.APIError, match="It broke"):
            await chunks_of(sdk(server.url))
        with pytest.raises(openai.RateLimitError, match="Slow down"):
            await chunks_of(sdk(server.url))
    assert cut.choices[0].finish_reason == "length"
    assert [c.choices[0].delta.refusal for c in refused if c.choices if c.choices[0].delta.refusal]


async def test_the_vendors_sdk_reads_azures_deployments_too():
    async with serve_model([ReplySpec(text="Hi")]) as server:
        client = openai.AsyncAzureOpenAI(
            azure_endpoint=server.url, api_version="2024-10-21", api_key="k", max_retries=0
        )
        chunks = await chunks_of(client)
        (request,) = server.requests
    assert request.path == "/openai/deployments/gpt-x/chat/completions"
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "Hi"


async def test_a_scenario_sees_system_user_and_the_number_of_replies():
    rules = (
        Rule(system="chess", user="move", by="turn", replies=(ReplySpec(text="turn {n}"),)),
        Rule(replies=(ReplySpec(text="other"),)),
    )
    messages = [
        {"role": "system", "content": "You play chess."},
        {"role": "user", "content": "Begin."},
        {"role": "assistant", "content": "e4"},
        {"role": "user", "content": [{"type": "text", "text": "Your move."}]},
    ]
    async with serve_model(Scenario(rules=rules)) as server:
        fitting = await chunks_of(sdk(server.url), messages=messages)
        other = await chunks_of(sdk(server.url))
    texts = [
        "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        for chunks in (fitting, other)
    ]
    assert texts == ["turn 1", "other"]


async def test_reasoning_with_a_proof_comes_as_openrouter_sends_it():
    spec = ReplySpec(thinking="Hm.", signature="sig", redacted="b3BhcXVl", text="So.")
    async with serve_model([spec]) as server:
        chunks = await chunks_of(sdk(server.url))
    deltas = [c.choices[0].delta.model_dump() for c in chunks if c.choices]
    details = [each for delta in deltas for each in delta.get("reasoning_details") or ()]
    assert [each["type"] for each in details] == [
        "reasoning.encrypted",
        "reasoning.text",
        "reasoning.text",
    ]
    assert details[0]["data"] == "b3BhcXVl"
    assert details[2]["signature"] == "sig"
