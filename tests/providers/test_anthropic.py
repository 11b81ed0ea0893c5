"""The Messages wire, against a scripted server over a real socket."""

import json
import logging
import socket
import ssl
import subprocess
from contextlib import asynccontextmanager
from functools import partial

import anyio
import anyio.abc
import msgspec
import pytest

from perstack.errors import ConfigurationError
from perstack.net import transport_logs
from perstack.net.redaction import Redaction
from perstack.providers import Failure, ReasoningDelta, Reply, TextDelta, http
from perstack.providers.anthropic_stream import ReplyBuilder
from perstack.providers.endpoint import Endpoint
from perstack.providers.table import open_provider
from perstack.schema.history import History
from perstack.schema.message import (
    ExpertMessage,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolMessage,
    ToolResultPart,
    user_message,
)
from perstack.schema.settings import ProviderSettings
from perstack.schema.tool import ToolDefinition
from perstack.schema.usage import Usage
from perstack.testing import serve_model
from perstack.testing.scenario import CallSpec, ReplySpec

pytestmark = pytest.mark.anyio

HELLO = ReplySpec(text="Hello, world.", text_pieces=4)
FULL = ReplySpec(
    thinking="Let me see. ",
    redacted="b3BhcXVl",
    text="Reading ünïcode 🙂 now.",
    text_pieces=7,
    calls=(
        CallSpec(name="readTextFile", args={"path": "a.txt", "deep": {"x": [1, None, "é"]}}),
        CallSpec(name="todo"),
    ),
    input_tokens=10,
    output_tokens=7,
    cached_tokens=200,
    cache_creation_tokens=30,
)


@pytest.fixture(autouse=True)
def _no_proxy_of_this_machine(monkeypatch):
    for name in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name.upper()}_PROXY", raising=False)


@asynccontextmanager
async def raw_server(answer: bytes | None, received: list[bytes] | None = None):
    """A server that answers every connection with the same bytes, then waits."""

    async def serve(client: anyio.abc.SocketStream) -> None:
        async with client:
            got = await client.receive()
            if received is not None:
                received.append(got)
            if answer is None:
                return
            try:
                await client.send(answer)
                while True:
                    await client.receive()
            except (anyio.BrokenResourceError, anyio.EndOfStream):
                return

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listener.serve, serve)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        yield f"http://127.0.0.1:{port}"
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("write", ["whole", "events", "bytes"])
async def test_a_reply_comes_whole_however_its_stream_is_cut(ask, write):
    async with serve_model([msgspec.structs.replace(FULL, write=write)]) as server:
        asking = ask(server.url)
        reply = await asking.reply()
    assert reply.contents == (
        ThinkingPart(thinking="b3BhcXVl", redacted=True),
        ThinkingPart(thinking="Let me see. ", signature="signature-0"),
        TextPart(text="Reading ünïcode 🙂 now."),
        ToolCallPart(
            tool_call_id="toolu_0_0",
            tool_name="readTextFile",
            args={"path": "a.txt", "deep": {"x": [1, None, "é"]}},
        ),
        ToolCallPart(tool_call_id="toolu_0_1", tool_name="todo", args={}),
    )
    assert reply.usage == Usage(
        input_tokens=240,
        output_tokens=7,
        total_tokens=247,
        cached_input_tokens=200,
        cache_write_input_tokens=30,
    )
    assert not reply.is_truncated
    assert reply.problems == {}
    assert asking.shown(TextDelta) == "Reading ünïcode 🙂 now."
    assert asking.shown(ReasoningDelta) == "Let me see. "


async def test_deltas_arrive_before_the_reply_is_complete(ask, ask_for):
    async with serve_model([ReplySpec(text="early late", trouble="stall")]) as server:
        asking = ask(server.url)
        seen = anyio.Event()

        async def watch() -> None:
            async for piece in asking.provider.generate(ask_for(timeout=60_000)):
                if isinstance(piece, TextDelta):
                    seen.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            with anyio.fail_after(5):
                await seen.wait()
            tasks.cancel_scope.cancel()


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
async def test_a_base_url_is_taken_with_and_without_its_version(ask, suffix):
    async with serve_model([HELLO]) as server:
        asking = ask(server.url + suffix)
        await asking.reply()
        (request,) = server.requests
    assert request.path == "/v1/messages"
    assert request.headers["x-api-key"] == asking.key
    assert request.headers["anthropic-version"] == "2023-06-01"
    assert request.headers["content-type"] == "application/json"
    assert request.json["stream"] is True


