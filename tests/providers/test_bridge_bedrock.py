from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import msgspec
import pytest

pytest.importorskip("boto3")

from perstack.errors import ConfigurationError
from perstack.providers import TextDelta
from perstack.schema.message import (
    ExpertMessage,
    ToolCallPart,
    user_message,
)
from perstack.testing import serve_model
from perstack.testing.scenario import CallSpec, ReplySpec
from providers.bridged import (
    AWS,
    CLAUDE,
    KEY,
    NOVA,
    READ,
    answered,
    asked,
    failure_of,
    last_of,
    opened,
    reply_of,
)

if TYPE_CHECKING:
    from perstack.providers import Reply

pytestmark = pytest.mark.anyio

HELLO = ReplySpec(text="Hello.")
CALLING = ReplySpec(
    thinking="Hm.", redacted="hidden", text="Reading.", calls=(CallSpec(name="readTextFile"),)
)


@pytest.fixture(autouse=True)
def _no_aws_of_this_machine(monkeypatch, tmp_path):
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


async def body_of(request, **settings) -> Any:
    async with serve_model([HELLO]) as server:
        provider = opened("amazon-bedrock", server.url, AWS, **settings)
        await reply_of(provider, request)
        await provider.aclose()
        return server.requests[0].json


async def continued(model, *, is_error=False, **fields) -> tuple[Reply, Any]:
    """The reply to a question, and the body of the request that answers its calls."""
    async with serve_model([CALLING, HELLO]) as server:
        provider = opened("amazon-bedrock", server.url, AWS)
        reply = await reply_of(provider, asked(model, tools=(READ,)))
        said = (user_message("0", "go"), reply.message, answered(reply, is_error=is_error))
        await reply_of(provider, asked(model, *said, tools=(READ,), **fields))
        await provider.aclose()
        return reply, server.requests[1].json


async def test_what_claude_thought_goes_back_as_it_came():
    _, body = await continued(CLAUDE)
    said = body["messages"][1]["content"]
    thoughts = [block["reasoningContent"] for block in said if "reasoningContent" in block]
    assert thoughts == [
        {"redactedContent": "aGlkZGVu"},
        {"reasoningText": {"text": "Hm.", "signature": "signature-0"}},
    ]


async def test_what_nova_thought_is_not_shown_to_it_as_something_said():
    _, body = await continued(NOVA)
    said = body["messages"][1]["content"]
    assert [next(iter(block)) for block in said] == ["text", "toolUse"]
    assert said[0] == {"text": "Reading."}


async def test_a_failed_call_is_told_as_failed():
    _, body = await continued(CLAUDE, is_error=True)
    (result,) = [block["toolResult"] for block in body["messages"][2]["content"][:1]]
    assert result["status"] == "error"
    assert result["content"] == [{"text": "first\nsecond"}]


async def test_instruction_tools_and_the_newest_message_are_marked_for_the_cache():
    _, body = await continued(CLAUDE)
    mark = {"cachePoint": {"type": "default"}}
    assert body["system"] == [{"text": "Be brief."}, mark]
    assert body["toolConfig"]["tools"][-1] == mark
    assert body["messages"][-1]["content"][-1] == mark


@pytest.mark.parametrize(
    ("model", "budget", "fields", "max_tokens"),
    [
        (CLAUDE, "none", None, 64_000),
        (CLAUDE, "minimal", {"thinking": {"type": "enabled", "budget_tokens": 1_024}}, 64_000),
        (CLAUDE, 7_777, {"thinking": {"type": "enabled", "budget_tokens": 7_777}}, 64_000),
        (
            "anthropic.claude-opus-4-7",
            "medium",
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "medium"}},
            128_000,
        ),
        (NOVA, "high", None, None),
    ],
)
async def test_a_reasoning_budget_is_what_the_model_takes(model, budget, fields, max_tokens):
    body = await body_of(asked(model, reasoning_budget=budget))
    assert body.get("additionalModelRequestFields") == fields
    assert body["inferenceConfig"].get("maxTokens") == max_tokens


async def test_claude_does_not_begin_to_think_inside_a_tool_loop():
    """It would refuse: the first reply of the loop must begin with a thought of its own."""
    call = ToolCallPart(tool_call_id="c1", tool_name="readTextFile", args={})
    silent = ExpertMessage(id="1", contents=(call,))
    said = (user_message("0", "go"), silent)
    body = await body_of(asked(CLAUDE, *said, tools=(READ,), reasoning_budget="high"))
    assert "additionalModelRequestFields" not in body
    on = (*said, user_message("2", "go on"))
    body = await body_of(asked(CLAUDE, *on, tools=(READ,), reasoning_budget="high"))
    assert "additionalModelRequestFields" in body


