"""Servers that people use, from npm and PyPI, as skills of `perstack run`."""

from __future__ import annotations

import json
import shutil
import signal
import sys
from pathlib import Path

import anyio
import pytest

from real.runs import call, config, left_of, processes_of, run, running
from real.servers import (
    EVERYTHING,
    Servers,
    browser,
    clock,
    docs,
    everything,
    exa,
    files,
    history,
    npm,
    paged,
    pypi,
    stdio_skill,
)

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(600)]

KEY = "a-key-that-nobody-issued"


async def test_a_package_of_npm_is_started_listed_called_and_ended(
    servers: Servers, tmp_path: Path
):
    hello, total = call("echo", message="hello"), call("get-sum", a=2, b=40)
    ran = await run(tmp_path, servers, config(everything()), hello, total)
    assert ran.ended.code == 0, ran.ended.stderr
    assert {"echo", "get-sum", "get-tiny-image", "readTextFile"} <= ran.tools.keys()
    assert ran.tools["get-sum"]["input_schema"]["required"] == ["a", "b"]
    assert [answer.text for answer in ran.answers] == ["Echo: hello", "The sum of 2 and 40 is 42."]
    [started] = ran.events("skillStarting")
    assert started["args"] == ["--prefix", "/dev/null", "-y", "--", npm(EVERYTHING)]
    [connected] = ran.events("skillConnected")
    assert connected["serverInfo"] == {"name": "mcp-servers/everything", "version": "2.0.0"}
    assert ran.ended.types[-1] == "skillDisconnected"
    said = [event["message"] for event in ran.events("skillStderr", "everything")]
    assert "Starting default (STDIO) server..." in said


async def test_npx_hands_a_server_what_it_requires_and_no_key_of_others(
    servers: Servers, tmp_path: Path
):
    text = config(everything('requiredEnv = ["SERVICE_KEY"]'))
    env = {"SERVICE_KEY": KEY, "OTHER_KEY": "of-somebody-else"}
    ran = await run(tmp_path, servers, text, call("get-env"), env=env)
    found = json.loads(ran.answers[0].text)
    assert found["SERVICE_KEY"] == "[SERVICE_KEY]"  # its value, which is hidden
    assert KEY not in ran.ended.stdout
    assert "of-somebody-else" not in ran.ended.stdout
    assert ran.model.variables["ANTHROPIC_API_KEY"] not in ran.ended.stdout


async def test_pick_and_omit_hold_for_a_server_of_others(servers: Servers, tmp_path: Path):
    picked = stdio_skill("one", "npx", package=npm(EVERYTHING), more='pick = ["echo"]')
    others = everything('omit = ["echo", "get-env"]')
    ran = await run(tmp_path, servers, config(picked, others), call("get-env"), call("echo"))
    assert "get-sum" in ran.tools
    assert "get-env" not in ran.tools
    assert "There is no tool named get-env" in ran.answers[0].text
    assert not [name for name in ran.tools if name.endswith("__echo")]
    assert "Invalid arguments for tool echo" in ran.answers[1].text


async def test_tools_that_come_in_pages_are_all_offered_and_called(
    servers: Servers, tmp_path: Path
):
    ran = await run(tmp_path, servers, config(paged()), call("tool-6"))
    names = [name for name in ran.tools if name.startswith("tool-")]
    assert names == [f"tool-{number}" for number in range(7)]
    assert ran.answers[0].text == "This is tool-6."


async def test_a_file_server_reads_in_its_folder_and_refuses_what_is_outside(
    servers: Servers, tmp_path: Path
):
    inside, outside = tmp_path / "inside", tmp_path / "outside.txt"
    inside.mkdir()
    (inside / "a.txt").write_text("of the folder")
    outside.write_text("of nobody")
    (inside / "link.txt").symlink_to(outside)
    asked = [inside / "a.txt", outside, inside / "link.txt"]
    calls = [call("read_text_file", path=str(path)) for path in asked]
    ran = await run(tmp_path, servers, config(files(inside)), *calls)
    read, refused, linked = ran.answers
    assert (read.text, read.is_error) == ("of the folder", False)
    assert refused.is_error
    assert "Access denied" in refused.text
    assert linked.is_error
    assert "of nobody" not in ran.ended.stdout
    said = " ".join(event["message"] for event in ran.events("skillStderr", "files"))
    assert "Secure MCP Filesystem Server running on stdio" in said