async def test_the_base_url_of_the_environment_counts_where_the_settings_have_none():
    async with serve_model([HELLO]) as server:
        environ = {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": server.url}
        provider = open_provider(ProviderSettings(), environ)
        assert server.url in repr(provider)
        provider = open_provider(ProviderSettings(base_url="https://x.test"), environ)
        assert "https://x.test/v1/messages" in repr(provider)


async def test_headers_of_the_settings_are_sent_and_win(ask):
    async with serve_model([HELLO]) as server:
        asking = ask(server.url, headers={"Anthropic-Beta": "b1", "X-Api-Key": "gateway-key"})
        await asking.reply()
        (request,) = server.requests
    assert request.headers["anthropic-beta"] == "b1"
    assert request.headers["x-api-key"] == "gateway-key"


async def test_a_connection_serves_many_requests(ask):
    async with serve_model([HELLO] * 4 + [ReplySpec(status=529), HELLO]) as server:
        asking = ask(server.url)
        for _ in range(6):
            await asking()
        assert len(server.requests) == 6
        assert len({request.peer for request in server.requests}) == 1


async def test_requests_at_once_do_not_mix(ask, ask_for):
    replies = [ReplySpec(text=f"answer {n}", text_pieces=5, pause_ms=1) for n in range(8)]
    async with serve_model(replies) as server:
        asking = ask(server.url)
        texts = []

        async def one() -> None:
            *_, last = [piece async for piece in asking.provider.generate(ask_for())]
            texts.append(last.message.text)

        async with anyio.create_task_group() as tasks:
            for _ in replies:
                tasks.start_soon(one)
    assert sorted(texts) == [f"answer {n}" for n in range(8)]


async def test_a_cut_reply_is_truncated(ask):
    async with serve_model([ReplySpec(text="So f", stop_reason="max_tokens")]) as server:
        reply = await ask(server.url).reply()
    assert reply.is_truncated
    assert reply.message.text == "So f"


async def test_an_empty_reply_is_a_reply(ask):
    async with serve_model([ReplySpec()]) as server:
        assert (await ask(server.url).reply()).contents == ()


@pytest.mark.parametrize(
    "raw", ['{"path": "a', "[1]", '"text"', "{'a': 1}", '{"a": NaN}', "[" * 50]
)
async def test_arguments_that_are_no_json_object_are_a_problem_of_that_call(ask, raw):
    calls = (CallSpec(name="a", raw=raw, id="bad"), CallSpec(name="b", args={"x": 1}, id="good"))
    async with serve_model([ReplySpec(calls=calls)]) as server:
        reply = await ask(server.url).reply()
    assert [call.args for call in reply.message.calls] == [{}, {"x": 1}]
    assert reply.problems.keys() == {"bad"}
    assert "JSON" in reply.problems["bad"]


async def test_a_tool_is_called_by_its_own_name_again(ask, ask_for):
    from perstack.providers.wire import wire_name

    name = "søk.filer"
    calls = (CallSpec(name=wire_name(name)), CallSpec(name="made_up"))
    tool = ToolDefinition(skill_name="s", name=name, input_schema={"type": "object"})
    async with serve_model([ReplySpec(calls=calls)]) as server:
        reply = await ask(server.url).reply(ask_for(tools=(tool,)))
    assert [call.tool_name for call in reply.message.calls] == [name, "made_up"]


@pytest.mark.parametrize("reason", ["refusal", "model_context_window_exceeded"])
async def test_a_stop_that_leaves_no_answer_is_a_final_failure_with_its_usage(ask, reason):
    async with serve_model([ReplySpec(text="I", stop_reason=reason, input_tokens=5)]) as server:
        failure = await ask(server.url).failure()
    assert failure.error.name == reason
    assert not failure.error.is_retryable
    assert failure.usage.input_tokens == 5


@pytest.mark.parametrize(
    ("name", "is_retryable"),
    [
        ("overloaded_error", True),
        ("api_error", True),
        ("rate_limit_error", True),
        ("invalid_request_error", False),
    ],
)
async def test_an_error_inside_a_stream_is_told_apart_by_its_type(ask, name, is_retryable):
    spec = ReplySpec(text="abc", error=(name, "It broke."), trouble="error", input_tokens=9)
    async with serve_model([spec]) as server:
        failure = await ask(server.url).failure()
    assert (failure.error.name, failure.error.message) == (name, "It broke.")
    assert failure.error.is_retryable is is_retryable
    assert failure.usage.input_tokens == 9


@pytest.mark.parametrize("trouble", ["disconnect", "cut", "noStop"])
@pytest.mark.parametrize("write", ["whole", "bytes"])
async def test_a_connection_that_ends_early_may_be_tried_again(ask, trouble, write):
    async with serve_model([ReplySpec(text="abc" * 9, trouble=trouble, write=write)]) as server:
        failure = await ask(server.url).failure()
    assert failure.error.name == "Disconnected"
    assert failure.error.is_retryable
    assert ("before" in failure.error.message) == (trouble == "disconnect")


async def test_nobody_listening_may_be_tried_again(ask):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    failure = await ask(f"http://127.0.0.1:{port}").failure()
    assert failure.error.name == "ConnectionFailed"
    assert failure.error.is_retryable


@pytest.mark.parametrize("trouble", ["hang", "stall"])
async def test_a_generation_ends_at_its_deadline(ask, ask_for, trouble):
    async with serve_model([ReplySpec(text="abc", trouble=trouble)]) as server:
        with anyio.fail_after(5):
            failure = await ask(server.url).failure(ask_for(timeout=150))
    assert failure.error.name == "TimedOut"
    assert failure.error.is_retryable
    assert "0.15 s" in failure.error.message


async def test_a_stream_that_drips_ends_at_the_same_deadline(ask, ask_for):
    spec = ReplySpec(text="abc" * 100, write="bytes", pause_ms=5)
    async with serve_model([spec]) as server:
        with anyio.fail_after(5):
            failure = await ask(server.url).failure(ask_for(timeout=150))
    assert failure.error.name == "TimedOut"


async def test_a_connection_that_was_cut_at_the_deadline_is_not_used_again(ask, ask_for):
    async with serve_model([ReplySpec(text="abc", trouble="stall"), HELLO]) as server:
        asking = ask(server.url)
        await asking.failure(ask_for(timeout=100))
        assert (await asking.reply()).message.text == "Hello, world."


async def test_silence_ends_sooner_than_the_deadline(ask, ask_for, monkeypatch):
    monkeypatch.setitem(http.TIMEOUTS, "read", 0.1)
    async with serve_model([ReplySpec(text="abc", trouble="stall")]) as server:
        failure = await ask(server.url).failure(ask_for(timeout=60_000))
    assert failure.error.name == "TimedOut"
    assert "silent" in failure.error.message


async def test_the_wait_a_vendor_asks_for_is_kept(ask):
    spec = ReplySpec(
        status=429, headers={"retry-after": "7"}, error=("rate_limit_error", "Slow down.")
    )
    async with serve_model([spec]) as server:
        failure = await ask(server.url).failure()
    assert failure.retry_after == 7000
    assert failure.error.status_code == 429
    assert failure.error.name == "rate_limit_error"


async def test_a_redirect_is_a_failure_and_the_key_stays_here(ask):
    elsewhere: list[bytes] = []
    async with raw_server(None, elsewhere) as other:
        spec = ReplySpec(status=307, headers={"location": other}, body="")
        async with serve_model([spec, HELLO]) as server:
            failure = await ask(server.url).failure()
            assert len(server.requests) == 1
    assert failure.error.name == "Redirect"
    assert failure.error.status_code == 307
    assert not failure.error.is_retryable
    assert elsewhere == []


@pytest.mark.parametrize(
    "head",
    [
        b"content-type: text/html\r\n",
        b"content-type: application/json\r\n",
        b"content-type: text/event-stream\r\ncontent-encoding: gzip\r\n",
    ],
)
async def test_an_answer_that_is_no_event_stream_is_refused(ask, head):
    answer = b"HTTP/1.1 200 OK\r\n" + head + b"content-length: 5\r\n\r\nhello"
    async with raw_server(answer) as url:
        failure = await ask(url).failure()
    assert failure.error.name == "UnreadableResponse"
    assert not failure.error.is_retryable


@pytest.mark.parametrize(
    "answer",
    [
        b"\x00\x01nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * 200_000,
        b"HTTP/1.1 999999 No\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n",
    ],
)
async def test_what_is_no_http_is_a_failure(ask, answer):
    async with raw_server(answer) as url:
        with anyio.fail_after(5):
            assert (await ask(url).failure()).error.message


async def test_an_endless_event_is_cut_off(ask, monkeypatch):
    monkeypatch.setattr(http, "MAX_STREAM_BYTES", 200_000)
    async with serve_model([ReplySpec(text="a", trouble="endless")]) as server:
        with anyio.fail_after(5):
            failure = await ask(server.url).failure()
    assert failure.error.name == "ResponseTooLarge"
    assert not failure.error.is_retryable


async def test_an_endless_error_body_is_read_up_to_a_limit(ask):
    head = b"HTTP/1.1 500 No\r\ntransfer-encoding: chunked\r\n\r\n"
    async with raw_server(head + b"4000\r\n%b\r\n" % (b"x" * 0x4000) * 20) as url:
        with anyio.fail_after(5):
            failure = await ask(url).failure()
    assert failure.error.status_code == 500
    assert len(failure.error.message) < 3000


async def test_the_key_is_in_no_failure_repr_or_log(ask, caplog, monkeypatch):
    caplog.set_level(logging.DEBUG)
    secret = "tok-5521-secret-9931"
    bodies = [
        '{{"error":{{"type":"authentication_error","message":"bad key {key} {secret}"}}}}',
        "<p>{key}</p> Bearer {secret}",
        '{{"error":{{"type":"{key}","message":"{secret}"}}}}',
    ]
    key = "sk-ant-canary-4f1d9c27"
    specs = [ReplySpec(status=401, body=body.format(key=key, secret=secret)) for body in bodies]
    specs.append(ReplySpec(text="a", trouble="error", error=(f"e {key}", f"m {secret}")))
    specs.append(ReplySpec(text="a", trouble="cut"))
    async with serve_model(specs) as server:
        asking = ask(server.url, headers={"Authorization": f"Bearer {secret}"})
        assert asking.key == key
        told = [repr(await asking.failure()) for _ in specs]
        told += [
            repr(asking.provider),
            str(asking.provider),
            repr(vars(asking.provider)),
            caplog.text,
        ]
        assert all(request.headers["x-api-key"] == key for request in server.requests)
    for text in told:
        assert key not in text
        assert secret not in text


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 500 %s\r\nx-echo: %s\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 307 No\r\nlocation: /%s\r\nx-echo: %s\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 %s %s\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n%s %s\r\n\r\n",
    ],
)
async def test_a_key_that_a_server_echoes_in_its_head_is_in_no_log(ask, caplog, answer):
    caplog.set_level(logging.DEBUG)
    key = b"sk-ant-canary-4f1d9c27"
    async with raw_server(answer % (key, key)) as url:
        asking = ask(url)
        assert asking.key == key.decode()
        told = repr(await asking.failure())
    logging.getLogger("elsewhere").debug("said")
    assert key.decode() not in told + caplog.text
    assert "said" in caplog.text


