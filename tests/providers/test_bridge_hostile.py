"""Servers that mean no good, behind the bridge."""

from __future__ import annotations

import asyncio
import gzip
import logging
import struct
import subprocess
import sys
import warnings
from pathlib import Path

import anyio
import pytest

pytest.importorskip("google.genai")
pytest.importorskip("boto3")
pytest.importorskip("openai")

from perstack.errors import ConfigurationError
from perstack.providers import Failure, Reply, TextDelta
from providers.bridged import (
    AWS,
    CLAUDE,
    GEMINI,
    GOOGLE,
    KEY,
    READ,
    asked,
    failure_of,
    last_of,
    opened,
    reply_of,
)
from providers.raw import EVENTS, FRAMES, event, frame, gemini, refused, serve_raw

pytestmark = pytest.mark.anyio

OPENAI = {"OPENAI_API_KEY": KEY}
BEGUN = frame(b"messageStart", {"role": "assistant"})
CALL = {"functionCall": {"name": "readTextFile", "args": {}}}
VENDORS = {
    "google": (GOOGLE, GEMINI),
    "amazon-bedrock": (AWS, CLAUDE),
    "pydantic-ai": (OPENAI, "openai-chat:gpt-4o"),
}
each_vendor = pytest.mark.parametrize("vendor", list(VENDORS))


async def answer_of(vendor, answer, **fields):
    """What comes of `answer`: a Reply or a Failure."""
    environ, model = VENDORS[vendor]
    async with serve_raw(answer) as (url, _):
        provider = opened(vendor, url, environ)
        last = await last_of(provider, asked(model, **fields))
        await provider.aclose()
    return last


async def refusal_of(vendor, answer, **fields):
    last = await answer_of(vendor, answer, **fields)
    assert isinstance(last, Failure), last
    return last


async def read_from(vendor, answer, **fields):
    last = await answer_of(vendor, answer, **fields)
    assert isinstance(last, Reply), last
    return last


def chunk(**choice):
    return event({"choices": [{"index": 0, **choice}]})


def said_by(vendor, text):
    """A whole answer with `text`, which is JSON without its quotes."""
    if vendor == "google":
        part = b'{"role":"model","parts":[{"text":"%s"}]}' % text
        return EVENTS + event(b'{"candidates":[{"content":%s,"finishReason":"STOP"}]}' % part)
    if vendor == "amazon-bedrock":
        delta = b'{"contentBlockIndex":0,"delta":{"text":"%s"}}' % text
        end = frame(b"messageStop", {"stopReason": "end_turn"})
        return FRAMES + BEGUN + frame(b"contentBlockDelta", delta) + end
    delta = b'{"index":0,"delta":{"content":"%s"},"finish_reason":"stop"}' % text
    return EVENTS + event(b'{"choices":[%s]}' % delta) + event(b"[DONE]")


@each_vendor
@pytest.mark.parametrize("status", [b"500 Oh", b"200 OK"])
async def test_a_packed_body_is_never_unpacked(vendor, status, monkeypatch):
    import httpx2

    unpacked = []
    decoder = vars(httpx2)["_decoders"].GZipDecoder
    plain = decoder.decode
    monkeypatch.setattr(
        decoder, "decode", lambda self, data: unpacked.append(data) or plain(self, data)
    )
    bomb = gzip.compress(bytes(1_000_000))
    answer = refused(bomb, b"content-encoding: gzip", status=status)
    failure = await refusal_of(vendor, answer)
    assert unpacked == []
    assert failure.error.name == (
        "HttpError" if status.startswith(b"500") else "UnreadableResponse"
    )


@each_vendor
async def test_an_event_of_more_than_four_megabytes_is_refused(vendor):
    failure = await refusal_of(vendor, said_by(vendor, b"x" * 4_200_000))
    assert (failure.error.name, failure.error.is_retryable) == ("ResponseTooLarge", False)


@each_vendor
async def test_an_event_of_almost_four_megabytes_is_read(vendor):
    reply = await read_from(vendor, said_by(vendor, b"x" * 4_000_000))
    assert len(reply.message.text) == 4_000_000


@pytest.mark.parametrize("form", [EVENTS, FRAMES])
async def test_an_event_that_never_ends_is_refused(form):
    vendor = "google" if form == EVENTS else "amazon-bedrock"
    begun = b"data: " if form == EVENTS else struct.pack("!II", 23_000_000, 0)
    failure = await refusal_of(vendor, form + begun + b"x" * 5_000_000)
    assert failure.error.name == "ResponseTooLarge"


@pytest.mark.parametrize("calls", [1_001, 6_000])
async def test_more_than_a_thousand_calls_in_one_event_are_refused(calls):
    failure = await refusal_of("google", EVENTS + gemini(*[CALL] * calls), tools=(READ,))
    assert (failure.error.name, failure.error.is_retryable) == ("ResponseTooLarge", False)


@pytest.mark.parametrize("parts", [b"[],", b"0,", b'{"text" : "x"},'])
async def test_an_event_of_too_many_values_is_never_read(parts):
    many = (parts * 21_000)[:-1]
    content = b'{"candidates":[{"content":{"role":"model","parts":[%s]}}]}' % many
    failure = await refusal_of("google", EVENTS + event(content))
    assert failure.error.message == "An event has more than 20000 values."


