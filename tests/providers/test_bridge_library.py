from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

pytest.importorskip("pydantic_ai")

from perstack.errors import ConfigurationError
from perstack.schema.message import ThinkingPart, user_message
from perstack.testing import serve_model
from perstack.testing.scenario import CallSpec, ReplySpec
from providers.bridged import (
    KEY,
    READ,
    answered,
    asked,
    failure_of,
    opened,
    reply_of,
)

if TYPE_CHECKING:
    from perstack.providers import Reply

pytestmark = pytest.mark.anyio

HELLO = ReplySpec(text="Hello.")
CALLING = ReplySpec(
    thinking="Hm.", text="Reading.", calls=(CallSpec(name="readTextFile"),), output_tokens=20
)


async def body_of(request, environ, **settings) -> Any:
    async with serve_model([HELLO]) as server:
        provider = opened("pydantic-ai", server.url, environ, **settings)
        await reply_of(provider, request)
        await provider.aclose()
        return server.requests[0].json


async def continued(model, environ) -> tuple[Reply, Any]:
    async with serve_model([CALLING, HELLO]) as server:
        provider = opened("pydantic-ai", server.url, environ)
        reply = await reply_of(provider, asked(model, tools=(READ,)))
        said = (user_message("0", "go"), reply.message, answered(reply))
        await reply_of(provider, asked(model, *said, tools=(READ,)))
        await provider.aclose()
        return reply, server.requests[1].json


@pytest.mark.parametrize(
    ("model", "variable"),
    [
        ("together:some/model", "TOGETHER_API_KEY"),
        ("openrouter:some/model", "OPENROUTER_API_KEY"),
        ("fireworks:some/model", "FIREWORKS_API_KEY"),
        ("openai-chat:gpt-5", "OPENAI_API_KEY"),
        ("alibaba:qwen", "DASHSCOPE_API_KEY"),
        ("vercel:some/model", "VERCEL_AI_GATEWAY_API_KEY"),
    ],
)
async def test_a_vendors_key_is_read_from_its_variable_in_the_mapping(model, variable, monkeypatch):
    monkeypatch.setenv(variable, "of-the-process")
    async with serve_model([HELLO]) as server:
        provider = opened("pydantic-ai", server.url, {variable: KEY}, headers={"X-Team": "blue"})
        reply = await reply_of(provider, asked(model))
        await provider.aclose()
        headers = server.requests[0].headers
        body = server.requests[0].json
    assert reply.message.text == "Hello."
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["x-team"] == "blue"
    assert body["model"] == model.partition(":")[2]


async def test_one_provider_asks_several_vendors():
    environ = {"TOGETHER_API_KEY": KEY, "OPENROUTER_API_KEY": "o" * 20}
    async with serve_model([HELLO, HELLO]) as server:
        provider = opened("pydantic-ai", server.url, environ)
        for model in ("together:a", "openrouter:some/b"):
            await reply_of(provider, asked(model))
        await provider.aclose()
        keys = [request.headers["authorization"] for request in server.requests]
    assert keys == [f"Bearer {KEY}", f"Bearer {'o' * 20}"]


async def test_the_address_of_a_vendor_may_stand_in_its_variable():
    async with serve_model([HELLO]) as server:
        provider = opened("pydantic-ai", None, {"VLLM_BASE_URL": server.url})
        reply = await reply_of(provider, asked("vllm:some/model"))
        await provider.aclose()
    assert reply.message.text == "Hello."


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("gpt-5", ("'gpt-5'", "groq:")),
        ("together:", ("'together:'",)),
        ("together:some/model", ("TOGETHER_API_KEY",)),
        ("alibaba:qwen", ("ALIBABA_API_KEY", "DASHSCOPE_API_KEY")),
        ("nobody:model", ("'nobody'",)),
        ("bedrock:some.model", ("amazon-bedrock", "'some.model'")),
        ("google:gemini-3-pro-preview", ("'google'", "gemini-3-pro-preview")),
        ("azure:gpt-5", ("'azure'", "more than a key")),
    ],
)
async def test_a_model_that_cannot_be_opened_says_what_to_do(model, words):
    provider = opened("pydantic-ai", None, {})
    failure = await failure_of(provider, asked(model))
    await provider.aclose()
    assert failure.error.name == "ConfigurationError"
    assert not failure.error.is_retryable
    for word in words:
        assert word in failure.error.message


async def test_the_package_that_a_vendor_lacks_is_named(monkeypatch):
    """Whether or not its SDK is installed here."""
    import sys

    monkeypatch.setitem(sys.modules, "groq", None)
    monkeypatch.delitem(sys.modules, "pydantic_ai.providers.groq", raising=False)
    provider = opened("pydantic-ai", None, {"GROQ_API_KEY": KEY})
    failure = await failure_of(provider, asked("groq:llama-3.3-70b-versatile"))
    await provider.aclose()
    assert failure.error.name == "ConfigurationError"
    assert "pydantic-ai-slim[groq]" in failure.error.message
    assert KEY not in failure.error.message


def test_a_header_that_cannot_be_sent_is_told_at_once():
    with pytest.raises(ConfigurationError, match="X-Bad"):
        opened("pydantic-ai", None, {}, headers={"X-Bad": "a\nb"})


async def test_reasoning_goes_back_to_a_vendor_that_reads_it():
    reply, body = await continued("vllm:some/model", {})
    assert body["messages"][2]["reasoning_content"] == "Hm."
    thoughts = [part.signature for part in reply.contents if isinstance(part, ThinkingPart)]
    assert all(signature and signature.startswith("pydantic-ai-vllm:") for signature in thoughts)
    assert reply.usage.reasoning_tokens == 10


async def test_reasoning_of_one_vendor_is_not_told_to_another():
    reply, _ = await continued("vllm:some/model", {})
    said = (user_message("0", "go"), reply.message, answered(reply))
    body = await body_of(asked("together:some/model", *said), {"TOGETHER_API_KEY": KEY})
    assert "Hm." not in json.dumps(body)


async def test_items_of_the_responses_api_keep_their_ids_and_proofs():
    _, body = await continued("openai:gpt-5", {"OPENAI_API_KEY": KEY})
    kinds = [(item.get("type"), item.get("id")) for item in body["input"]]
    assert kinds[1:4] == [
        ("reasoning", "rs_0_t"),
        ("message", "msg_0"),
        ("function_call", "fc_0_0"),
    ]
    assert body["input"][1]["encrypted_content"] == "signature-0"


async def test_cache_marks_are_set_where_a_vendor_wants_them():
    environ = {"OPENROUTER_API_KEY": KEY}
    model = "openrouter:anthropic/claude-sonnet-4.5"
    body = await body_of(asked(model, tools=(READ,)), environ)
    assert "cache_control" in json.dumps(body["messages"])
    assert "cache_control" in json.dumps(body["tools"])
    plain = await body_of(asked("openrouter:openai/gpt-5", tools=(READ,)), environ)
    assert "cache_control" not in json.dumps(plain)


async def test_a_tool_that_openai_refuses_is_told_before_anything_is_sent():
    schema = {"type": "object", "properties": {"x": {"type": "array"}}}
    tool = msgspec.structs.replace(READ, input_schema=schema)
    async with serve_model([HELLO]) as server:
        provider = opened("pydantic-ai", server.url, {"OPENAI_API_KEY": KEY})
        failure = await failure_of(provider, asked("openai-chat:gpt-5", tools=(tool,)))
        await provider.aclose()
        assert server.requests == []
    assert failure.error.name == "UnsupportedToolSchema"