async def test_warnings_of_the_http_client_are_still_logged(ask, caplog):
    caplog.set_level(logging.DEBUG)
    for name in transport_logs.LOGGERS:
        for _ in range(2):
            ask("http://127.0.0.1:9")
        assert len(logging.getLogger(name).filters) == 1
        logging.getLogger(name).info("quiet")
        logging.getLogger(name).warning("loud %s", name)
    assert [record.args for record in caplog.records] == [
        (name,) for name in transport_logs.LOGGERS
    ]


async def test_what_waits_behind_the_deadline_is_not_read(ask):
    parts = [b"data: " + event(type="ping") + b"\n\n"] * 3
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
    body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    async with raw_server(head + b"transfer-encoding: chunked\r\n\r\n" + body) as url:
        endpoint = Endpoint(url, {}, {}, ())
        async with endpoint.post(b"{}", 300) as answer:
            assert isinstance(await answer.read(), list)
            await anyio.sleep_until(answer.deadline)
            await anyio.lowlevel.checkpoint()
            late = await answer.read()
        await endpoint.aclose()
    assert isinstance(late, Failure)
    assert late.error.name == "TimedOut"


async def test_a_reply_that_was_complete_at_the_deadline_counts(ask, ask_for):
    last = None
    async with serve_model([msgspec.structs.replace(HELLO, write="whole")]) as server:
        async for last in ask(server.url).provider.generate(ask_for(timeout=300)):
            if isinstance(last, TextDelta):
                await anyio.sleep(0.3)  # past the deadline
    assert isinstance(last, Reply), last


