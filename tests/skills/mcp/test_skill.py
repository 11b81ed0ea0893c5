"""The MCP skills of a run, with real servers: tools, names, trouble, restarts, and the end."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from perstack.schema.event import (
    RuntimeEvent,
    SkillConnected,
    SkillDisconnected,
    SkillReported,
    SkillStarting,
    SkillStderr,
)
from perstack.schema.message import ImageInlinePart, Json, TextPart
from perstack.schema.skill import McpStdioSkill
from perstack.schema.tool import BASE_TOOLS, OUTCOME_UNKNOWN, ToolOutput
from perstack.skills.mcp import Patience, Surroundings
from perstack.skills.mcp.skill import MAX_RESTARTS
from perstack.skills.mcp.skills import McpSkills

pytestmark = pytest.mark.anyio

HOSTILE = Path(__file__).with_name("hostile_server.py")
CHANGING = Path(__file__).with_name("changing_server.py")
ENVIRON = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "ANTHROPIC_API_KEY": "sk-provider"}


def hostile(*modes: str, **more: Any) -> McpStdioSkill:
    return McpStdioSkill(command=sys.executable, args=(str(HOSTILE), *modes), **more)


def changing(counter: Path) -> McpStdioSkill:
    return McpStdioSkill(command=sys.executable, args=(str(CHANGING), str(counter)))


PATIENT = Patience()


class Told(list[RuntimeEvent]):
    """What was noted, in order."""

    async def note(self, event: RuntimeEvent) -> None:
        self.append(event)

    def of(self, skill: str) -> list[RuntimeEvent]:
        return [event for event in self if getattr(event, "skill_name", "") == skill]

    def reasons(self) -> list[str]:
        return [event.reason or "" for event in self if isinstance(event, SkillDisconnected)]

    def warnings(self) -> str:
        own = [event for event in self if isinstance(event, SkillReported)]
        return "\n".join(event.message for event in own if event.source == "runtime")


@asynccontextmanager
async def opened(
    told: Told,
    folder: Path,
    environ: dict[str, str] = ENVIRON,
    patience: Patience = PATIENT,
    **skills: McpStdioSkill,
) -> AsyncGenerator[McpSkills]:
    with anyio.fail_after(60):
        async with McpSkills(
            skills,
            Surroundings(folder, environ, told.note, patience=patience),
            taken=BASE_TOOLS,
        ) as source:
            yield source


def text(output: ToolOutput) -> str:
    return "\n".join(part.text for part in output.contents if isinstance(part, TextPart))


async def pids_of(source: McpSkills) -> list[int]:
    found: Json = json.loads(text(await source.call("pid", {})))
    pids = found["pids"]
    assert isinstance(pids, list)
    return [int(str(pid)) for pid in pids]


def is_gone(pid: int) -> bool:
    try:
        return Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


async def test_what_else_there_is_to_do_is_done_while_the_servers_start(tmp_path: Path):
    told = Told()
    seen: list[list[type[RuntimeEvent]]] = []

    def meanwhile() -> None:
        seen.append([type(event) for event in told])

    around = Surroundings(tmp_path, ENVIRON, told.note, meanwhile=meanwhile)
    skills = {"a": hostile(), "b": hostile(), "gone": McpStdioSkill(command="/nonexistent/x")}
    with anyio.fail_after(60):
        async with McpSkills(skills, around, taken=BASE_TOOLS):
            pass
    (before,) = seen
    assert before.count(SkillStarting) == 3
    assert SkillConnected not in before


async def test_a_server_is_started_listed_called_and_ended_in_that_order(tmp_path: Path):
    told = Told()
    async with opened(told, tmp_path, a=hostile()) as source:
        tools = {tool.name: tool for tool in source.tools()}
        assert tools["echo"].skill_name == "a"
        assert tools["echo"].input_schema == {"type": "object"}
        assert tools["echo"].effect == "unknown"
        assert text(await source.call("echo", {"x": 1})) == '{"x": 1}'
        [image] = (await source.call("image", {})).contents
        assert isinstance(image, ImageInlinePart)
        failed = await source.call("fail", {})
        assert failed.is_error
        assert text(failed) == "it failed"
    assert [type(event) for event in told] == [SkillStarting, SkillConnected, SkillDisconnected]
    assert told.reasons() == [""]


async def test_the_events_of_a_start_hold_the_command_and_no_variable(tmp_path: Path):
    told = Told()
    environ = {**ENVIRON, "SERVICE_KEY": "a-secret-of-mine"}
    async with opened(told, tmp_path, environ, a=hostile(required_env=("SERVICE_KEY",))):
        pass
    first = told[0]
    assert isinstance(first, SkillStarting)
    assert first.command == sys.executable
    assert first.args == (str(HOSTILE),)
    assert "a-secret-of-mine" not in str(told)


async def test_a_server_gets_what_it_requires_and_never_the_provider_key(tmp_path: Path):
    environ = {**ENVIRON, "SERVICE_KEY": "a-secret-of-mine", "OTHER": "x"}
    async with opened(
        Told(), tmp_path, environ, a=hostile(required_env=("SERVICE_KEY",))
    ) as source:
        seen = text(await source.call("env", {}))
    assert '"SERVICE_KEY":"[SERVICE_KEY]"' in seen
    assert "sk-provider" not in seen
    assert "OTHER" not in seen


async def test_a_tool_left_out_by_pick_or_omit_is_neither_listed_nor_called(tmp_path: Path):
    told = Told()
    one, other = hostile(pick=("echo", "typo")), hostile(omit=("env",))
    async with opened(told, tmp_path, a=one, b=other) as source:
        names = {tool.name for tool in source.tools()}
        assert [tool.name for tool in source.tools() if tool.skill_name == "a"] == ["echo"]
        assert "b__echo" in names
        for refused in ("env", "b__env", "a__fail"):
            assert refused not in names
            assert (await source.call(refused, {})).is_error
    assert "'typo'" in told.warnings()


async def test_no_tool_takes_the_name_of_another_and_each_change_is_told(tmp_path: Path):
    told = Told()
    async with opened(told, tmp_path, a=hostile("names"), b=hostile()) as source:
        names = [tool.name for tool in source.tools()]
        assert len(names) == len(set(names))
        assert not set(names) & set(BASE_TOOLS)
        assert {"a__exec", "echo", "b__echo"} <= set(names)
        assert all(name.isascii() and len(name) <= 64 and " " not in name for name in names)
        assert text(await source.call("b__echo", {"x": 1})) == '{"x": 1}'
    assert "'echo' is offered as b__echo" in told.warnings()
    assert "'twin' is listed twice" in told.warnings()


async def test_a_server_that_fails_takes_no_other_down_and_its_reason_is_told(tmp_path: Path):
    told = Told()
    missing = McpStdioSkill(command="no-such-program", args=())
    ends, strange = hostile("exit"), hostile("future")
    async with opened(told, tmp_path, a=ends, b=hostile(), c=missing, d=strange) as source:
        assert {tool.skill_name for tool in source.tools()} == {"b"}
    lost = {
        event.skill_name: event.reason or ""
        for event in told
        if isinstance(event, SkillDisconnected) and event.tools_lost
    }
    assert lost.keys() == {"a", "c", "d"}
    assert lost["a"].startswith("The server ended with status 3.\nIt printed:\nfatal")
    assert "no program 'no-such-program' on the PATH" in lost["c"]
    assert "2099-01-01" not in lost["d"].partition("\n")[0]


@pytest.mark.parametrize("mode", ["hang-initialize", "hang-list"])
async def test_a_server_that_hangs_is_given_up(tmp_path: Path, mode: str):
    told = Told()
    patience = Patience(start=0.5, listing=0.5, stop=0.5)
    async with opened(told, tmp_path, patience=patience, a=hostile(mode)) as source:
        assert not source.tools()
    assert "within 0.5 seconds" in told.reasons()[0]


async def test_a_call_that_hangs_has_an_unknown_outcome_and_the_server_lives(tmp_path: Path):
    patience = Patience(call=0.5, stop=0.5)
    async with opened(Told(), tmp_path, patience=patience, a=hostile()) as source:
        late = await source.call("slow", {})
        assert late.is_error
        assert OUTCOME_UNKNOWN in text(late)
        assert text(await source.call("echo", {})) == "{}"


async def test_a_server_that_dies_in_a_call_is_started_anew_by_the_next(tmp_path: Path):
    told = Told()
    async with opened(told, tmp_path, a=changing(tmp_path / "starts")) as source:
        died = await source.call("die", {})
        assert died.is_error
        assert OUTCOME_UNKNOWN in text(died)
        assert text(await source.call("starts", {})) == "2"
    kinds = [type(event) for event in told if not isinstance(event, SkillReported)]
    assert kinds == [SkillStarting, SkillConnected, SkillDisconnected] * 2
    assert told.reasons() == ["The server ended with status 9.", ""]


async def test_a_call_under_way_when_a_server_closes_its_input_has_an_unknown_outcome(
    tmp_path: Path,
):
    told, answers = Told(), list[str]()
    async with opened(told, tmp_path, a=hostile("closed-in")) as source:

        async def call() -> None:
            answers.append(text(await source.call("echo", {})))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            while not any(isinstance(event, SkillReported) for event in told):
                await anyio.lowlevel.checkpoint()
            tasks.start_soon(call)
    assert answers == [f"{OUTCOME_UNKNOWN}\nThe server hung up."] * 2


@pytest.mark.parametrize("turns", range(8))
async def test_closing_answers_a_call_that_waits_for_a_restart(tmp_path: Path, turns: int):
    told, answers = Told(), list[str]()
    with anyio.fail_after(20):
        async with opened(told, tmp_path, a=hostile("exit-call")) as source:
            skill = source.skills["a"]

            async def call() -> None:
                answers.append(text(await skill.call("echo", {})))

            await call()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call)
                for _ in range(turns):
                    await anyio.lowlevel.checkpoint()
                skill.close()
    assert "status 7" in answers[0]
    assert len(answers) == 2


async def test_a_server_that_died_between_calls_costs_one_call_at_most(tmp_path: Path):
    async with opened(Told(), tmp_path, a=changing(tmp_path / "starts")) as source:
        await source.call("leave", {})
        answers = [await source.call("starts", {}) for _ in range(2)]
        assert text(answers[1]) == "2"
        assert text(answers[0]) == "2" or OUTCOME_UNKNOWN in text(answers[0])


async def test_a_server_is_started_anew_so_often_and_no_more(tmp_path: Path):
    told = Told()
    async with opened(told, tmp_path, a=changing(tmp_path / "starts")) as source:
        for _ in range(MAX_RESTARTS + 1):
            assert OUTCOME_UNKNOWN in text(await source.call("die", {}))
        refused = await source.call("starts", {})
        assert refused.is_error
        assert "not running" in text(refused)
    assert (tmp_path / "starts").read_text() == str(MAX_RESTARTS + 1)
    ends = [event.tools_lost for event in told if isinstance(event, SkillDisconnected)]
    assert ends == [False] * MAX_RESTARTS + [True]


async def test_many_calls_of_a_dead_server_start_one(tmp_path: Path):
    answers: list[str] = []

    async def ask(source: McpSkills) -> None:
        answers.append(text(await source.call("starts", {})))

    async with opened(Told(), tmp_path, a=changing(tmp_path / "starts")) as source:
        await source.call("die", {})
        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(ask, source)
    assert answers == ["2"] * 10


async def test_a_tool_that_changed_with_a_restart_is_refused_with_the_difference(tmp_path: Path):
    told = Told()
    async with opened(told, tmp_path, a=changing(tmp_path / "starts")) as source:
        assert text(await source.call("sly", {})) == "1"
        before = source.tools()
        await source.call("die", {})
        changed = await source.call("sly", {})
        gone = await source.call("brief", {})
        assert source.tools() == before
    assert changed.is_error
    assert "description was" in text(changed)
    assert "no more" in text(gone)
    assert "'sly' is refused" in told.warnings()
    assert "ssh" not in told.warnings()


async def test_tools_that_a_server_changes_are_refused_before_the_next_call(tmp_path: Path):
    told = Told()
    async with opened(told, tmp_path, a=changing(tmp_path / "starts")) as source:
        before = source.tools()
        assert text(await source.call("turn", {})) == "1"
        both: list[str] = []

        async def call(name: str) -> None:
            both.append(text(await source.call(name, {})))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call, "sly")
            tasks.start_soon(call, "brief")
        assert text(await source.call("starts", {})) == "1"
        assert source.tools() == before
    assert all(answer.startswith("The tool is refused. ") for answer in both)
    assert told.warnings().count("'sly' is refused") == 1


@pytest.mark.hostile
async def test_tools_that_changed_are_refused_though_the_server_would_not_list_them_at_first(
    tmp_path: Path,
):
    async with opened(Told(), tmp_path, a=changing(tmp_path / "starts")) as source:
        await source.call("sulk", {})
        answers = [text(await source.call("sly", {})) for _ in range(2)]
    assert "The call was not made." in answers[0]
    assert answers[1].startswith("The tool is refused. ")


async def test_stderr_is_noted_within_bounds_and_without_secrets(tmp_path: Path):
    told = Told()
    environ = {**ENVIRON, "SERVICE_KEY": "a-secret-of-mine"}
    script = "import os, sys; sys.exit('key ' + os.environ['SERVICE_KEY'])"
    loud = hostile("stderr-chat")
    leaky = McpStdioSkill(
        command=sys.executable, args=("-c", script), required_env=("SERVICE_KEY",)
    )
    async with opened(told, tmp_path, environ, loud=loud, leaky=leaky):
        pass
    lines = [event.message for event in told.of("loud") if isinstance(event, SkillStderr)]
    assert len(lines) <= 201
    assert any("left out" in line for line in lines)
    assert "a-secret-of-mine" not in str(told)
    assert "[SERVICE_KEY]" in str(told)


async def test_what_a_server_logs_and_how_far_it_has_come_are_events(tmp_path: Path):
    told = Told()
    async with opened(told, tmp_path, a=hostile("log", "progress")) as source:
        await source.call("echo", {})
    said = [(event.level, event.message) for event in told if isinstance(event, SkillReported)]
    assert said == [("info", "one"), ("error", '{"two":2}'), ("progress", "1/2 half")]


async def test_leaving_ends_every_server_and_what_it_started_side_by_side(tmp_path: Path):
    patience = Patience(stop=1.0)
    slow = hostile("hang-shutdown", "orphan")
    async with opened(Told(), tmp_path, patience=patience, a=slow, b=slow, c=slow) as source:
        pids = await pids_of(source)
        assert len(pids) == 2
        began = anyio.current_time()
    assert anyio.current_time() - began < 3 * patience.stop
    assert all(is_gone(pid) for pid in pids)


async def test_a_cancelled_start_leaves_no_server_and_notes_its_end(tmp_path: Path):
    told = Told()
    with anyio.CancelScope() as scope:

        async def note(event: RuntimeEvent) -> None:
            told.append(event)
            if isinstance(event, SkillConnected):
                scope.cancel()

        skills = {"a": hostile(), "b": hostile("hang-initialize")}
        around = Surroundings(tmp_path, ENVIRON, note, patience=Patience(stop=0.5))
        async with McpSkills(skills, around, taken=()):
            pytest.fail("it was opened")
    assert scope.cancelled_caught
    assert told.reasons() == ["", ""]


async def test_a_server_that_is_given_up_before_it_may_start_leaves_no_word(tmp_path: Path):
    told, asked = Told(), list[int]()

    async def admit(servers: int) -> None:
        asked.append(servers)
        await anyio.sleep_forever()

    around = Surroundings(tmp_path, ENVIRON, told.note, admit)
    with anyio.move_on_after(0.1) as scope:
        async with McpSkills({"a": hostile(), "b": hostile()}, around, taken=()):
            pytest.fail("it was opened")
    assert scope.cancelled_caught
    assert asked == [2, 2]
    assert told == []


async def test_a_tool_that_is_none_is_not_offered(tmp_path: Path):
    told = Told()
    async with opened(told, tmp_path, a=hostile("not-tools", pick=("echo",))) as source:
        assert [tool.name for tool in source.tools()] == ["echo"]


async def test_a_tool_whose_schema_vendors_refuse_is_left_out_or_told_in_another(tmp_path: Path):
    told = Told()
    async with opened(told, tmp_path, a=hostile("schemas")) as source:
        schemas = {tool.name: tool.input_schema for tool in source.tools()}
    assert [name for name in schemas if name.startswith("schema")] == ["schema4"]
    properties = {"a": {"type": "string"}}
    assert schemas["schema4"] == {"type": "object", "properties": properties, "required": ["a"]}
    for number, word in enumerate(("'properties'", "'type'", "'required'", "has not")):
        assert f"'schema{number}' is left out: its schema" in told.warnings()
        assert word in told.warnings()


@pytest.mark.hostile
async def test_an_argument_that_vendors_refuse_by_its_name_is_offered_under_another(tmp_path: Path):
    told = Told()
    safe = ["_filter_2", "_filter", "page_size_", "n" * 64, "ok.-_1", "_"]
    async with opened(told, tmp_path, a=hostile("arguments", pick=("echo",))) as source:
        [tool] = source.tools()
        assert tool.input_schema["properties"] == {name: {"type": "string"} for name in safe}
        assert tool.input_schema["required"] == safe
        answer = text(await source.call("echo", {name: name for name in safe}))
    server = {"$filter": "_filter_2", "_filter": "_filter", "page[size]": "page_size_"}
    assert json.loads(answer) == server | {"n" * 65: "n" * 64, "ok.-_1": "ok.-_1", "": "_"}
    assert "The argument '$filter' of the tool 'echo' is offered as _filter_2" in told.warnings()


FLOODS: dict[str, Callable[[str], bool]] = {
    "long-line": lambda said: "16 MiB" in said,
    "garbage-storm": lambda said: OUTCOME_UNKNOWN in said,
    "exit-call": lambda said: OUTCOME_UNKNOWN in said and "out of cheese" in said,
}


@pytest.mark.parametrize("mode", FLOODS)
async def test_a_hostile_answer_is_an_error_for_the_model(tmp_path: Path, mode: str):
    async with opened(Told(), tmp_path, a=hostile(mode)) as source:
        answer = await source.call("echo", {})
    assert answer.is_error
    assert FLOODS[mode](text(answer))