@each_vendor
async def test_what_stands_in_a_string_is_no_value(vendor):
    text = b'{\\"a\\": [1, 2]},\\n' * 20_000
    reply = await read_from(vendor, said_by(vendor, text))
    assert reply.message.text == '{"a": [1, 2]},\n' * 20_000


async def test_a_thousand_calls_are_read():
    reply = await read_from("google", EVENTS + gemini(*[CALL] * 1_000), tools=(READ,))
    assert len(reply.message.calls) == 1_000


async def test_more_than_a_thousand_calls_in_many_events_are_refused():
    blocks = [
        frame(
            b"contentBlockStart",
            {"contentBlockIndex": at, "start": {"toolUse": {"toolUseId": f"c{at}", "name": "a"}}},
        )
        for at in range(1_001)
    ]
    failure = await refusal_of("amazon-bedrock", FRAMES + BEGUN + b"".join(blocks))
    assert failure.error.name == "ResponseTooLarge"


def blocked(word):
    return EVENTS + event({"promptFeedback": {"blockReason": word}})


def stopped(word):
    return FRAMES + BEGUN + frame(b"messageStop", {"stopReason": word})


@pytest.mark.parametrize(
    ("vendor", "answer"),
    [
        ("google", blocked(KEY)),
        ("google", EVENTS + gemini({"text": "x"}, finish=KEY)),
        ("amazon-bedrock", stopped(AWS["AWS_SECRET_ACCESS_KEY"])),
        ("pydantic-ai", EVENTS + chunk(delta={"content": "x"}, finish_reason=KEY)),
    ],
)
async def test_no_word_of_a_vendors_tells_the_key(vendor, answer):
    last = await answer_of(vendor, answer)
    for secret in (KEY, AWS["AWS_SECRET_ACCESS_KEY"]):
        assert secret not in repr(last)


async def test_a_vendors_reason_is_cut_to_a_name():
    failure = await refusal_of("google", blocked("A" * 5_000))
    assert len(failure.error.name) == 201


TYPED_WRONG = [
    ("google", EVENTS + gemini({"text": "x"}, finish=KEY)),
    ("google", blocked(KEY)),
    (
        "pydantic-ai",
        EVENTS
        + event({"choices": [{"delta": {"content": "x"}}], "usage": {"prompt_tokens": KEY}})
        + event({"choices": [{"delta": {"content": {"a": KEY}}, "finish_reason": KEY}]}),
    ),
]


@pytest.mark.parametrize(("vendor", "answer"), TYPED_WRONG)
async def test_no_warning_repeats_a_servers_words(vendor, answer):
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        await answer_of(vendor, answer)
    assert not [each for each in given if KEY in str(each.message)]


def test_other_warnings_of_the_same_modules_are_given():
    from perstack.providers.bridge_warnings import hush

    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        hush()
        warnings.warn_explicit("mine", UserWarning, "main.py", 1, module="pydantic.main")
    assert [str(each.message) for each in given] == ["mine"]


async def test_warnings_that_are_errors_change_no_answer(tmp_path):
    """As with `python -W error`: the warnings go nowhere, and the reply is told as it is."""
    program = tmp_path / "ask.py"
    program.write_text(
        "import sys, anyio\n"
        "from providers.bridged import GEMINI, GOOGLE, asked, last_of, opened\n"
        "async def main():\n"
        "    provider = opened('google', sys.argv[1], GOOGLE)\n"
        "    print(type(await last_of(provider, asked(GEMINI))).__name__)\n"
        "    await provider.aclose()\n"
        "anyio.run(main)\n"
    )
    command = [sys.executable, "-W", "error::UserWarning", str(program)]
    path = {"PYTHONPATH": str(Path(__file__).parent.parent)}
    async with serve_raw(EVENTS + gemini({"text": "x"}, finish=KEY)) as (url, _):
        done = await anyio.run_process(
            [*command, url], env=path, check=False, stderr=subprocess.PIPE
        )
    assert done.stderr == b""
    assert done.stdout.strip() == b"Reply"


@pytest.mark.parametrize("environ", [AWS | {"AWS_SESSION_TOKEN": KEY}])
async def test_no_trace_in_botocores_log_holds_a_token(environ, caplog):
    caplog.set_level(logging.DEBUG)
    async with serve_raw(b"HTTP/1.1 " + KEY.encode() + b"\r\n\r\n") as (url, _):
        provider = opened("amazon-bedrock", url, environ)
        await failure_of(provider, asked(CLAUDE))
        await provider.aclose()
    records = [each for each in caplog.records if each.name.startswith("botocore")]
    shown = "\n".join(logging.Formatter().format(each) for each in records)
    assert "Traceback" in shown
    assert KEY not in shown
    assert not any(each.exc_info for each in records if "botocore.hooks" in each.name)


