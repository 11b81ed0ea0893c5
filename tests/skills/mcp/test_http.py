"""Streamable HTTP: sessions, streams, and what is left of them when connections break."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from perstack.skills.mcp import CallUntaken, ServerGone, ServerRefused
from perstack.skills.mcp.address import Address
from perstack.skills.mcp.http import HttpTransport
from perstack.skills.mcp.protocol import LOST, TURNED_AWAY
from perstack.skills.mcp.session import Session
from skills.mcp.http_server import (
    EVENTS,
    SESSION,
    HungUp,
    Remote,
    Request,
    Wire,
    answer,
    error,
    note,
    served,
    text,
)
from skills.mcp.remotes import TOKEN, met, reached, text_of
from skills.mcp.sessions import CALM, Said

pytestmark = pytest.mark.anyio

BEARER = {"Authorization": f"Bearer {TOKEN}"}
NAMED = {"Authorization": "REMOTE_TOKEN"}
PROBED = ["server/discover"]


async def hang_up(request: Request, wire: Wire) -> None:
    raise HungUp


def status(number: int, body: bytes = b"", **headers: str) -> Any:
    async def odd(request: Request, wire: Wire) -> None:
        await wire.answer(number, body, headers)

    return odd


async def failed(one: Session, code: int) -> str:
    with pytest.raises(ServerRefused) as caught:
        await one.call("echo", {})
    assert caught.value.code == code
    return str(caught.value)


async def test_a_session_is_named_with_every_message_and_ended_on_leaving():
    remote = Remote()
    async with met(remote, headers=BEARER, variables=NAMED) as one:
        assert text_of(await one.call("echo", {})) == "echoed"
    assert remote.kinds[:3] == [*PROBED, "initialize", "notifications/initialized"]
    assert sorted(remote.kinds[3:]) == ["DELETE", "GET", "tools/call", "tools/list"]
    _, first, *later = remote.requests
    assert "mcp-session-id" not in first.headers
    assert {request.headers["authorization"] for request in remote.requests} == {f"Bearer {TOKEN}"}
    for request in later:
        assert request.headers["mcp-session-id"] == SESSION
        assert request.headers["mcp-protocol-version"] == "2025-11-25"
    assert first.headers["accept"] == "application/json, text/event-stream"


async def test_a_server_without_sessions_is_not_told_of_an_end():
    remote = Remote()
    remote.session = ""
    async with met(remote) as one:
        await one.call("echo", {})
    asked = ["initialize", "notifications/initialized", "tools/list", "tools/call"]
    assert remote.kinds == [*PROBED, *asked]


async def test_an_answer_may_come_as_a_stream_with_notes_before_and_after_it():
    async def call(request: Request, wire: Wire) -> None:
        await wire.begin()
        await wire.event("", id="1")
        await wire.event(note("before"))
        await wire.event(answer(request, text("streamed")))
        await wire.event(note("after"))
        await wire.end()

    said, remote = Said(), Remote(call=call)
    async with met(remote, said=said) as one:
        for _ in range(2):
            assert text_of(await one.call("echo", {})) == "streamed"
        with anyio.fail_after(20):
            while len(said.texts) < 4:
                await anyio.wait_all_tasks_blocked()
    assert said.texts == ["before", "after"] * 2


async def test_what_a_server_says_unasked_is_heard():
    async def get(request: Request, wire: Wire) -> None:
        await wire.begin()
        await wire.event(note("unasked"))
        await heard.wait()
        await wire.end()

    heard, said = anyio.Event(), Said()
    async with reached(Remote(GET=get).handle, said=said) as one:
        await one.start()
        with anyio.fail_after(20):
            while said.texts != ["unasked"]:
                await anyio.wait_all_tasks_blocked()
        heard.set()


async def test_a_stream_that_broke_is_gone_on_with_where_it_was_left():
    async def call(request: Request, wire: Wire) -> None:
        asked.append(request)
        await wire.begin()
        await wire.event("", id="7", retry="1")
        raise HungUp

    async def get(request: Request, wire: Wire) -> None:
        if not asked:
            await wire.answer(405)
            return
        await wire.begin()
        await wire.event(answer(asked[0], text(request.headers["last-event-id"])))

    asked: list[Request] = []
    remote = Remote(call=call, GET=get)
    async with met(remote) as one:
        assert text_of(await one.call("echo", {})) == "7"
    assert remote.kinds.count("tools/call") == 1


@pytest.mark.parametrize("again", [status(405), status(404), hang_up])
async def test_a_stream_that_cannot_be_gone_on_with_loses_its_call_alone(again: Any):
    async def call(request: Request, wire: Wire) -> None:
        if remote.kinds.count("tools/call") > 1:
            await wire.json(answer(request, text("fine")))
            return
        await wire.begin()
        await wire.event("", id="7", retry="1")
        await wire.end()

    remote = Remote(call=call, GET=again)
    async with met(remote) as one:
        assert "hung up before its answer was complete" in await failed(one, LOST)
        assert text_of(await one.call("echo", {})) == "fine"


async def test_a_broken_connection_loses_its_call_alone():
    async def call(request: Request, wire: Wire) -> None:
        if remote.kinds.count("tools/call") == 1:
            raise HungUp
        await wire.json(answer(request, text("fine")))

    remote = Remote(call=call)
    async with met(remote) as one:
        assert "hung up before an answer" in await failed(one, LOST)
        assert text_of(await one.call("echo", {})) == "fine"
    assert remote.kinds.count("initialize") == 1


@pytest.mark.parametrize("number", [500, 502, 503, 504])
async def test_a_status_of_trouble_says_nothing_of_what_was_done(number: int):
    async with met(Remote(call=status(number))) as one:
        assert f"HTTP status {number}" in await failed(one, LOST)


@pytest.mark.parametrize("number", [400, 404, 413, 429])
async def test_a_status_of_refusal_is_told_with_the_servers_words(number: int):
    remote = Remote(call=status(number, b"too\nmuch", **{"content-type": "text/plain"}))
    remote.session = ""
    async with met(remote) as one:
        words = await failed(one, TURNED_AWAY)
    assert words.endswith("\nIt said: too much")
    assert f"HTTP status {number} (" in words


async def test_an_error_of_the_protocol_counts_whatever_the_status_is():
    async def call(request: Request, wire: Wire) -> None:
        await wire.json(error(request, -32602, "Unknown tool"), 500)

    async with met(Remote(call=call)) as one:
        assert await failed(one, -32602) == "Unknown tool"


async def forgotten_400(request: Request, wire: Wire) -> None:
    await wire.json(error(None, -32000, "Bad Request: No valid session ID provided"), 400)


@pytest.mark.parametrize("forgotten", [status(404), forgotten_400])
async def test_a_session_that_is_over_takes_no_call_and_ends(forgotten: Any):
    remote = Remote(call=forgotten)
    async with met(remote) as one:
        with pytest.raises(CallUntaken, match="ended the session"):
            await one.call("echo", {})
        with pytest.raises(ServerGone, match="ended the session"):
            await one.call("echo", {})
        assert one.gone == "The server has ended the session."
    assert "DELETE" not in remote.kinds


async def test_every_call_that_a_session_did_not_take_is_told_so():
    async def call(request: Request, wire: Wire) -> None:
        if remote.kinds.count("tools/call") == 3:
            both.set()
        await both.wait()
        await wire.answer(404)

    async def ask() -> None:
        with pytest.raises(CallUntaken) as caught:
            await one.call("echo", {})
        told.append(caught.value)

    both, told = anyio.Event(), list[CallUntaken]()
    remote = Remote(call=call)
    async with met(remote) as one, anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(ask)
    assert len(told) == 3


async def test_a_method_that_is_unknown_is_not_a_session_that_is_over():
    async def call(request: Request, wire: Wire) -> None:
        await wire.json(error(request, -32601, "Method not found"), 404)

    async with met(Remote(call=call)) as one:
        await failed(one, -32601)
        await failed(one, -32601)


@pytest.mark.parametrize("number", [401, 403])
@pytest.mark.parametrize(
    ("headers", "variables", "advice"),
    [(BEARER, NAMED, "the value of REMOTE_TOKEN"), ({}, {}, "bearerTokenEnv and headersEnv")],
)
async def test_a_denial_names_the_variable_and_not_its_value(
    number: int, headers: dict[str, str], variables: dict[str, str], advice: str
):
    words = f"no access for {TOKEN}".encode()
    remote = Remote(initialize=status(number, words, **{"content-type": "text/plain"}))
    async with reached(remote.handle, headers=headers, variables=variables) as one:
        with pytest.raises(ServerGone) as caught:
            await one.start()
    assert advice in str(caught.value)
    assert TOKEN not in str(caught.value)
    assert remote.kinds == [*PROBED, "initialize"]


async def test_a_cancelled_call_is_called_off_and_its_stream_is_left():
    async def call(request: Request, wire: Wire) -> None:
        await wire.begin()
        started.set()
        await wire.closed()
        left.set()

    started, left = anyio.Event(), anyio.Event()
    remote = Remote(call=call)
    async with met(remote) as one:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.call, "echo", {})
            await started.wait()
            tasks.cancel_scope.cancel()
        await left.wait()
        number = remote.last("tools/call").message["id"]
    off = remote.last("notifications/cancelled").message["params"]
    assert off["requestId"] == number


async def test_a_cancelled_session_hangs_up_and_takes_its_leave():
    async def call(request: Request, wire: Wire) -> None:
        await wire.begin()
        started.set()
        await wire.closed()
        left.set()

    started, left = anyio.Event(), anyio.Event()
    remote = Remote(call=call)
    with anyio.fail_after(20):
        async with served(remote.handle) as url:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_call, url)
                await started.wait()
                tasks.cancel_scope.cancel()
            await left.wait()
    assert remote.kinds[-1] == "DELETE"


async def _call(url: str) -> None:
    async with Session(HttpTransport(Address(url, allow_loopback=True))) as one:
        await one.start()
        await one.call("echo", {})


async def test_a_server_that_takes_no_leave_is_left_all_the_same():
    async def never(request: Request, wire: Wire) -> None:
        await wire.closed()

    remote = Remote(DELETE=never)
    async with met(remote, patience=CALM._replace(stop=0.05)):
        pass
    assert remote.kinds[-1] == "DELETE"


@pytest.mark.parametrize(
    ("odd", "why"),
    [
        (status(202), "accepted tools/call, and does not answer it"),
        (status(200, b"<html>", **{"content-type": "text/html"}), "neither JSON nor events"),
        (status(200, b"{}", **{"content-type": "application/json"}), "tools/call is no answer"),
        (status(200, b"{", **{"content-type": "application/json"}), "tools/call is no answer"),
    ],
)
async def test_what_is_no_answer_is_told(odd: Any, why: str):
    async with met(Remote(call=odd)) as one:
        assert why in await failed(one, 0)


async def test_nobody_there_is_told_at_once():
    async with served(Remote().handle) as url:
        pass
    with pytest.raises(ServerGone, match="connection refused"):
        await _call(url)


async def test_events_of_other_names_are_no_messages():
    async def call(request: Request, wire: Wire) -> None:
        await wire.begin(headers={"content-type": f"{EVENTS}; charset=utf-8"})
        await wire.event(answer(request, text("wrong")), event="other")
        await wire.event(answer(request, text("right")), event="message")
        await wire.end()

    async with met(Remote(call=call)) as one:
        assert text_of(await one.call("echo", {})) == "right"
