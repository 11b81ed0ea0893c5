from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import msgspec
import pytest

pytest.importorskip("google.genai")

from perstack.errors import ConfigurationError
from perstack.schema.message import user_message
from perstack.testing import serve_model
from perstack.testing.scenario import CallSpec, ReplySpec
from providers.bridged import (
    GEMINI,
    GEMINI_25,
    GOOGLE,
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
NOWHERE = "http://127.0.0.1:9/token"
TWO_CALLS = ReplySpec(
    thinking="Hm.",
    text="Reading.",
    calls=(
        CallSpec(name="readTextFile", args={"path": "a"}),
        CallSpec(name="readTextFile", args={"path": "b"}),
    ),
)


async def body_of(request, *, environ=GOOGLE) -> Any:
    async with serve_model([HELLO]) as server:
        provider = opened("google", server.url, environ)
        await reply_of(provider, request)
        await provider.aclose()
        return server.requests[0].json


async def continued(spec, *, model=GEMINI, is_error=False) -> tuple[Reply, Any]:
    """The reply to `spec`, and the body of the request that answers its calls."""
    async with serve_model([spec, HELLO]) as server:
        provider = opened("google", server.url, GOOGLE)
        reply = await reply_of(provider, asked(model, tools=(READ,)))
        go = user_message("0", "go")
        said = (go, reply.message, answered(reply, is_error=is_error))
        if not reply.message.calls:
            said = (go, reply.message, user_message("1", "on"))
        await reply_of(provider, asked(model, *said, tools=(READ,)))
        await provider.aclose()
        return reply, server.requests[1].json


async def test_the_signature_of_a_call_goes_back_on_that_call():
    _, body = await continued(TWO_CALLS)
    said = body["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in said] == [None, "c2lnbmF0dXJlLTA=", None]
    assert [part["functionCall"]["args"] for part in said[1:]] == [{"path": "a"}, {"path": "b"}]


async def test_the_signature_of_a_text_goes_back_on_a_text():
    _, body = await continued(ReplySpec(thinking="Hm.", text="Yes."))
    assert body["contents"][1]["parts"] == [
        {"text": "Yes.", "thoughtSignature": "c2lnbmF0dXJlLTA="}
    ] or body["contents"][1]["parts"] == [
        {"text": "Yes."},
        {"text": "", "thoughtSignature": "c2lnbmF0dXJlLTA="},
    ]


async def test_a_call_that_was_left_out_takes_its_signature_with_it():
    async with serve_model([TWO_CALLS, HELLO]) as server:
        provider = opened("google", server.url, GOOGLE)
        reply = await reply_of(provider, asked(GEMINI, tools=(READ,)))
        kept = tuple(p for p in reply.contents if type(p).__name__ != "ToolCallPart")
        message = msgspec.structs.replace(reply.message, contents=kept)
        await reply_of(provider, asked(GEMINI, user_message("0", "go"), message))
        await provider.aclose()
        sent = server.requests[1].body
    assert b"thoughtSignature" not in sent
    assert b"functionCall" not in sent


async def test_the_answers_to_parallel_calls_are_one_turn():
    _, body = await continued(TWO_CALLS)
    assert [content["role"] for content in body["contents"]] == ["user", "model", "user"]
    answers = [part["functionResponse"] for part in body["contents"][2]["parts"]]
    assert [answer["id"] for answer in answers] == ["call_0_0", "call_0_1"]
    assert "first\\nsecond" in json.dumps(answers[0]["response"])


async def test_a_failed_call_is_an_error_for_the_model():
    _, body = await continued(TWO_CALLS, is_error=True)
    answers = [part["functionResponse"] for part in body["contents"][2]["parts"]]
    assert [answer["response"] for answer in answers] == [{"error": "first\nsecond"}] * 2


@pytest.mark.parametrize(
    ("model", "budget", "config"),
    [
        (GEMINI_25, "none", {"thinking_budget": 0}),
        (GEMINI_25, "minimal", {"include_thoughts": True, "thinking_budget": 1_024}),
        (GEMINI_25, "medium", {"include_thoughts": True, "thinking_budget": 5_000}),
        (GEMINI_25, 1_000_000, {"include_thoughts": True, "thinking_budget": 24_576}),
        ("gemini-2.5-pro", 1, {"include_thoughts": True, "thinking_budget": 128}),
        ("models/gemini-2.5-pro", 99_999, {"include_thoughts": True, "thinking_budget": 32_768}),
        (GEMINI, "low", {"include_thoughts": True, "thinking_level": "LOW"}),
        (GEMINI, "high", {"include_thoughts": True, "thinking_level": "HIGH"}),
        ("gemini-2.0-flash", "high", None),
    ],
)
async def test_a_reasoning_budget_is_what_the_model_takes(model, budget, config):
    body = await body_of(asked(model, reasoning_budget=budget))
    assert body["generationConfig"].get("thinkingConfig") == config


async def test_the_version_in_an_address_is_taken_as_read():
    async with serve_model([HELLO] * 3) as server:
        for suffix in ("", "/", "/v1beta"):
            address = {"GOOGLE_GENERATIVE_AI_BASE_URL": server.url + suffix}
            provider = opened("google", None, GOOGLE | address)
            await reply_of(provider, asked(GEMINI))
            await provider.aclose()
        paths = {request.path for request in server.requests}
    assert paths == {f"/v1beta/models/{GEMINI}:streamGenerateContent"}


async def test_the_key_of_the_mapping_is_sent_and_not_the_processs(monkeypatch):
    for name in ("GOOGLE_API_KEY", "GEMINI_API_KEY", "GOOGLE_GENERATIVE_AI_API_KEY"):
        monkeypatch.setenv(name, "of-the-process")
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
    async with serve_model([HELLO]) as server:
        provider = opened("google", server.url, GOOGLE, headers={"X-Team": "blue"})
        await reply_of(provider, asked(GEMINI))
        await provider.aclose()
        headers = server.requests[0].headers
    assert headers["x-goog-api-key"] == KEY
    assert headers["x-team"] == "blue"


def test_a_missing_key_is_told_before_anything_is_asked():
    with pytest.raises(ConfigurationError, match="GOOGLE_GENERATIVE_AI_API_KEY"):
        opened("google", None, {})


async def test_a_filtered_reply_is_a_failure_under_the_vendors_reason():
    async with serve_model([ReplySpec(text="No", stop_reason="SAFETY", output_tokens=3)]) as server:
        provider = opened("google", server.url, GOOGLE)
        failure = await failure_of(provider, asked(GEMINI))
        await provider.aclose()
    assert failure.error.name == "SAFETY"
    assert not failure.error.is_retryable
    assert failure.usage.output_tokens == 3


async def test_a_malformed_call_may_be_tried_again():
    spec = ReplySpec(text="x", stop_reason="MALFORMED_FUNCTION_CALL")
    async with serve_model([spec]) as server:
        provider = opened("google", server.url, GOOGLE)
        failure = await failure_of(provider, asked(GEMINI))
        await provider.aclose()
    assert failure.error.name == "MALFORMED_FUNCTION_CALL"
    assert failure.error.is_retryable


async def test_a_refusal_keeps_the_vendors_name_and_words():
    spec = ReplySpec(
        status=429, error=("RESOURCE_EXHAUSTED", "Quota."), headers={"retry-after": "3"}
    )
    async with serve_model([spec]) as server:
        provider = opened("google", server.url, GOOGLE)
        failure = await failure_of(provider, asked(GEMINI))
        await provider.aclose()
    assert (failure.error.name, failure.error.message) == ("RESOURCE_EXHAUSTED", "Quota.")
    assert failure.retry_after == 3_000


async def test_an_error_inside_a_stream_keeps_the_vendors_name():
    error = ("UNAVAILABLE", "Busy.")
    spec = ReplySpec(text="abcd", text_pieces=4, trouble="error", error=error)
    async with serve_model([spec]) as server:
        provider = opened("google", server.url, GOOGLE)
        failure = await failure_of(provider, asked(GEMINI))
        await provider.aclose()
    assert (failure.error.name, failure.error.status_code) == ("UNAVAILABLE", 503)
    assert failure.error.message == "Busy."
    assert failure.error.is_retryable


@pytest.mark.parametrize(
    ("schema", "keyword"),
    [
        ({"anyOf": [{"type": "object"}]}, '"type"'),
        (
            {
                "type": "object",
                "properties": {"x": {"$ref": "#/$defs/X", "minLength": 1}},
                "$defs": {"X": {"type": "string"}},
            },
            '"minLength"',
        ),
    ],
)
async def test_a_schema_that_gemini_refuses_is_told_before_anything_is_sent(schema, keyword):
    tool = msgspec.structs.replace(READ, input_schema=schema)
    async with serve_model([HELLO]) as server:
        provider = opened("google", server.url, GOOGLE)
        failure = await failure_of(provider, asked(GEMINI, tools=(tool,)))
        await provider.aclose()
        assert server.requests == []
    assert failure.error.name == "UnsupportedToolSchema"
    assert not failure.error.is_retryable
    for word in (keyword, "readTextFile", "@perstack/base"):
        assert word in failure.error.message


async def test_a_reference_goes_as_it_came():
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {"x": {"$ref": "#/$defs/X", "description": "An x."}, "y": {"const": 1}},
        "$defs": {"X": {"type": "string", "format": "uri", "exclusiveMinimum": 0}},
    }
    tool = msgspec.structs.replace(READ, input_schema=schema)
    body = await body_of(asked(GEMINI, tools=(tool,)))
    (declared,) = body["tools"][0]["functionDeclarations"]
    assert declared["parameters_json_schema"] == schema


async def test_a_message_is_translated_once_in_its_historys_life(monkeypatch):
    from perstack.providers import bridge_messages

    translated = []
    plain = bridge_messages._content

    def counting(parts):
        translated.append(parts)
        return plain(parts)

    monkeypatch.setattr(bridge_messages, "_content", counting)
    async with serve_model([HELLO] * 2) as server:
        provider = opened("google", server.url, GOOGLE)
        request = asked(GEMINI, user_message("0", "one"))
        await reply_of(provider, request)
        grown = request.messages.append(user_message("1", "two"))
        await reply_of(provider, msgspec.structs.replace(request, messages=grown))
        await provider.aclose()
    assert len(translated) == 2


@pytest.fixture
async def token_server():
    """Gives out one access token over HTTP."""
    asked_for = []

    async def serve(client):
        async with client:
            head = b""
            while b"\r\n\r\n" not in head:
                head += await client.receive()
            asked_for.append(head)
            body = json.dumps({"access_token": f"ya29.{KEY}", "expires_in": 3600}).encode()
            await client.send(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n"
                b"content-length: %d\r\n\r\n" % len(body) + body
            )

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        yield f"http://127.0.0.1:{port}/token", asked_for
        tasks.cancel_scope.cancel()


@pytest.fixture
def account(tmp_path, token_server):
    """A service account's key file, whose tokens the local server gives out."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    told = {
        "type": "service_account",
        "project_id": "of-the-file",
        "private_key_id": "key-id-0001",
        "private_key": key.decode(),
        "client_email": "somebody@of-the-file.iam.gserviceaccount.com",
        "token_uri": token_server[0],
    }
    path = tmp_path / "account.json"
    path.write_text(json.dumps(told))
    return {"GOOGLE_APPLICATION_CREDENTIALS": str(path)}


async def test_vertex_is_asked_with_the_token_of_a_credentials_file(account, token_server):
    place = {"GOOGLE_VERTEX_PROJECT": "my-project", "GOOGLE_VERTEX_LOCATION": "europe-west4"}
    async with serve_model([HELLO, HELLO]) as server:
        url = {"GOOGLE_VERTEX_BASE_URL": f"{server.url}/v1beta1"}
        provider = opened("google-vertex", None, account | place | url)
        await reply_of(provider, asked(GEMINI))
        reply = await reply_of(provider, asked(GEMINI))
        await provider.aclose()
        paths = {request.path for request in server.requests}
        headers = server.requests[1].headers
    assert reply.message.text == "Hello."
    place = "projects/my-project/locations/europe-west4/publishers/google"
    assert paths == {f"/v1beta1/{place}/models/{GEMINI}:streamGenerateContent"}
    assert headers["authorization"] == f"Bearer ya29.{KEY}"
    assert len(token_server[1]) == 1


async def test_vertex_tells_no_token_that_a_server_repeats(account):
    told = {"project": "p", "location": "global"}
    spec = ReplySpec(status=500, error=("INTERNAL", f"I saw ya29.{KEY}."))
    async with serve_model([spec]) as server:
        provider = opened("google-vertex", server.url, account, **told)
        failure = await failure_of(provider, asked(GEMINI))
        await provider.aclose()
    assert failure.error.name == "INTERNAL"
    assert KEY not in failure.error.message


async def test_the_project_of_a_credentials_file_is_the_default(account):
    async with serve_model([HELLO]) as server:
        provider = opened("google-vertex", server.url, account, location="global")
        await reply_of(provider, asked(GEMINI))
        await provider.aclose()
        assert "/projects/of-the-file/locations/global/" in server.requests[0].path


def without_token_server(account):
    path = Path(account["GOOGLE_APPLICATION_CREDENTIALS"])
    path.write_text(json.dumps(json.loads(path.read_text()) | {"token_uri": NOWHERE}))


async def test_a_token_server_that_is_gone_is_a_failure(account):
    without_token_server(account)
    async with serve_model([HELLO]) as server:
        provider = opened("google-vertex", server.url, account, location="global")
        failure = await failure_of(provider, asked(GEMINI))
        await provider.aclose()
        assert server.requests == []
    assert failure.error.name == "ConnectionFailed"
    assert failure.error.is_retryable


@pytest.mark.parametrize(
    ("environ", "word"),
    [
        ({"GOOGLE_VERTEX_LOCATION": "global"}, "GOOGLE_VERTEX_PROJECT"),
        ({"GOOGLE_VERTEX_PROJECT": "p"}, "GOOGLE_VERTEX_LOCATION"),
        ({"GOOGLE_APPLICATION_CREDENTIALS": "/no/such/file"}, "/no/such/file"),
    ],
)
def test_what_vertex_lacks_is_told_before_anything_is_asked(environ, word):
    with pytest.raises(ConfigurationError, match=word):
        opened("google-vertex", None, environ)