async def test_a_task_that_is_cancelled_while_a_refusal_is_read_ends_as_cancelled():
    head = b"HTTP/1.1 500 Oh\r\ncontent-type: application/json\r\n\r\n{"
    async with serve_raw(head, hangs=True) as (url, sent):
        provider = opened("amazon-bedrock", url, AWS)
        task = asyncio.get_running_loop().create_task(last_of(provider, asked(CLAUDE)))
        with anyio.fail_after(20):
            await sent.wait()
            for _ in range(50):  # until its first byte is read
                await anyio.lowlevel.checkpoint()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await provider.aclose()


@each_vendor
async def test_half_a_surrogate_pair_in_a_text_is_a_question_mark(vendor):
    environ, model = VENDORS[vendor]
    async with serve_raw(said_by(vendor, b"a\\ud800b")) as (url, _):
        provider = opened(vendor, url, environ)
        pieces = [piece async for piece in provider.generate(asked(model))]
        await provider.aclose()
    *deltas, reply = pieces
    assert isinstance(reply, Reply)
    assert reply.message.text == "a?b"
    assert "".join(each.text for each in deltas if isinstance(each, TextDelta)) == "a?b"


async def test_half_a_surrogate_pair_in_a_call_is_a_question_mark():
    call = {"id": "c\ud800", "name": "n\ud800", "args": {"k\ud800": "v\udfff"}}
    thought = {"text": "t\ud800", "thought": True}
    reply = await read_from("google", EVENTS + gemini(thought, {"functionCall": call}))
    (made,) = reply.message.calls
    assert (made.tool_call_id, made.tool_name, made.args) == ("c?", "n?", {"k?": "v?"})
    assert "t?" in repr(reply.contents)
    assert "\\ud" not in repr(reply)


@pytest.mark.parametrize(
    ("vendor", "answer"),
    [
        ("google", blocked("x\ud800")),
        ("google", EVENTS + event({"error": {"code": 500, "message": "x\ud800"}})),
        ("amazon-bedrock", FRAMES + BEGUN + frame(b"", {"message": "x\ud800"}, b"internalServer")),
        ("pydantic-ai", EVENTS + event({"error": {"message": "x\ud800", "code": "\ud800"}})),
    ],
)
async def test_half_a_surrogate_pair_in_an_error_is_none_in_the_failure(vendor, answer):
    failure = await refusal_of(vendor, answer)
    (failure.error.name + failure.error.message).encode()


@pytest.mark.parametrize(
    ("vendor", "answer"),
    [
        ("google", EVENTS + event(b"{bad")),
        ("google", EVENTS + event(b"[" * 15_000)),
        ("google", EVENTS + event(b'{"candidates":[{"tokenCount":1%s}]}' % (b"0" * 6_000))),
        ("amazon-bedrock", FRAMES + BEGUN + frame(b"contentBlockDelta", b"{bad")),
        ("amazon-bedrock", FRAMES + BEGUN[:-1] + b"\0"),
        ("pydantic-ai", EVENTS + event(b"{bad")),
    ],
)
async def test_an_event_that_is_no_json_may_be_asked_for_again(vendor, answer):
    failure = await refusal_of(vendor, answer)
    assert (failure.error.name, failure.error.is_retryable) == ("UnreadableResponse", True)


@pytest.mark.parametrize(("told", "read"), [(10**18, 2**53), (10, 10)])
async def test_counts_that_cannot_be_are_brought_within_bounds(told, read):
    usage = {"inputTokens": 1, "outputTokens": told, "totalTokens": 1}
    end = frame(b"messageStop", {"stopReason": "end_turn"}) + frame(b"metadata", {"usage": usage})
    delta = frame(b"contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "x"}})
    reply = await read_from("amazon-bedrock", FRAMES + BEGUN + delta + end)
    assert reply.usage.output_tokens == read
    assert reply.usage.total_tokens == min(1 + read, 2**53)


async def test_the_address_of_bedrock_may_stand_in_its_variable():
    async with serve_raw(said_by("amazon-bedrock", b"Hello.")) as (url, _):
        environ = AWS | {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
        provider = opened(
            "amazon-bedrock", None, environ | {"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": url}
        )
        reply = await reply_of(provider, asked(CLAUDE))
        await provider.aclose()
    assert reply.message.text == "Hello."


def test_an_address_of_bedrock_that_is_none_is_told_at_once():
    with pytest.raises(ConfigurationError, match="AWS_ENDPOINT_URL must be"):
        opened("amazon-bedrock", None, AWS | {"AWS_ENDPOINT_URL": "nowhere"})


async def test_an_event_is_read_wherever_its_bytes_are_cut():
    from perstack.providers.bridge_events import events_of

    for form, whole in (
        ("text/event-stream", said_by("google", b"x") * 3),
        ("text/event-stream", b"data: 1\n\ndata: 2\r\rdata: 3\r\n\r\ndata: 4"),
        ("application/x-ndjson", b'{"a":1}\n{"b":2}\n{'),
        ("application/vnd.amazon.eventstream", BEGUN * 3 + b"\0\0\0"),
    ):
        for size in (1, 2, 3, 7, 1_000):
            events = events_of(form)
            pieces = [events.feed(whole[at : at + size]) for at in range(0, len(whole), size)]
            assert b"".join(pieces) + events.rest() == whole
