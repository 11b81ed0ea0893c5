"""`perstack run` with Experts whose skills are MCP servers, each a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import anyio
import anyio.to_thread
import pytest

from cli.process import PERSTACK, QUIET, Ended
from perstack.testing import serve_model
from perstack.testing.model_server import ModelServer
from perstack.testing.scenario import CallSpec, ReplySpec

pytestmark = pytest.mark.anyio

SERVERS = Path(__file__).parents[1] / "skills/mcp"
Process: TypeAlias = "subprocess.Popen[bytes]"
DONE = ReplySpec(text="Done.")


def skill(name: str, *args: str, expert: str = "worker", more: str = "") -> str:
    """The table of a skill that is one of the test servers."""
    words = json.dumps([str(SERVERS / args[0]), *args[1:]])
    return (
        f'\n[experts.{expert}.skills.{name}]\ntype = "mcpStdioSkill"\n'
        f"command = {json.dumps(sys.executable)}\nargs = {words}\n{more}\n"
    )


def config(*skills: str) -> str:
    return '[experts.worker]\ninstruction = "Work."\n' + "".join(skills)


def call(name: str, **args: object) -> ReplySpec:
    return ReplySpec(calls=(CallSpec(name=name, args=args),))


async def run(
    folder: Path,
    server: ModelServer,
    text: str,
    env: dict[str, str] | None = None,
    words: tuple[str, ...] = (),
) -> Ended:
    """`perstack run worker` in `folder`, to its end."""
    (folder / "perstack.toml").write_text(text)
    with anyio.fail_after(120):
        ended = await anyio.run_process(
            [str(PERSTACK), "run", "worker", "Go", *words],
            cwd=folder,
            env=QUIET | server.variables | (env or {}),
            check=False,
        )
    return Ended(ended.returncode, ended.stdout.decode(), ended.stderr.decode())


def tools_of(server: ModelServer, request: int = 0) -> dict[str, dict[str, Any]]:
    tools: Any = server.requests[request].json["tools"]
    return {tool["name"]: tool for tool in tools}


def answers_of(ended: Ended) -> list[str]:
    """The texts of the tools' answers, in order."""
    return [
        "".join(part.get("text", "") for part in event["toolResult"]["result"])
        for event in ended.events
        if event["type"] == "completeToolCall"
    ]


async def test_a_declared_server_is_started_listed_called_and_ended(tmp_path: Path):
    async with serve_model([call("echo", x=1), DONE]) as server:
        ended = await run(tmp_path, server, config(skill("tools", "hostile_server.py")))
    assert ended.code == 0, ended.stderr
    assert tools_of(server)["echo"]["input_schema"] == {"type": "object"}
    assert tools_of(server)["echo"]["description"] == "The tool echo."
    assert answers_of(ended) == ['{"x": 1}']
    assert "warning" not in ended.stderr
    types = [kind for kind in ended.types if not kind.startswith(("start", "complete", "resolve"))]
    assert types[:3] == ["initializeRuntime", "skillStarting", "skillConnected"]
    assert ended.types[-1] == "skillDisconnected"
    assert ended.types.index("skillConnected") < ended.types.index("callTools")
    sequence = [event["seq"] for event in ended.events if "seq" in event]
    assert sequence == list(range(1, len(sequence) + 1))


async def test_events_of_a_run_with_skills_can_be_had_in_the_full_form(tmp_path: Path):
    async with serve_model([DONE]) as server:
        text = config(skill("tools", "hostile_server.py", "exit"))
        ended = await run(tmp_path, server, text, words=("--events", "full"))
    last = ended.events[-1]
    gone = next(event for event in ended.events if event["type"] == "skillDisconnected")
    assert gone["skillName"] == "tools"
    assert not {"reason", "toolsLost", "seq"} & (gone.keys() | last.keys())


async def test_a_tool_that_was_omitted_cannot_be_called_by_a_model_that_obeys_a_page(
    tmp_path: Path,
):
    text = config(skill("tools", "hostile_server.py", more='omit = ["env"]'))
    async with serve_model([call("env"), DONE]) as server:
        ended = await run(tmp_path, server, text)
    assert "env" not in tools_of(server)
    assert "There is no tool named env" in answers_of(ended)[0]
    assert "PATH" not in answers_of(ended)[0]


async def test_a_server_that_cannot_start_leaves_the_run_going_and_the_model_is_told(
    tmp_path: Path,
):
    text = config(skill("broken", "hostile_server.py", "exit"), skill("tools", "hostile_server.py"))
    async with serve_model([call("echo"), DONE]) as server:
        ended = await run(tmp_path, server, text)
    assert ended.code == 0
    for request in server.requests:
        prompt = json.dumps(request.json["system"])
        assert "broken: The server ended with status 3." in prompt
        assert "fatal: no such thing" not in prompt
    assert answers_of(ended) == ["{}"]
    lost = next(event for event in ended.events if event.get("toolsLost"))
    assert lost["skillName"] == "broken"
    assert "fatal: no such thing" in lost["reason"]
    assert "the skill broken is lost" in ended.stderr


