"""The vendor's own SDK reads what the scripted server says."""

from __future__ import annotations

import pytest

from perstack.testing import serve_model
from perstack.testing.scenario import CallSpec, ReplySpec

genai = pytest.importorskip("google.genai")

pytestmark = pytest.mark.anyio

MODEL = "gemini-3-pro-preview"


async def chunks_of(url):
    client = genai.Client(
        vertexai=False,
        api_key="k" * 20,
        http_options=genai.types.HttpOptions(base_url=url),
    )
    try:
        stream = await client.aio.models.generate_content_stream(model=MODEL, contents="Hello")
        return [chunk async for chunk in stream]
    finally:
        await client.aio.aclose()


def parts_of(chunks):
    return [part for chunk in chunks for part in chunk.candidates[0].content.parts]


async def test_text_thoughts_calls_and_counts_arrive():
    calls = (
        CallSpec(name="readTextFile", args={"path": "a.txt", "deep": [1, None, "é"]}),
        CallSpec(name="listDirectory", id="own-id"),
    )
    spec = ReplySpec(
        thinking="Let me see.",
        text="Reading now.",
        text_pieces=3,
        calls=calls,
        input_tokens=30,
        cached_tokens=12,
        output_tokens=9,
    )
    async with serve_model([spec]) as server:
        chunks = await chunks_of(server.url)
        assert server.requests[0].path == f"/v1beta/models/{MODEL}:streamGenerateContent"
    parts = parts_of(chunks)
    assert [part.text for part in parts if part.thought] == ["Let me see."]
    said = [part.text for part in parts if part.text and not part.thought]
    assert len(said) == 3
    assert "".join(said) == "Reading now."
    called = [part for part in parts if part.function_call]
    assert [part.function_call.id for part in called] == ["call_0_0", "own-id"]
    assert called[0].function_call.args == {"path": "a.txt", "deep": [1, None, "é"]}
    assert called[0].thought_signature == b"signature-0"
    assert called[1].thought_signature is None
    assert chunks[-1].candidates[0].finish_reason == "STOP"
    usage = chunks[-1].usage_metadata
    assert (usage.prompt_token_count, usage.cached_content_token_count) == (42, 12)
    assert usage.candidates_token_count + usage.thoughts_token_count == 9
    assert usage.total_token_count == 51


async def test_a_signature_without_a_call_stands_on_a_text_without_words():
    async with serve_model([ReplySpec(thinking="Hm.", text="Yes.")]) as server:
        parts = parts_of(await chunks_of(server.url))
    assert [part.text for part in parts if part.thought_signature] == [""]


async def test_a_signature_that_is_base64_is_sent_as_it_is():
    spec = ReplySpec(thinking="Hm.", text="Yes.", signature="cHJvb2Y=")
    async with serve_model([spec]) as server:
        parts = parts_of(await chunks_of(server.url))
    assert [part.thought_signature for part in parts if part.thought_signature] == [b"proof"]


@pytest.mark.parametrize("write", ["whole", "events", "bytes"])
async def test_a_stream_may_be_cut_anywhere(write):
    async with serve_model([ReplySpec(text="Hello, world.", write=write)]) as server:
        parts = parts_of(await chunks_of(server.url))
    assert "".join(part.text for part in parts) == "Hello, world."


async def test_a_limit_is_told_in_the_vendors_words():
    async with serve_model([ReplySpec(text="Half", stop_reason="max_tokens")]) as server:
        chunks = await chunks_of(server.url)
    assert chunks[-1].candidates[0].finish_reason == "MAX_TOKENS"


@pytest.mark.parametrize("status", [400, 429, 503])
async def test_an_error_has_the_vendors_form(status):
    spec = ReplySpec(status=status, error=("RESOURCE_EXHAUSTED", "Slow down."))
    async with serve_model([spec]) as server:
        with pytest.raises(genai.errors.APIError) as caught:
            await chunks_of(server.url)
    assert (caught.value.code, caught.value.status) == (status, "RESOURCE_EXHAUSTED")
    assert caught.value.message == "Slow down."


async def test_an_error_inside_a_stream_has_the_vendors_form():
    spec = ReplySpec(text="abcd", text_pieces=4, trouble="error", error=("UNAVAILABLE", "Busy."))
    async with serve_model([spec]) as server:
        with pytest.raises(genai.errors.APIError, match=r"Busy\."):
            await chunks_of(server.url)


async def test_the_path_of_google_cloud_leads_to_the_same_wire():
    from perstack.testing.dialects import dialect_of

    path = f"/v1beta1/projects/p/locations/global/publishers/google/models/{MODEL}"
    found = dialect_of(f"{path}:streamGenerateContent")
    assert found is not None
    assert found is dialect_of(f"/v1beta/models/{MODEL}:streamGenerateContent")
    assert dialect_of(f"{path}:generateContent") is None


async def test_rules_read_the_words_of_a_request():
    from perstack.testing.scenario import Rule, Scenario

    rule = Rule(user="Hello", replies=(ReplySpec(text="Found."),))
    async with serve_model(Scenario(rules=(rule,))) as server:
        parts = parts_of(await chunks_of(server.url))
    assert "".join(part.text for part in parts) == "Found."