@pytest.mark.parametrize("trouble", ["hang", "stall"])
async def test_a_cancelled_generation_hangs_up(ask, ask_for, trouble):
    async with serve_model([ReplySpec(text="abc", trouble=trouble)]) as server:
        asking = ask(server.url)
        arrived = anyio.Event()

        async def generate() -> None:
            async for _ in asking.provider.generate(ask_for(timeout=60_000)):
                arrived.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(generate)
            with anyio.fail_after(5):
                if trouble == "stall":
                    await arrived.wait()
                while not server.requests:
                    await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        with anyio.fail_after(5):
            await server.hangups.wait()


async def test_a_generation_that_is_left_hangs_up(ask, ask_for):
    async with serve_model([ReplySpec(text="abc", trouble="stall")]) as server:
        pieces = ask(server.url).provider.generate(ask_for(timeout=60_000))
        assert isinstance(await anext(pieces), TextDelta)
        await pieces.aclose()
        with anyio.fail_after(5):
            await server.hangups.wait()


async def test_a_generation_can_be_cancelled_at_any_moment(ask, ask_for):
    spec = ReplySpec(text="abc" * 20, text_pieces=10, pause_ms=1)
    moments = [at / 2000 for at in range(40)]
    async with serve_model([spec] * (len(moments) + 1)) as server:
        asking = ask(server.url)
        cancelled = 0
        for moment in moments:
            with anyio.move_on_after(moment) as scope:
                await asking.reply(ask_for())
            cancelled += scope.cancelled_caught
            asking.pieces.clear()
        assert cancelled > 10
        assert (await asking.reply()).message.text == "abc" * 20
        connections = asking.provider._endpoint.connections
        assert (connections.idle, connections.lent) == (1, 0)