async def test_the_keys_of_the_mapping_sign_and_not_the_processs(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDPROCESS")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "p" * 40)
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "of-the-process")
    async with serve_model([HELLO]) as server:
        environ = AWS | {"AWS_SESSION_TOKEN": KEY}
        provider = opened("amazon-bedrock", server.url, environ, headers={"X-Team": "blue"})
        await reply_of(provider, asked(CLAUDE))
        await provider.aclose()
        headers = server.requests[0].headers
    assert "Credential=AKIDEXAMPLE/" in headers["authorization"]
    assert "/eu-west-1/bedrock/" in headers["authorization"]
    assert headers["x-amz-security-token"] == KEY
    assert headers["x-team"] == "blue"


async def test_a_bearer_token_needs_no_keys():
    async with serve_model([HELLO]) as server:
        environ = {"AWS_BEARER_TOKEN_BEDROCK": KEY}
        provider = opened("amazon-bedrock", server.url, environ, region="eu-west-1")
        await reply_of(provider, asked(CLAUDE))
        await provider.aclose()
        assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


async def test_a_profile_of_the_mapping_gives_keys_and_region(tmp_path):
    config, credentials = tmp_path / "config", tmp_path / "credentials"
    config.write_text("[profile work]\nregion = ap-south-1\n")
    credentials.write_text(
        f"[work]\naws_access_key_id = AKIDOFFILE\naws_secret_access_key = {'f' * 40}\n"
        f"aws_session_token = {KEY}\n"
    )
    environ = {
        "AWS_PROFILE": "work",
        "AWS_CONFIG_FILE": str(config),
        "AWS_SHARED_CREDENTIALS_FILE": str(credentials),
    }
    spec = ReplySpec(status=403, error=("AccessDeniedException", f"Token {KEY} is no good."))
    async with serve_model([spec]) as server:
        provider = opened("amazon-bedrock", server.url, environ)
        failure = await failure_of(provider, asked(CLAUDE))
        await provider.aclose()
        signature = server.requests[0].headers["authorization"]
    assert "Credential=AKIDOFFILE/" in signature
    assert "/ap-south-1/" in signature
    assert failure.error.name == "AccessDeniedException"
    assert KEY not in failure.error.message


async def test_without_credentials_the_way_out_is_told():
    async with serve_model([HELLO]) as server:
        provider = opened("amazon-bedrock", server.url, {}, region="eu-west-1")
        failure = await failure_of(provider, asked(CLAUDE))
        await provider.aclose()
        assert server.requests == []
    assert failure.error.name == "NoCredentials"
    assert not failure.error.is_retryable
    assert "AWS_ACCESS_KEY_ID" in failure.error.message


@pytest.mark.parametrize(
    ("environ", "word"), [({}, "AWS_REGION"), ({"AWS_PROFILE": "nobodys"}, "nobodys")]
)
def test_what_cannot_be_used_is_told_before_anything_is_asked(environ, word):
    with pytest.raises(ConfigurationError, match=word):
        opened("amazon-bedrock", None, environ)


async def test_an_error_is_named_by_the_vendors_header():
    spec = ReplySpec(
        status=429,
        headers={"x-amzn-ErrorType": "ThrottlingException:http://internal.amazon.com/"},
        body='{"message":"Too many tokens."}',
    )
    async with serve_model([spec]) as server:
        provider = opened("amazon-bedrock", server.url, AWS)
        failure = await failure_of(provider, asked(CLAUDE))
        await provider.aclose()
    assert failure.error.name == "ThrottlingException"
    assert failure.error.message == "Too many tokens."
    assert failure.error.is_retryable


@pytest.mark.parametrize(
    ("name", "status", "is_retryable"),
    [
        ("ThrottlingException", 429, True),
        ("ModelStreamErrorException", 424, True),
        ("ValidationException", 400, False),
    ],
)
async def test_an_error_inside_a_stream_keeps_the_vendors_name(name, status, is_retryable):
    spec = ReplySpec(text="abcd", text_pieces=4, trouble="error", error=(name, "Oh."))
    async with serve_model([spec]) as server:
        provider = opened("amazon-bedrock", server.url, AWS)
        failure = await failure_of(provider, asked(CLAUDE))
        await provider.aclose()
    error = failure.error
    assert (error.name.lower(), error.message) == (name.lower(), "Oh.")
    assert (error.status_code, error.is_retryable) == (status, is_retryable)


@pytest.mark.parametrize(
    ("reason", "is_retryable"),
    [
        ("guardrail_intervened", False),
        ("content_filtered", False),
        ("model_context_window_exceeded", False),
        ("malformed_tool_use", True),
    ],
)
async def test_a_stop_that_leaves_no_reply_is_a_failure(reason, is_retryable):
    async with serve_model([ReplySpec(text="Half", stop_reason=reason)]) as server:
        provider = opened("amazon-bedrock", server.url, AWS)
        failure = await failure_of(provider, asked(CLAUDE))
        await provider.aclose()
    assert (failure.error.name, failure.error.is_retryable) == (reason, is_retryable)
    assert failure.usage.output_tokens == 20


