"""The stateless revision over HTTP: what is shown in headers, and what is never sent."""

from __future__ import annotations

import anyio
import pytest

from perstack.skills.mcp import ServerRefused
from perstack.skills.mcp.http_parameters import encoded, mirrored, shown
from perstack.skills.mcp.protocol import HEADER_MISMATCH, UNSUPPORTED
from skills.mcp.http_server import Remote, Request, Wire, answer, error, text
from skills.mcp.remotes import MODERN, Stateless, met, text_of
from skills.mcp.sessions import Said

pytestmark = pytest.mark.anyio

SCHEMA = {
    "type": "object",
    "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "options": {
            "type": "object",
            "properties": {"limit": {"type": "integer", "x-mcp-header": "Limit"}},
        },
        "query": {"type": "string"},
    },
}


def tool(schema: object, name: str = "echo") -> dict[str, object]:
    return {"name": name, "inputSchema": schema}


async def test_a_request_shows_its_method_its_tool_and_the_arguments_that_are_asked_for():
    remote = Stateless()
    remote.tools = [tool(SCHEMA)]
    async with met(remote) as one:
        args = {"region": "zürich", "options": {"limit": 3}, "query": "secret"}
        assert text_of(await one.call("echo", args)) == "echoed"
    assert remote.kinds == ["server/discover", "tools/list", "tools/call"]
    for request in remote.requests:
        assert request.headers["mcp-protocol-version"] == MODERN
        assert request.headers["mcp-method"] == request.kind
        assert "mcp-session-id" not in request.headers
    sent = remote.requests[-1].headers
    assert (sent["mcp-name"], sent["mcp-param-limit"]) == ("echo", "3")
    assert sent["mcp-param-region"] == "=?base64?esO8cmljaA==?="
    assert "secret" not in str(sent)


async def test_a_server_that_has_such_revisions_and_refuses_ours_is_asked_once_more():
    async def discover(request: Request, wire: Wire) -> None:
        if remote.kinds.count("server/discover") == 1:
            await wire.json(error(request, UNSUPPORTED, "Unsupported protocol version"), 400)
        else:
            found = {"supportedVersions": [MODERN], "capabilities": {}}
            await wire.json(answer(request, found))

    remote = Remote(discover=discover)
    async with met(remote) as one:
        assert text_of(await one.call("echo", {})) == "echoed"
    assert "initialize" not in remote.kinds


async def test_a_cancelled_call_is_called_off_by_hanging_up():
    async def call(request: Request, wire: Wire) -> None:
        await wire.begin()
        started.set()
        await wire.closed()
        left.set()

    started, left = anyio.Event(), anyio.Event()
    remote = Stateless(call=call)
    async with met(remote) as one:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.call, "echo", {})
            await started.wait()
            tasks.cancel_scope.cancel()
        await left.wait()
    assert remote.kinds[-1] == "tools/call"


async def test_a_tool_whose_annotations_make_no_sense_is_left_out():
    remote, said = Stateless(), Said()
    odd = {"type": "object", "properties": {"a": {"type": "number", "x-mcp-header": "A"}}}
    remote.tools = [tool(SCHEMA), tool(odd, "odd")]
    async with met(remote, said=said) as one:
        assert [one.name for one in await one.tools()] == ["echo"]
    assert "The tool 'odd' was left out: its schema has x-mcp-header" in said.texts[0]


async def test_headers_that_do_not_fit_any_more_are_learnt_anew_once():
    async def call(request: Request, wire: Wire) -> None:
        if "mcp-param-region" in request.headers:
            await wire.json(answer(request, text("fits")))
        else:
            remote.tools = [tool(SCHEMA)]
            await wire.json(error(request, HEADER_MISMATCH, "Header mismatch"), 400)

    remote = Stateless(call=call)
    async with met(remote) as one:
        assert text_of(await one.call("echo", {"region": "x"})) == "fits"
        with pytest.raises(ServerRefused, match="Header mismatch"):
            await one.call("echo", {})
    assert remote.kinds.count("tools/call") == 4


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"x-mcp-header": "A"}, "no argument has its place"),
        ({"items": {"x-mcp-header": "A"}}, "no argument has its place"),
        ({"$defs": {"a": {"x-mcp-header": "A", "type": "string"}}}, "no argument has its place"),
        ({"anyOf": [{"properties": {"a": {"x-mcp-header": "A"}}}]}, "no argument has its place"),
        ({"properties": {"a": {"x-mcp-header": 1, "type": "string"}}}, "no header's name"),
        ({"properties": {"a": {"x-mcp-header": "A\r\nB", "type": "string"}}}, "no header's name"),
        ({"properties": {"a": {"x-mcp-header": "", "type": "string"}}}, "no header's name"),
        ({"properties": {"a": {"x-mcp-header": "A", "type": "object"}}}, "no plain value"),
        ({"properties": {"a": {"x-mcp-header": "A", "type": ["string"]}}}, "no plain value"),
    ],
)
def test_an_annotation_that_is_not_as_it_must_be_is_refused(schema: dict[str, object], why: str):
    with pytest.raises(ValueError, match=why):
        mirrored(schema)


def test_one_header_for_two_arguments_is_refused():
    pair = {"a": {"type": "string", "x-mcp-header": "A"}}
    twins = {**pair, "b": {"type": "string", "x-mcp-header": "a"}}
    with pytest.raises(ValueError, match="twice"):
        mirrored({"properties": twins})


def test_data_is_not_taken_for_an_annotation():
    assert mirrored({"properties": {"a": {"default": {"x-mcp-header": "A"}}}}) == {}


def test_what_is_absent_or_has_no_text_is_not_shown():
    headers = mirrored(SCHEMA)
    assert shown(headers, {"options": 3}) == {}
    assert shown(headers, {"region": None, "options": {"limit": [1]}}) == {}
    assert shown(headers, {"region": True, "options": {"limit": 10**5000}}) == {
        "Mcp-Param-Region": "true"
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain text", "plain text"),
        ("", ""),
        (" edge", "=?base64?IGVkZ2U=?="),
        ("a\r\nX: y", "=?base64?YQ0KWDogeQ==?="),
        ("=?base64?YQ==?=", "=?base64?PT9iYXNlNjQ/WVE9PT89?="),
        ("half \ud83d", "=?base64?aGFsZiA/?="),
    ],
)
def test_a_value_that_a_header_would_not_hold_is_wrapped(text: str, value: str):
    assert encoded(text) == value
