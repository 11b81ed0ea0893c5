"""MCP skills whose tools are locked: offered with no server up, started by a call, held to it."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from perstack.schema.event import (
    RuntimeEvent,
    SkillConnected,
    SkillDisconnected,
    SkillReported,
    SkillStarting,
)
from perstack.schema.message import TextPart
from perstack.schema.skill import McpStdioSkill
from perstack.schema.tool import BASE_TOOLS, OUTCOME_UNKNOWN, ToolOutput
from perstack.skills.mcp import Patience, Surroundings
from perstack.skills.mcp.changes import Locked
from perstack.skills.mcp.protocol import ServerTool
from perstack.skills.mcp.skill import MAX_RESTARTS
from perstack.skills.mcp.skills import McpSkills

pytestmark = pytest.mark.anyio

HOSTILE = Path(__file__).with_name("hostile_server.py")
CHANGING = Path(__file__).with_name("changing_server.py")
ENVIRON = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
PATIENCE = Patience(stop=1.0)


def hostile(*modes: str, pick: tuple[str, ...] = (), trusted: bool = False) -> McpStdioSkill:
    return McpStdioSkill(
        command=sys.executable, args=(str(HOSTILE), *modes), pick=pick, trusted=trusted
    )


def changing(folder: Path) -> McpStdioSkill:
    return McpStdioSkill(command=sys.executable, args=(str(CHANGING), str(folder / "starts")))


def starts(folder: Path) -> int:
    return int((folder / "starts").read_text())


def tool(name: str, description: str = "A tool.") -> ServerTool:
    return ServerTool(name, description, {"type": "object"}, {})


def text(output: ToolOutput) -> str:
    return "\n".join(part.text for part in output.contents if isinstance(part, TextPart))


class Told(list[RuntimeEvent]):
    """What was noted, in order."""

    async def note(self, event: RuntimeEvent) -> None:
        self.append(event)

    @property
    def kinds(self) -> list[type]:
        return [type(event) for event in self if not isinstance(event, SkillReported)]

    @property
    def warnings(self) -> str:
        own = [event for event in self if isinstance(event, SkillReported)]
        return "\n".join(event.message for event in own if event.source == "runtime")


@asynccontextmanager
async def opened(
    told: Told, folder: Path, locked: dict[str, Locked], **skills: McpStdioSkill
) -> AsyncGenerator[McpSkills]:
    with anyio.fail_after(60):
        async with McpSkills(
            skills,
            Surroundings(folder, ENVIRON, told.note, patience=PATIENCE),
            taken=BASE_TOOLS,
            locked=locked,
        ) as source:
            yield source


async def lock_of(folder: Path, **skills: McpStdioSkill) -> dict[str, Locked]:
    """What these offer, as `perstack install` sees it."""
    async with opened(Told(), folder, {}, **skills) as source:
        return {name: Locked(skill.offer.tools) for name, skill in source.skills.items()}


async def test_tools_are_those_of_a_run_without_a_lock_and_no_server_is_started(tmp_path: Path):
    skills = {"a": hostile("names"), "b": hostile(pick=("echo", "env"))}
    locked = await lock_of(tmp_path, **skills)
    async with opened(Told(), tmp_path, {}, **skills) as source:
        unlocked = source.tools()
    told = Told()
    async with opened(told, tmp_path, locked, **skills) as source:
        assert source.tools() == unlocked
    assert told.kinds == []
    assert "'exec' is offered as a__exec" in told.warnings


async def test_a_server_that_is_never_called_is_never_started(tmp_path: Path):
    never = McpStdioSkill(command="no-such-program", args=())
    told = Told()
    async with opened(told, tmp_path, {"a": Locked((tool("x"),))}, a=never) as source:
        assert [each.name for each in source.tools()] == ["x"]
    assert told == []


async def test_the_first_call_starts_the_server_and_the_next_find_it_up(tmp_path: Path):
    locked = await lock_of(tmp_path, a=changing(tmp_path))
    (tmp_path / "starts").unlink()
    told = Told()
    async with opened(told, tmp_path, locked, a=changing(tmp_path)) as source:
        assert told == []
        for _ in range(2):
            assert text(await source.call("starts", {})) == "1"
    assert told.kinds == [SkillStarting, SkillConnected, SkillDisconnected]
    assert told.warnings == ""


async def test_first_calls_at_once_start_it_once(tmp_path: Path):
    locked = await lock_of(tmp_path, a=changing(tmp_path))
    (tmp_path / "starts").unlink()
    answers: list[str] = []

    async def ask(source: McpSkills) -> None:
        answers.append(text(await source.call("starts", {})))

    async with (
        opened(Told(), tmp_path, locked, a=changing(tmp_path)) as source,
        anyio.create_task_group() as tasks,
    ):
        for _ in range(10):
            tasks.start_soon(ask, source)
    assert answers == ["1"] * 10


async def test_a_call_starts_its_own_server_alone(tmp_path: Path):
    skills = {"a": hostile(), "b": hostile()}
    locked = await lock_of(tmp_path, **skills)
    told = Told()
    async with opened(told, tmp_path, locked, **skills) as source:
        assert text(await source.call("b__echo", {"x": 1})) == '{"x": 1}'
    starting = [event.skill_name for event in told if isinstance(event, SkillStarting)]
    assert starting == ["b"]


async def test_a_skill_that_is_not_locked_is_started_at_once_beside_one_that_is(tmp_path: Path):
    locked = await lock_of(tmp_path, a=hostile())
    told = Told()
    async with opened(told, tmp_path, locked, a=hostile(), b=hostile()) as source:
        assert {each.skill_name for each in source.tools()} == {"a", "b"}
        connected = [event.skill_name for event in told if isinstance(event, SkillConnected)]
        assert connected == ["b"]


@pytest.mark.hostile
async def test_row_51_a_tool_that_is_not_the_locked_one_is_refused_and_the_others_work(
    tmp_path: Path,
):
    locked = await lock_of(tmp_path, a=changing(tmp_path))
    told = Told()
    async with opened(told, tmp_path, locked, a=changing(tmp_path)) as source:
        before = source.tools()
        changed = await source.call("sly", {})
        gone = await source.call("brief", {})
        assert text(await source.call("starts", {})) == "2"
        assert source.tools() == before
    assert changed.is_error
    assert "its description was" in text(changed)
    assert gone.is_error
    assert "no more" in text(gone)
    assert "'sly' is refused. It is another tool now: its description was" in told.warnings
    assert "`perstack install --frozen` shows the difference" in told.warnings
    assert "ssh" not in told.warnings + text(changed)


async def test_a_restart_is_held_to_the_lock_as_well(tmp_path: Path):
    locked = await lock_of(tmp_path, a=changing(tmp_path))
    (tmp_path / "starts").unlink()
    told = Told()
    async with opened(told, tmp_path, locked, a=changing(tmp_path)) as source:
        assert text(await source.call("sly", {})) == "1"
        assert OUTCOME_UNKNOWN in text(await source.call("die", {}))
        assert (await source.call("sly", {})).is_error
        for _ in range(MAX_RESTARTS):
            await source.call("die", {})
        assert "not running" in text(await source.call("starts", {}))
    assert starts(tmp_path) == MAX_RESTARTS + 1
    lost = [event.tools_lost for event in told if isinstance(event, SkillDisconnected)]
    assert lost == [False] * MAX_RESTARTS + [True]


async def test_a_tool_that_the_lock_does_not_know_is_not_offered(tmp_path: Path):
    locked = {"a": Locked((tool("echo", "The tool echo."),))}
    async with opened(Told(), tmp_path, locked, a=hostile()) as source:
        assert text(await source.call("echo", {})) == "{}"
        assert [each.name for each in source.tools()] == ["echo"]
        assert (await source.call("env", {})).is_error


@pytest.mark.hostile
async def test_a_lock_offers_nothing_that_pick_omit_or_a_schema_forbids(tmp_path: Path):
    remote = tool("far")._replace(input_schema={"$ref": "https://example.com/schema"})
    listed = (tool("echo"), tool("env"), tool("echo", "Another."), tool(""), remote)
    told = Told()
    skill = hostile(pick=("echo", "far", ""))
    async with opened(told, tmp_path, {"a": Locked(listed)}, a=skill) as source:
        assert [(each.name, each.description) for each in source.tools()] == [("echo", "A tool.")]
        assert (await source.call("env", {})).is_error
    assert told.kinds == []
    assert "'echo' is listed twice" in told.warnings
    assert "'far' is left out" in told.warnings


async def test_a_server_that_cannot_start_fails_the_call_and_is_not_tried_again(tmp_path: Path):
    told = Told()
    locked = {"a": Locked((tool("x"),))}
    async with opened(told, tmp_path, locked, a=hostile("exit")) as source:
        for _ in range(2):
            answer = await source.call("x", {})
            assert answer.is_error
            assert "The skill a is not running: The server ended with status 3." in text(answer)
    assert told.kinds.count(SkillStarting) == 1
    assert [event.tools_lost for event in told if isinstance(event, SkillDisconnected)] == [True]


async def test_what_a_trusted_server_says_of_effects_is_taken_from_the_lock(tmp_path: Path):
    reads = tool("echo", "The tool echo.")._replace(annotations={"readOnlyHint": True})
    for trusted, effect in ((True, "none"), (False, "unknown")):
        told = Told()
        skill = hostile(trusted=trusted)
        async with opened(told, tmp_path, {"a": Locked((reads,))}, a=skill) as source:
            assert [each.effect for each in source.tools()] == [effect]
            answer = await source.call("echo", {})  # the server says nothing of that
        assert "its set of annotations was" in text(answer)


async def test_a_lock_that_keeps_less_is_compared_by_what_it_keeps(tmp_path: Path):
    schema = {"type": "object", "maximum": 2**60, "default": None}
    kept = tool("echo", "The tool echo.")._replace(input_schema=schema, annotations={"x": 1})
    other = tool("fail", "Another description.")
    locked = {"a": Locked((kept, other), is_exact=False)}
    async with opened(Told(), tmp_path, locked, a=hostile()) as source:
        assert text(await source.call("echo", {})) == "{}"
        assert "its description was" in text(await source.call("fail", {}))


@pytest.mark.parametrize("is_starting", [True, False])
async def test_a_call_that_waits_for_the_first_start_ends_when_the_run_does(
    tmp_path: Path, is_starting: bool
):
    began = anyio.Event()
    answers: list[str] = []

    async def note(event: RuntimeEvent) -> None:
        began.set()

    async def ask(source: McpSkills) -> None:
        answers.append(text(await source.call("x", {})))

    skills = McpSkills(
        {"a": hostile("hang-initialize")},
        Surroundings(tmp_path, ENVIRON, note, patience=PATIENCE),
        taken=(),
        locked={"a": Locked((tool("x"),))},
    )
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks, skills as source:
            tasks.start_soon(ask, source)
            await (began.wait() if is_starting else anyio.lowlevel.checkpoint())
    assert answers == ["The skill a is not running: It was ended."]
    assert began.is_set() == is_starting


async def test_a_call_after_the_end_starts_nothing(tmp_path: Path):
    told = Told()
    async with opened(told, tmp_path, {"a": Locked((tool("x"),))}, a=hostile()) as source:
        pass
    with anyio.fail_after(10):
        assert (await source.call("x", {})).is_error
    assert told == []
