"""A server that people use, over each transport of HTTP, as a skill of `perstack run`."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import anyio
import pytest

from cli.process import PERSTACK
from perstack.schema.tool import OUTCOME_UNKNOWN
from real.remotes import PATHS, Serving, serving
from real.runs import answers_in, at_once, call, config, environment, run, running
from real.servers import Servers

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.parametrize("transport", PATHS),
]

HELLO = call("echo", message="hello")
NAMED = {"name": "mcp-servers/everything", "version": "2.0.0"}


async def perstack(
    servers: Servers, folder: Path, server: Serving, *words: str
) -> subprocess.CompletedProcess[bytes]:
    """A command of its own about the server as the one skill of a project."""
    (folder / "perstack.toml").write_text(config(server.skill))
    with anyio.fail_after(120):
        return await anyio.run_process(
            [str(PERSTACK), *words], cwd=folder, env=environment(servers, folder), check=False
        )


async def test_a_server_over_http_is_listed_called_and_left(
    servers: Servers, tmp_path: Path, transport: str
):
    async with serving(servers, transport) as server:
        ran = await run(tmp_path, servers, config(server.skill), HELLO, call("get-sum", a=2, b=40))
    assert ran.ended.code == 0, ran.ended.stderr
    assert {"echo", "get-sum", "get-tiny-image"} <= ran.tools.keys()
    assert ran.tools["get-sum"]["input_schema"]["required"] == ["a", "b"]
    assert [answer.text for answer in ran.answers] == ["Echo: hello", "The sum of 2 and 40 is 42."]
    [starting] = ran.events("skillStarting")
    assert (starting["command"], starting["args"]) == (server.url, [])
    [connected] = ran.events("skillConnected")
    assert connected["serverInfo"] == NAMED
    assert ran.ended.types[-1] == "skillDisconnected"
    assert not ran.events("skillDisconnected")[0].get("reason")


async def test_an_image_and_a_structure_reach_the_model(
    servers: Servers, tmp_path: Path, transport: str
):
    asked = [call("get-tiny-image"), call("get-structured-content", location="Chicago")]
    async with serving(servers, transport) as server:
        ran = await run(tmp_path, servers, config(server.skill), *asked)
    image, weather = ran.answers
    assert [part["type"] for part in image.parts] == ["textPart", "imageInlinePart", "textPart"]
    assert image.parts[1]["mimeType"] == "image/png"
    assert image.parts[1]["encodedData"] in json.dumps(ran.model.requests[1].json["messages"])
    assert json.loads(weather.text).keys() == {"temperature", "conditions", "humidity"}


async def test_what_a_server_logs_and_how_far_a_call_has_come_is_told_as_it_comes(
    servers: Servers, tmp_path: Path, transport: str
):
    """The log comes unasked, over a stream of its own, while the call goes on."""
    long = call("trigger-long-running-operation", duration=600, steps=2000)
    asked = [call("toggle-simulated-logging"), long]
    told: dict[bool, str] = {}
    async with serving(servers, transport) as server:
        text = config(server.skill)
        async with running(tmp_path, servers, text, *asked) as one:
            while len(told) < 2:
                event = (await one.events(until="skillReport"))[-1]
                told[event["level"] == "progress"] = event["message"]
            assert one.process.returncode is None
    assert told[True].endswith("/2000")
    assert "level" in told[False].lower()


async def test_twenty_calls_at_once_each_get_their_own_answer(
    servers: Servers, tmp_path: Path, transport: str
):
    sums = [call("get-sum", a=number, b=1000) for number in range(20)]
    async with serving(servers, transport) as server:
        ran = await run(tmp_path, servers, config(server.skill), at_once(*sums))
    [results] = ran.events("resolveToolResults")
    texts = ["".join(part["text"] for part in one["result"]) for one in results["toolResults"]]
    assert texts == [f"The sum of {number} and 1000 is {number + 1000}." for number in range(20)]
    assert len(ran.events("skillConnected")) == 1


async def test_a_server_that_is_killed_in_a_call_and_started_again_gets_a_new_session(
    servers: Servers, tmp_path: Path, transport: str
):
    long = call("trigger-long-running-operation", duration=600, steps=6000)
    async with serving(servers, transport) as server:
        text = config(server.skill)
        async with running(tmp_path, servers, text, long, HELLO) as one:
            events = await one.events(until="skillReport")  # how far the call has come
            one.process.send_signal(signal.SIGSTOP)
            server.process.kill()
            await server.process.wait()
            async with serving(servers, transport, server.port):
                one.process.send_signal(signal.SIGCONT)
                events += await one.events()
                assert await one.process.wait() == 0
    died, hello = answers_in(events)
    assert died.is_error
    assert OUTCOME_UNKNOWN in died.text
    assert (hello.text, hello.is_error) == ("Echo: hello", False)
    assert [event["type"] for event in events].count("skillConnected") == 2


async def test_a_run_goes_on_without_a_server_that_is_killed_and_stays_away(
    servers: Servers, tmp_path: Path, transport: str
):
    long = call("trigger-long-running-operation", duration=600, steps=6000)
    async with serving(servers, transport) as server:
        text = config(server.skill)
        async with running(tmp_path, servers, text, long, HELLO) as one:
            await one.events(until="skillReport")
            server.process.kill()
            events = await one.events()
            assert await one.process.wait() == 0
    died, refused = answers_in(events)
    assert OUTCOME_UNKNOWN in died.text
    assert refused.is_error
    assert "connection refused" in refused.text
    assert "completeRun" in [event["type"] for event in events]


async def test_what_a_server_offers_is_shown(servers: Servers, tmp_path: Path, transport: str):
    async with serving(servers, transport) as server:
        ended = await perstack(servers, tmp_path, server, "skills", "--json")
    assert ended.returncode == 0, ended.stderr
    [expert] = json.loads(ended.stdout)["experts"]
    [remote] = [skill for skill in expert["skills"] if skill["name"] == "remote"]
    assert (remote["endpoint"], remote["server"]) == (server.url, NAMED)
    assert {"echo", "get-sum"} <= {tool["name"] for tool in remote["tools"]}
    assert remote["startUp"]["totalMs"] > 0


async def test_what_is_locked_is_offered_before_the_server_is_asked_and_called_after(
    servers: Servers, tmp_path: Path, transport: str
):
    async with serving(servers, transport) as server:
        installed = await perstack(servers, tmp_path, server, "install")
        assert installed.returncode == 0, installed.stderr
        ran = await run(tmp_path, servers, config(server.skill), HELLO)
        frozen = await perstack(servers, tmp_path, server, "install", "--frozen")
    assert ran.ended.code == 0, ran.ended.stderr
    assert "warning" not in ran.ended.stderr
    assert {"echo", "get-sum"} <= ran.tools.keys()
    assert [answer.text for answer in ran.answers] == ["Echo: hello"]
    types = ran.ended.types
    assert types.index("startGeneration") < types.index("skillStarting")
    assert frozen.returncode == 0, frozen.stderr


async def test_a_locked_run_that_calls_nothing_needs_no_server(
    servers: Servers, tmp_path: Path, transport: str
):
    async with serving(servers, transport) as server:
        installed = await perstack(servers, tmp_path, server, "install")
        assert installed.returncode == 0, installed.stderr
    ran = await run(tmp_path, servers, config(server.skill))
    assert ran.ended.code == 0, ran.ended.stderr
    assert "echo" in ran.tools
    assert not ran.events("skillStarting")