async def test_a_missing_program_is_named_with_the_way_to_get_it(tmp_path: Path):
    text = config('\n[experts.worker.skills.web]\ntype = "mcpStdioSkill"\ncommand = "npx"\n')
    (tmp_path / "bin").mkdir()
    async with serve_model([DONE]) as server:
        ended = await run(
            tmp_path, server, text + 'packageName = "exa-mcp-server"\n', {"PATH": "/nowhere"}
        )
    assert ended.code == 0
    assert "There is no program 'npx' on the PATH" in ended.stderr
    assert "https://nodejs.org" in ended.stderr
    assert "There is no program" in json.dumps(server.requests[0].json["system"])


async def test_a_server_sees_what_it_requires_and_no_other_secret(tmp_path: Path):
    text = config(skill("tools", "hostile_server.py", more='requiredEnv = ["SERVICE_TOKEN"]'))
    env = {"SERVICE_TOKEN": "mine-1234", "OTHER_TOKEN": "not-yours"}
    async with serve_model([call("env"), DONE]) as server:
        ended = await run(tmp_path, server, text, env)
        key = server.variables["ANTHROPIC_API_KEY"]
    [seen] = answers_of(ended)
    assert '"SERVICE_TOKEN":"[SERVICE_TOKEN]"' in seen  # its value, which is hidden
    assert "mine-1234" not in ended.stdout
    assert "not-yours" not in ended.stdout
    assert key not in ended.stdout


async def test_a_delegate_whose_variable_is_missing_is_an_answer_that_names_it(tmp_path: Path):
    delegate = '\n[experts.helper]\ninstruction = "Help."\ndescription = "Helps."\n'
    text = (
        '[experts.worker]\ninstruction = "Work."\ndelegates = ["helper"]\n'
        + delegate
        + skill("web", "hostile_server.py", expert="helper", more='requiredEnv = ["EXA_API_KEY"]')
    )
    async with serve_model([call("helper", query="Go"), DONE]) as server:
        ended = await run(tmp_path, server, text)
    assert ended.code == 0
    assert "skill web needs EXA_API_KEY" in answers_of(ended)[0]


async def test_a_server_that_dies_in_a_call_is_back_for_the_next(tmp_path: Path):
    text = config(skill("tools", "changing_server.py", str(tmp_path / "starts")))
    async with serve_model([call("die"), call("starts"), DONE]) as server:
        ended = await run(tmp_path, server, text)
    died, counted = answers_of(ended)
    assert "outcome is unknown" in died
    assert counted == "2"
    assert ended.types.count("skillStarting") == 2


async def test_a_job_that_goes_on_starts_its_servers_anew(tmp_path: Path):
    text = config(skill("tools", "changing_server.py", str(tmp_path / "starts")))
    async with serve_model([call("starts"), DONE, DONE]) as server:
        await run(tmp_path, server, text)
        again = await run(tmp_path, server, text, words=("--continue",))
    assert again.code == 0, again.stderr
    assert (tmp_path / "starts").read_text() == "2"


async def test_a_run_keeps_its_server_while_it_rests_for_its_delegate(tmp_path: Path):
    text = (
        '[experts.worker]\ninstruction = "Work."\ndelegates = ["helper"]\n'
        '\n[experts.helper]\ninstruction = "Help."\ndescription = "Helps."\n'
        + skill("tools", "changing_server.py", str(tmp_path / "starts"))
        + skill("own", "hostile_server.py", expert="helper")
    )
    replies = [call("starts"), call("helper", query="Go"), call("echo"), DONE]
    async with serve_model([*replies, call("starts"), DONE]) as server:
        ended = await run(tmp_path, server, text)
    assert ended.code == 0, ended.stderr
    assert answers_of(ended).count("1") == 2
    for run_id in {event["runId"] for event in ended.events}:
        sequence = [e["seq"] for e in ended.events if e["runId"] == run_id and "seq" in e]
        assert sequence == list(range(1, len(sequence) + 1))


@asynccontextmanager
async def running(folder: Path, text: str) -> AsyncGenerator[tuple[Process, list[int]]]:
    """A run in the middle of a call, and the processes of its server."""
    (folder / "perstack.toml").write_text(text)
    async with serve_model([call("pid"), call("slow"), DONE]) as server:
        with started(folder, server) as process:
            yield process, await anyio.to_thread.run_sync(_pids, process)