async def test_a_package_of_pypi_is_started_and_called(servers: Servers, tmp_path: Path):
    right = call("convert_time", source_timezone="Asia/Tokyo", time="09:00", target_timezone="UTC")
    wrong = call("get_current_time", timezone="Europe/Nowhere")
    ran = await run(tmp_path, servers, config(clock()), right, wrong)
    converted, refused = ran.answers
    assert "T00:00:00+00:00" in json.loads(converted.text)["target"]["datetime"]
    assert refused.is_error
    assert "Invalid timezone" in refused.text
    [started] = ran.events("skillStarting")
    assert started["args"] == ["--", pypi("mcp-server-time")]


@pytest.mark.skipif(shutil.which("git") is None, reason="the server needs git")
async def test_a_repository_is_read_by_a_package_of_pypi(servers: Servers, tmp_path: Path):
    repository = tmp_path / "repository"
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
    commit = ["git", *who, "commit", "--quiet", "--allow-empty", "--message", "The first of all"]
    await anyio.run_process(["git", "init", "--quiet", str(repository)])
    await anyio.run_process(commit, cwd=repository)
    here, nowhere = (
        call("git_log", repo_path=str(path)) for path in (repository, tmp_path / "nothing")
    )
    ran = await run(tmp_path, servers, config(history()), here, nowhere)
    log, refused = ran.answers
    assert "Author: Ada" in log.text
    assert "Message: The first of all" in log.text
    assert refused.is_error


async def test_a_browser_that_is_not_there_is_an_error_for_the_model(
    servers: Servers, tmp_path: Path
):
    go = call("browser_navigate", url="about:blank")
    ran = await run(tmp_path, servers, config(browser(servers)), go)
    assert ran.ended.code == 0, ran.ended.stderr
    assert len([name for name in ran.tools if name.startswith("browser_")]) > 20
    assert ran.answers[0].is_error
    assert "executable doesn't exist at /none" in ran.answers[0].text


async def test_seven_servers_of_others_serve_one_run_side_by_side(servers: Servers, tmp_path: Path):
    skills = [everything(), exa(), files(tmp_path), docs(servers), browser(servers)]
    skills += [clock(), history()]
    hello, list_ = call("echo", message="hello"), call("list_directory", path=str(tmp_path))
    ran = await run(tmp_path, servers, config(*skills), hello, list_)
    assert ran.ended.code == 0, ran.ended.stderr
    firsts = {"echo", "web_search_exa", "read_text_file", "resolve-library-id", "convert_time"}
    assert {*firsts, "browser_navigate", "git_log"} <= ran.tools.keys()
    assert "perstack.toml" in ran.answers[1].text
    assert len(ran.events("skillConnected")) == len(skills)
    ends = ran.events("skillDisconnected")
    assert len(ends) == len(skills)
    assert not [event for event in ends if event.get("reason")]


@pytest.mark.hostile
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends what a killed run started")
@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
async def test_what_npx_and_uvx_started_ends_with_a_run_that_is_killed(
    servers: Servers, tmp_path: Path, ending: signal.Signals
):
    long = call("trigger-long-running-operation", duration=600)
    async with running(tmp_path, servers, config(everything(), clock()), long) as one:
        await one.events(until="callTools")
        started = processes_of(tmp_path)
        one.process.send_signal(ending)
        await one.process.wait()
    assert len(started) > 4  # perstack, npx and uvx, and what those two started
    assert not left_of(tmp_path)
