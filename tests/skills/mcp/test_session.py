"""What is said to a server, and what becomes of what it says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from perstack._version import __version__
from perstack.skills.mcp import (
    MAX_BAD_MESSAGES,
    MAX_PAGES,
    MAX_TOOLS,
    MAX_TOOLS_BYTES,
    Patience,
    ServerGone,
    ServerRefused,
)
from perstack.skills.mcp.session import CallResult, Session
from perstack.skills.mcp.stdio import StdioTransport
from skills.mcp import sessions
from skills.mcp.hostile_server import PLAIN
from skills.mcp.http_bridge import Bridged
from skills.mcp.sessions import CALM, Said, left_out, session, shell, started

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.anyio
over_both = pytest.mark.usefixtures("way")
"""The same over HTTP as over pipes."""


@pytest.fixture(params=[sessions.open_transport, Bridged], ids=["pipes", "http"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "open_transport", request.param)


async def said_by(one: Session, tool: str, **args: object) -> Any:
    """The JSON in the text that a tool answers."""
    result = await one.call(tool, args)
    return json.loads(str(result.content[0]["text"]))


@pytest.mark.parametrize(
    ("mode", "version", "protocol", "asked"),
    [
        ("legacy", "1.0", "2025-11-25", ["initialize", "notifications/initialized"]),
        ("old", "1.0", "2024-11-05", ["initialize", "notifications/initialized"]),
        ("modern", "2.0", "2026-07-28", ["initialize", "server/discover"]),
    ],
)
@over_both
async def test_every_generation_is_greeted_in_its_own_way(
    mode: str, version: str, protocol: str, asked: list[str]
):
    async with session(mode) as one:
        info = await one.start()
        assert (info.name, info.version, info.protocol) == ("hostile", version, protocol)
        assert [tool.name for tool in await one.tools()] == list(PLAIN)
        lists = ["tools/list", "tools/list"]
        assert await said_by(one, "told") == [*asked, *lists, "tools/call"]


async def test_a_server_learns_who_speaks_to_it(tmp_path: Path):
    script = f'read hello; printf %s "$hello" > {tmp_path}/hello'
    async with Session(StdioTransport(shell(script))) as one:
        with pytest.raises(ServerGone):
            await one.start()
    hello = json.loads((tmp_path / "hello").read_text())
    assert hello["params"]["clientInfo"] == {"name": "perstack", "version": __version__}
    assert hello["params"]["capabilities"] == {}


@over_both
async def test_a_revision_nobody_knows_is_refused_by_name():
    async with session("future") as one:
        with pytest.raises(ServerRefused, match=r"protocol 2099-01-01; known are 2026-07-28, "):
            await one.start()


@over_both
async def test_a_tool_comes_as_its_server_describes_it():
    async with started() as one:
        tool = (await one.tools())[0]
    assert tool == ("echo", "The tool echo.", {"type": "object"}, {})


@over_both
async def test_what_a_tool_answers_comes_as_it_is():
    async with started() as one:
        assert await said_by(one, "echo", a=[1, "ü", None]) == {"a": [1, "ü", None]}
        image = (await one.call("image", {})).content[0]
        assert (image["type"], image["mimeType"]) == ("image", "image/png")
        structured = (await one.call("structured", {})).structured
        assert structured == {"a": [1, None, {"b": "ü"}]}
        failed = await one.call("fail", {})
        assert failed.content == ({"type": "text", "text": "it failed"},)
        assert failed.is_error


@over_both
async def test_an_argument_that_no_utf8_can_hold_is_sent_all_the_same():
    async with started() as one:
        assert await said_by(one, "echo", half="a\ud83db") == {"half": "a?b"}


@over_both
async def test_a_refusal_has_the_servers_code_and_words():
    async with started() as one:
        with pytest.raises(ServerRefused, match="Unknown tool: nope") as caught:
            await one.call("nope", {})
    assert caught.value.code == -32602


@over_both
async def test_calls_run_at_the_same_time():
    said = Said()
    answers: list[CallResult] = []
    async with started(said=said) as one, anyio.create_task_group() as tasks:

        async def slow() -> None:
            answers.append(await one.call("slow", {}))

        for _ in range(3):
            tasks.start_soon(slow)
        await until(lambda: said.texts == ["started"] * 3)
        assert not answers
        await one.call("release", {})
    assert [each.content[0]["text"] for each in answers] == ["released"] * 3


@over_both
async def test_a_cancelled_call_is_called_off():
    said = Said()
    async with started(said=said) as one:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.call, "slow", {})
            await until(lambda: said.texts == ["started"])
            tasks.cancel_scope.cancel()
        with anyio.fail_after(20):
            while "notifications/cancelled" not in await said_by(one, "told"):
                pass


async def test_late_answers_to_cancelled_calls_are_no_offence():
    calls = MAX_BAD_MESSAGES + 1
    async with started("late") as one:
        async with anyio.create_task_group() as tasks:
            for _ in range(calls):
                tasks.start_soon(one.call, "slow", {})
            with anyio.fail_after(20):
                while (await said_by(one, "told")).count("tools/call") < calls:
                    pass
            tasks.cancel_scope.cancel()
        await one.call("release", {})
        assert await said_by(one, "echo", still=True) == {"still": True}


async def use(one: Session) -> None:
    """Go through every phase."""
    await one.start()
    await one.tools()
    await one.call("echo", {})


@pytest.mark.hostile
@pytest.mark.parametrize(
    ("mode", "patience", "failure"),
    [
        ("hang-initialize", CALM._replace(start=0.1), r"did not start within 0\.1 seconds"),
        ("hang-list", CALM._replace(listing=0.1), r"did not list its tools within 0\.1 seconds"),
        ("hang-call", CALM._replace(call=0.1), r"did not answer the call within 0\.1 seconds"),
    ],
)
@over_both
async def test_each_phase_has_a_time_limit_of_its_own(mode: str, patience: Patience, failure: str):
    async with session(mode, patience=patience) as one:
        with pytest.raises(TimeoutError, match=failure):
            await use(one)


@pytest.mark.hostile
async def test_a_server_that_ends_at_once_says_why():
    async with session("exit") as one:
        for _ in range(2):
            with pytest.raises(ServerGone, match=r"status 3\. It printed:\nfatal: no such thing"):
                await one.start()


@pytest.mark.hostile
async def test_the_end_of_a_server_ends_every_call():
    reasons: list[str] = []
    async with started("exit-call") as one, anyio.create_task_group() as tasks:

        async def call() -> None:
            with pytest.raises(ServerGone) as caught:
                await one.call("echo", {})
            reasons.append(str(caught.value))

        for _ in range(3):
            tasks.start_soon(call)
    assert len(reasons) == 3
    assert all("out of cheese" in reason for reason in reasons)


@pytest.mark.hostile
async def test_a_server_that_closes_its_input_ends_the_calls_under_way():
    reasons: list[str] = []
    said = Said()
    async with started("closed-in", said=said) as one, anyio.create_task_group() as tasks:

        async def call() -> None:
            with pytest.raises(ServerGone) as caught:
                await one.call("echo", {})
            reasons.append(str(caught.value))

        tasks.start_soon(call)
        await until(lambda: said.texts == ["deaf"])
        tasks.start_soon(call)
    assert reasons == ["The server hung up."] * 2
    assert one.gone == "The server hung up."


@pytest.mark.hostile
async def test_leaving_answers_the_calls_under_way():
    reasons: list[str] = []
    async with anyio.create_task_group() as tasks, started() as one:

        async def call() -> None:
            with pytest.raises(ServerGone) as caught:
                await one.call("slow", {})
            reasons.append(str(caught.value))

        tasks.start_soon(call)
        await anyio.wait_all_tasks_blocked()
    assert reasons == ["The session with the server was ended."]


@pytest.mark.hostile
@pytest.mark.parametrize(
    "mode",
    ["garbage", "bom", "crlf", "deep", "duplicate-keys", "wrong-id", "twice", "batch", "early"],
)
@over_both
async def test_what_is_no_answer_does_not_stand_in_for_one(mode: str):
    async with started(mode) as one:
        for number in range(3):
            assert await said_by(one, "echo", n=number) == {"n": number}


@pytest.mark.hostile
@pytest.mark.parametrize(
    ("mode", "text", "structured"),
    [
        ("nan", "ok", {"value": None}),
        ("surrogate", "half ? pair", None),
        ("huge-int", "ok", {"value": 10**100}),
    ],
)
@over_both
async def test_odd_values_arrive_as_what_can_be_kept(mode: str, text: str, structured: object):
    async with started(mode) as one:
        result = await one.call("echo", {})
    assert result == CallResult(({"type": "text", "text": text},), structured, is_error=False)


@pytest.mark.hostile
@pytest.mark.parametrize(
    ("mode", "failure"),
    [
        ("no-tools", "tools/list is no answer"),
        ("no-result", "tools/call is no answer"),
        ("input", "input that nobody here can give"),
        ("long-line", "more than 16 MiB"),
        ("deep-call", "An answer came that makes no sense"),
        ("crowded-tools", "holds more than 100000 values"),
        ("crowded-content", "holds more than 100000 values"),
        ("crowded-alone", "holds more than 100000 values"),
        ("heavy-refusal", "its reason is too long"),
    ],
)
@over_both
async def test_an_answer_that_makes_no_sense_is_a_refusal_and_the_server_goes_on(
    mode: str, failure: str
):
    async with session(mode) as one:
        for _ in range(2):
            with pytest.raises(ServerRefused, match=failure):
                await use(one)


@pytest.mark.hostile
@pytest.mark.parametrize(
    ("mode", "failure"),
    [
        ("garbage-storm", "no message"),
        ("ask-storm", "more questions than it reads answers"),
    ],
)
@over_both
async def test_a_server_that_only_talks_nonsense_is_given_up_for_good(mode: str, failure: str):
    match = f"given up after {MAX_BAD_MESSAGES + 1} messages .* The last was {failure}"
    async with started(mode) as one:
        for _ in range(2):
            with pytest.raises(ServerGone, match=match):
                await one.call("echo", {})


@pytest.mark.hostile
@over_both
async def test_a_server_may_ask_whether_we_live_and_nothing_else():
    async with started("ask") as one:
        structured: Any = (await one.call("echo", {})).structured
    alive, *refused = structured["answers"]
    assert alive == {"jsonrpc": "2.0", "id": "q-ping", "result": {}}
    assert [each["error"]["code"] for each in refused] == [-32601] * 3


@pytest.mark.hostile
async def test_a_storm_of_notes_is_counted():
    said = Said()
    async with started("storm", said=said) as one:
        assert await said_by(one, "echo", a=1) == {"a": 1}
    given = said.texts.count("again")
    assert given + left_out(said.texts) == 1_000_000
    assert left_out(said.texts) > 990_000


@over_both
async def test_what_a_server_logs_and_how_far_a_call_has_come_is_told():
    said = Said()
    async with started("log", "progress", said=said) as one:
        await one.call("echo", {})
    notes = [("info", "one"), ("error", '{"two":2}'), ("progress", "1/2 half")]
    assert said.messages == notes


@over_both
async def test_other_tools_are_remembered_and_not_acted_on():
    async with started("changed") as one:
        assert not one.have_tools_changed
        await one.call("echo", {})
        assert one.have_tools_changed
        assert "tools/list" not in await said_by(one, "told")


@pytest.mark.hostile
@pytest.mark.parametrize(
    ("mode", "count", "warning"),
    [
        ("many", MAX_TOOLS, f"Only the first {MAX_TOOLS} tools were taken."),
        ("pages", MAX_PAGES, f"Only the first {MAX_PAGES} pages of tools were read."),
        ("big-tool", len(PLAIN), "Tools of more than 256 KiB were left out."),
        ("big-tools", MAX_TOOLS_BYTES // 200_083, "Only the first 20 tools were taken."),
        ("crowded-schema", 3, "Only the first 3 tools were taken."),
        ("not-tools", len(PLAIN), "What is no tool in the list of tools was left out."),
    ],
)
@over_both
async def test_tools_are_capped_and_what_is_left_out_is_told(mode: str, count: int, warning: str):
    said = Said()
    async with started(mode, said=said) as one:
        tools = await one.tools()
    assert len(tools) == count
    assert said.messages == [("warning", warning)]


async def until(is_so: Callable[[], bool]) -> None:
    with anyio.fail_after(20):
        while not is_so():  # noqa: ASYNC110 - nobody tells
            await anyio.sleep(0.001)