async def test_closing_twice_is_harmless(ask):
    async with serve_model([HELLO]) as server:
        asking = ask(server.url)
        await asking.reply()
        await asking.provider.aclose()
        await asking.provider.aclose()


async def test_a_proxy_of_the_environment_is_asked(ask, monkeypatch):
    received: list[bytes] = []
    async with raw_server(None, received) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        failure = await ask("https://model.test").failure()
        monkeypatch.setenv("NO_PROXY", "other.test")
        await ask("https://model.test:8443").failure()
    assert failure.error.is_retryable
    assert [got.split(b"\r\n")[0] for got in received] == [
        b"CONNECT model.test:443 HTTP/1.1",
        b"CONNECT model.test:8443 HTTP/1.1",
    ]
    assert all(b"canary" not in got for got in received)


async def test_hosts_named_in_no_proxy_and_this_machine_are_asked_directly(ask, monkeypatch):
    received: list[bytes] = []
    async with raw_server(None, received) as proxy, serve_model([HELLO]) as server:
        for name in ("HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, proxy)
        await ask(server.url).reply()
        monkeypatch.setenv("NO_PROXY", "model.invalid")
        failure = await ask("https://model.invalid").failure()
    assert failure.error.name == "ConnectionFailed"
    assert received == []


@pytest.mark.parametrize(
    ("variable", "value"),
    [("HTTPS_PROXY", "ftp://proxy.test"), ("SSL_CERT_FILE", "/nonexistent/ca.pem")],
)
def test_an_environment_that_cannot_work_is_said_before_a_run(monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=variable):
        open_provider(ProviderSettings(), {"ANTHROPIC_API_KEY": "k"})


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for localhost that nobody has signed but itself."""
    folder = tmp_path_factory.mktemp("tls")
    names = [folder / "key.pem", folder / "cert.pem"]
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    command += " -addext subjectAltName=DNS:localhost,IP:127.0.0.1"
    command += f" -keyout {names[0]} -out {names[1]}"
    try:
        subprocess.run(command.split(), check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    return names


@asynccontextmanager
async def tls_server(certificate):
    """The scripted server behind TLS."""
    from anyio.streams.tls import TLSListener

    from perstack.testing.model_server import ModelServer

    key, cert = certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server = ModelServer([HELLO] * 3)
    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as plain,
        anyio.create_task_group() as tasks,
    ):
        listener = TLSListener(plain, ssl_context=context, standard_compatible=False)
        tasks.start_soon(partial(listener.serve, server.serve))
        server.url = f"https://localhost:{plain.extra(anyio.abc.SocketAttribute.local_port)}"
        yield server
        tasks.cancel_scope.cancel()


async def test_a_certificate_authority_of_the_environment_is_trusted(ask, certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[1]))
    async with tls_server(certificate) as server:
        asking = ask(server.url)
        for _ in range(2):
            assert (await asking.reply()).message.text == "Hello, world."
        assert len({request.peer for request in server.requests}) == 1


async def test_a_certificate_nobody_vouches_for_is_refused_for_good(ask, certificate, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    async with tls_server(certificate) as server:
        failure = await ask(server.url).failure()
        assert server.requests == []
    assert failure.error.name == "CertificateRefused"
    assert not failure.error.is_retryable


def event(**fields) -> bytes:
    return msgspec.json.encode(fields)


def whole(builder: ReplyBuilder) -> Reply:
    reply = builder.reply()
    assert isinstance(reply, Reply), reply
    return reply


def broken(builder: ReplyBuilder) -> Failure:
    failure = builder.reply()
    assert isinstance(failure, Failure), failure
    return failure


def test_events_that_are_unknown_are_passed_over():
    builder = ReplyBuilder({}, Redaction(()))
    events = [
        event(type="ping"),
        event(type="new_thing", delta=5, index="x", message=[1]),
        event(type="content_block_start", index=0, content_block={"type": "server_magic"}),
        event(type="content_block_delta", index=0, delta={"type": "magic_delta", "magic": 1}),
        event(type="content_block_delta", index=7, delta={"type": "text_delta", "text": "lost"}),
        event(type="content_block_start", index=1, content_block={"type": "text", "text": "a"}),
        event(type="message_stop"),
    ]
    builder.feed(events)
    assert whole(builder).contents == (TextPart(text="a"),)


@pytest.mark.parametrize("data", [b"", b"nonsense", b"[]", b'{"type":"message_delta","usage":7}'])
def test_an_event_that_cannot_be_read_ends_the_reply(data):
    builder = ReplyBuilder({}, Redaction(()))
    builder.feed([data])
    assert builder.is_done
    assert broken(builder).error.name == "UnreadableResponse"
    assert broken(builder).error.is_retryable


def test_half_a_surrogate_pair_in_an_event_is_survived():
    builder = ReplyBuilder({}, Redaction(()))
    builder.feed(
        [
            event(type="content_block_start", index=0, content_block={"type": "text"}),
            b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a\\ud83d"}}',
            event(type="message_stop"),
        ]
    )
    assert whole(builder).contents == (TextPart(text="a?"),)


def test_calls_that_share_an_id_or_have_none_are_told_apart():
    builder = ReplyBuilder({}, Redaction(()))
    for index, call_id in enumerate(["t", "t", "", ""]):
        block = {"type": "tool_use", "id": call_id, "name": "n", "input": {}}
        builder.feed([event(type="content_block_start", index=index, content_block=block)])
    builder.feed([event(type="message_stop")])
    ids = [call.tool_call_id for call in whole(builder).message.calls]
    assert ids == ["t", "t-1", "call-2", "call-3"]


def test_arguments_given_at_the_start_of_a_call_count_too():
    builder = ReplyBuilder({}, Redaction(()))
    block = {"type": "tool_use", "id": "t", "name": "n", "input": {"a": 1}}
    builder.feed(
        [
            event(type="content_block_start", index=0, content_block=block),
            event(type="message_stop"),
        ]
    )
    (call,) = whole(builder).contents
    assert isinstance(call, ToolCallPart)
    assert call.args == {"a": 1}


async def test_the_words_of_the_user_reach_the_vendor(ask, ask_for):
    async with serve_model([HELLO]) as server:
        await ask(server.url).reply(ask_for(user_message("m", "Grüße 🙂")))
        (request,) = server.requests
    (message,) = json.loads(request.body)["messages"]
    assert message["content"][0]["text"] == "Grüße 🙂"


async def test_thinking_that_the_vendor_refuses_is_left_out_from_then_on(ask, ask_for):
    refused = ReplySpec(
        status=400,
        error=("invalid_request_error", "messages.1: Invalid `signature` in `thinking` block"),
    )
    thought = ThinkingPart(thinking="Hm.", signature="c3RhbGU=")
    call = ToolCallPart(tool_call_id="c1", tool_name="todo", args={})
    history = History(
        [
            user_message("0", "go"),
            ExpertMessage(id="1", contents=(thought, call)),
            ToolMessage(
                id="2",
                contents=(
                    ToolResultPart(
                        tool_call_id="c1", tool_name="todo", contents=(TextPart(text="x"),)
                    ),
                ),
            ),
        ]
    )
    async with serve_model([refused, FULL, HELLO]) as server:
        asking = ask(server.url)
        request = msgspec.structs.replace(ask_for(), messages=history)
        reply = await asking.reply(request)
        grown = history.append(reply.message, user_message("4", "more"))
        await asking.reply(msgspec.structs.replace(request, messages=grown))
        bodies = [request.body.decode() for request in server.requests]
    assert ["c3RhbGU=" in body for body in bodies] == [True, False, False]
    assert "signature-" in bodies[2]  # what it thought since goes back
    assert '"tool_use"' in bodies[1]


async def test_a_second_try_without_thinking_has_the_deadline_of_the_first(
    ask, ask_for, monkeypatch
):
    deadlines: list[float] = []
    close = http.Answer._close

    async def noted(answer: http.Answer) -> None:
        deadlines.append(answer.deadline)
        await close(answer)

    monkeypatch.setattr(http.Answer, "_close", noted)
    refused = ReplySpec(status=400, error=("invalid_request_error", "thinking signature"))
    thought = ThinkingPart(thinking="Hm.", signature="c3RhbGU=")
    history = History(
        [
            user_message("0", "go"),
            ExpertMessage(id="1", contents=(thought, TextPart(text="a"))),
            user_message("2", "more"),
        ]
    )
    async with serve_model([refused, HELLO]) as server:
        await ask(server.url).reply(msgspec.structs.replace(ask_for(), messages=history))
        assert len(server.requests) == 2
    first, second = deadlines
    assert first == second


async def test_a_refusal_that_leaving_thinking_out_cannot_mend_is_final(ask):
    refused = ReplySpec(status=400, error=("invalid_request_error", "thinking block: bad"))
    async with serve_model([refused, refused]) as server:
        failure = await ask(server.url).failure()
        assert len(server.requests) == 1
    assert failure.error.status_code == 400