@contextmanager
def started(folder: Path, server: ModelServer) -> Generator[Process]:
    """`perstack run worker`, for the life of a block."""
    process = subprocess.Popen(
        [str(PERSTACK), "run", "worker", "Go"],
        cwd=folder,
        env=QUIET | server.variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _pids(process: Process) -> list[int]:
    """What the server says of its processes, read until its next call is under way."""
    pids: list[int] = []
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line)
        if event["type"] == "completeToolCall":
            [part] = event["toolResult"]["result"]
            pids = json.loads(part["text"])["pids"]
        if event["type"] == "skillReport" and event["message"] == "started":
            return pids
    pytest.fail("the call was never begun")


async def all_gone(pids: list[int]) -> None:
    """Return once none of them runs."""
    with anyio.fail_after(20):
        for pid in pids:
            try:
                watch = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
            try:
                await anyio.wait_readable(watch)
            finally:
                os.close(watch)


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
async def test_no_server_outlives_a_run_that_is_ended(tmp_path: Path, ending: signal.Signals):
    text = config(skill("tools", "hostile_server.py", "orphan"))
    async with running(tmp_path, text) as (process, pids):
        assert len(pids) == 2
        process.send_signal(ending)
        await all_gone(pids)
        code = await anyio.to_thread.run_sync(process.wait)
    assert code == (128 + ending if ending == signal.SIGTERM else -ending)


async def test_a_lazy_skill_is_opened_by_a_call_and_stays_open_when_a_job_goes_on(tmp_path: Path):
    helper = '\n[experts.helper]\ninstruction = "Help."\ndescription = "Helps."\n'
    text = config(
        'delegates = ["helper"]\n', skill("far", "hostile_server.py", more="lazyInit = true")
    )
    text += helper
    replies = [call("open_far"), call("echo", x=1), DONE, call("echo", x=2), DONE]
    async with serve_model(replies) as server:
        ended = await run(tmp_path, server, text)
        again = await run(tmp_path, server, text, words=("--continue",))
    assert "open_far" in tools_of(server)
    assert "echo" not in tools_of(server)
    assert list(tools_of(server, 1))[: len(tools_of(server))] == list(tools_of(server))
    assert "echo" in tools_of(server, 1)
    assert ended.types.index("skillStarting") > ended.types.index("callTools")
    assert answers_of(ended)[1] == '{"x": 1}'
    assert list(tools_of(server, 3)) == list(tools_of(server, 1))
    assert answers_of(again) == ['{"x": 2}']


async def test_a_run_that_moves_again_finds_out_whether_a_lost_skill_is_still_lost(tmp_path: Path):
    counter = tmp_path / "no-such-folder" / "starts"  # without it the server ends at once
    people = '\n[experts.worker.skills.people]\ntype = "interactiveSkill"\n'
    ask = '[experts.worker.skills.people.tools.askUser]\ninputJsonSchema = \'{"type": "object"}\'\n'
    text = config(
        skill("far", "changing_server.py", str(counter), more="lazyInit = true"), people + ask
    )
    async with serve_model([call("open_far"), call("askUser"), DONE]) as server:
        await run(tmp_path, server, text)
        counter.parent.mkdir()
        with anyio.fail_after(120):
            await anyio.run_process(
                [str(PERSTACK), "run", "worker", "--continue", "-i", "Yes."],
                cwd=tmp_path,
                env=QUIET | server.variables,
            )
    lost = ["far: The server ended" in json.dumps(one.json["system"]) for one in server.requests]
    assert lost == [False, True, False]
    assert "starts" in tools_of(server, 2)


@pytest.mark.parametrize(
    ("trusted", "said", "calls"), [("true", "read is done", 2), ("false", "outcome is unknown", 1)]
)
async def test_a_call_cut_short_by_a_killed_runtime_is_repeated_for_a_trusted_server_alone(
    tmp_path: Path, trusted: str, said: str, calls: int
):
    log = tmp_path / "calls"
    more = f"trusted = {trusted}"
    text = config(skill("tools", "dying_server.py", "1", str(log), "kill", more=more))
    async with serve_model([call("read"), DONE]) as server:
        killed = await run(tmp_path, server, text)
        with anyio.fail_after(120):
            gone_on = await anyio.run_process(
                [str(PERSTACK), "run", "worker", "--continue"],
                cwd=tmp_path,
                env=QUIET | server.variables,
                check=False,
            )
    ended = Ended(gone_on.returncode, gone_on.stdout.decode(), gone_on.stderr.decode())
    assert killed.code == -signal.SIGKILL
    assert ended.code == 0, ended.stderr
    assert said in answers_of(ended)[0]
    assert len(log.read_text().splitlines()) == calls