@pytest.mark.parametrize("model", [CLAUDE, NOVA])
async def test_a_schema_that_is_no_object_is_told_before_anything_is_sent(model):
    tool = msgspec.structs.replace(READ, input_schema={"properties": {}})
    async with serve_model([HELLO]) as server:
        provider = opened("amazon-bedrock", server.url, AWS)
        failure = await failure_of(provider, asked(model, tools=(tool,)))
        await provider.aclose()
        assert server.requests == []
    assert failure.error.name == "UnsupportedToolSchema"
    for word in ('"type"', "readTextFile", "@perstack/base"):
        assert word in failure.error.message


def botocores_threads():
    return [each for each in threading.enumerate() if "worker" in each.name and _is_waiting(each)]


def _is_waiting(thread):
    import sys

    frame = sys._current_frames().get(thread.ident)
    while frame is not None:
        if "botocore" in frame.f_code.co_filename:
            return True
        frame = frame.f_back
    return False


@pytest.mark.parametrize("trouble", ["hang", "stall"])
async def test_a_task_that_is_cancelled_natively_leaves_no_thread_behind(trouble):
    """As on an interrupt: a thread that waits would keep the process from ending."""
    spec = ReplySpec(text="abcdefgh", text_pieces=8, trouble=trouble)
    async with serve_model([spec]) as server:
        provider = opened("amazon-bedrock", server.url, AWS)

        async def generate():
            async for _ in provider.generate(asked(CLAUDE, timeout=60_000)):
                pass

        task = asyncio.get_running_loop().create_task(generate())
        with anyio.fail_after(20):
            while not server.requests or not botocores_threads():  # noqa: ASYNC110 - no event
                await anyio.sleep(0.005)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await server.hangups.wait()
            while botocores_threads():  # noqa: ASYNC110 - a thread ends without telling
                await anyio.sleep(0.005)
        await provider.aclose()


@pytest.fixture
def full_port():
    """A port of this machine whose connections are never made: its queue is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


async def test_a_connection_that_is_never_made_holds_no_thread_once_nobody_waits(full_port):
    provider = opened("amazon-bedrock", f"http://127.0.0.1:{full_port}", AWS)
    task = asyncio.get_running_loop().create_task(last_of(provider, asked(CLAUDE)))
    with anyio.fail_after(20):
        while not botocores_threads():  # noqa: ASYNC110 - a thread begins without telling
            await anyio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        while botocores_threads():  # noqa: ASYNC110 - nor does it tell its end
            await anyio.sleep(0.005)
    await provider.aclose()


async def test_many_streams_take_no_threads_from_others():
    """More streams wait than there are threads, and a file can still be read."""
    count = int(anyio.to_thread.current_default_thread_limiter().total_tokens) + 5
    spec = ReplySpec(text="abcdefgh", text_pieces=8, trouble="stall")
    async with serve_model([spec] * count) as server:
        provider = opened("amazon-bedrock", server.url, AWS)
        begun = 0
        every = anyio.Event()

        async def generate():
            nonlocal begun
            async for piece in provider.generate(asked(CLAUDE, timeout=60_000)):
                if isinstance(piece, TextDelta) and piece.text.startswith("a"):
                    begun += 1
                    if begun == count:
                        every.set()

        async with anyio.create_task_group() as tasks:
            for _ in range(count):
                tasks.start_soon(generate)
            with anyio.fail_after(40):
                await every.wait()
                assert await anyio.to_thread.run_sync(lambda: "read") == "read"
            tasks.cancel_scope.cancel()
        await provider.aclose()


async def test_no_log_of_botocore_holds_a_token(caplog):
    caplog.set_level(logging.DEBUG)
    async with serve_model([HELLO]) as server:
        environ = AWS | {"AWS_SESSION_TOKEN": KEY}
        provider = opened("amazon-bedrock", server.url, environ)
        await reply_of(provider, asked(CLAUDE))
        await provider.aclose()
    assert "botocore" in {record.name.partition(".")[0] for record in caplog.records}
    assert KEY not in caplog.text


async def test_a_redacted_thought_without_words_survives_a_continuation():
    reply, _ = await continued(CLAUDE)
    first = reply.contents[0]
    assert first.redacted  # pyright: ignore[reportAttributeAccessIssue]


async def test_an_unknown_model_is_the_vendors_to_refuse():
    spec = ReplySpec(status=400, error=("ValidationException", "No such model."))
    async with serve_model([spec]) as server:
        provider = opened("amazon-bedrock", server.url, AWS)
        last = await last_of(provider, asked("nobody.nothing"))
        await provider.aclose()
    assert last.error.message == "No such model."  # pyright: ignore[reportAttributeAccessIssue]
