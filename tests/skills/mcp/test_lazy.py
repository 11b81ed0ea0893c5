"""Lazy skills without a lock: one tool opens each, and its own tools come behind all others."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from perstack.schema.event import RuntimeEvent, SkillDisconnected, SkillStarting
from perstack.schema.message import TextPart
from perstack.schema.skill import McpStdioSkill
from perstack.schema.tool import BASE_TOOLS, ToolOutput
from perstack.skills.mcp import Patience, Surroundings
from perstack.skills.mcp.changes import Locked
from perstack.skills.mcp.protocol import ServerTool
from perstack.skills.mcp.skills import McpSkills

pytestmark = pytest.mark.anyio

HOSTILE = Path(__file__).with_name("hostile_server.py")
ENVIRON = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}


def server(*modes: str, is_lazy: bool = True, pick: tuple[str, ...] = ("echo",)) -> McpStdioSkill:
    return McpStdioSkill(
        command=sys.executable,
        args=(str(HOSTILE), *modes),
        description="Gives back what it gets.",
        pick=pick,
        lazy_init=is_lazy,
    )


class Told(list[RuntimeEvent]):
    async def note(self, event: RuntimeEvent) -> None:
        self.append(event)

    @property
    def started(self) -> list[str]:
        return [event.skill_name for event in self if isinstance(event, SkillStarting)]


@asynccontextmanager
async def offered(
    told: Told,
    folder: Path,
    skills: dict[str, McpStdioSkill],
    *,
    opened: Sequence[str] = (),
    locked: dict[str, Locked] | None = None,
) -> AsyncGenerator[McpSkills]:
    around = Surroundings(folder, ENVIRON, told.note, patience=Patience(stop=1.0))
    with anyio.fail_after(60):
        async with McpSkills(
            skills, around, taken=BASE_TOOLS, opened=opened, locked=locked or {}
        ) as source:
            yield source


def names(source: McpSkills) -> list[str]:
    return [tool.name for tool in source.tools()]


def text(output: ToolOutput) -> str:
    return "\n".join(part.text for part in output.contents if isinstance(part, TextPart))


async def test_a_lazy_skill_is_one_tool_until_that_opens_it(tmp_path: Path):
    told = Told()
    async with offered(told, tmp_path, {"far-away": server(pick=("echo", "fail"))}) as source:
        [opener] = source.tools()
        assert (opener.name, opener.skill_name) == ("open_far-away", "far-away")
        assert opener.effect == "idempotent"
        assert "Gives back what it gets." in opener.description
        assert told.started == []
        assert (await source.call("echo", {"a": 1})).is_error
        said = text(await source.call("open_far-away", {}))
        ready = "From your next reply on you can call: echo, fail."
        assert said == f"The skill far-away is open. {ready}"
        assert names(source) == ["open_far-away", "echo", "fail"]
        assert text(await source.call("echo", {"a": 1})) == '{"a": 1}'
        assert text(await source.call("open_far-away", {})) == said
    assert told.started == ["far-away"]


async def test_a_lazy_skill_that_nobody_opens_is_never_started(tmp_path: Path):
    told = Told()
    async with offered(told, tmp_path, {"a": server()}):
        pass
    assert told == []


async def test_names_stay_as_they_are_when_a_skill_is_opened(tmp_path: Path):
    told = Told()
    skills = {"a": server(), "b": server(is_lazy=False), "c": server()}
    async with offered(told, tmp_path, skills) as source:
        assert names(source) == ["open_a", "echo", "open_c"]
        await source.call("open_c", {})
        await source.call("open_a", {})
        live = source.tools()
    assert [(tool.name, tool.skill_name) for tool in live] == [
        ("open_a", "a"),
        ("echo", "b"),
        ("open_c", "c"),
        ("c__echo", "c"),
        ("a__echo", "a"),
    ]
    async with offered(Told(), tmp_path, skills, opened=("c", "a")) as source:
        assert source.tools() == live


async def test_two_calls_at_once_open_a_skill_once(tmp_path: Path):
    told = Told()
    said: list[str] = []
    async with offered(told, tmp_path, {"a": server()}) as source:

        async def open_it() -> None:
            said.append(text(await source.call("open_a", {})))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(open_it)
            tasks.start_soon(open_it)
        assert names(source) == ["open_a", "echo"]
    assert said == ["The skill a is open. From your next reply on you can call: echo."] * 2
    assert told.started == ["a"]


async def test_a_lazy_skill_that_cannot_be_opened_says_why_and_is_lost(tmp_path: Path):
    told = Told()
    async with offered(told, tmp_path, {"a": server("exit")}) as source:
        for _ in range(2):
            output = await source.call("open_a", {})
            assert output.is_error
            assert "The skill a is not running: The server ended with status 3." in text(output)
        assert names(source) == ["open_a"]
    [ended] = [event for event in told if isinstance(event, SkillDisconnected)]
    assert ended.tools_lost


async def test_a_skill_that_offers_nothing_says_so_when_it_is_opened(tmp_path: Path):
    async with offered(Told(), tmp_path, {"a": server(pick=("no-such",))}) as source:
        assert text(await source.call("open_a", {})) == "The skill a is open, and offers no tool."


async def test_a_locked_skill_needs_no_opening(tmp_path: Path):
    told = Told()
    locked = {"a": Locked((ServerTool("echo", "The tool echo.", {"type": "object"}, {}),))}
    async with offered(told, tmp_path, {"a": server()}, locked=locked, opened=["a"]) as source:
        assert names(source) == ["echo"]
        assert told.started == []
        assert text(await source.call("echo", {"a": 1})) == '{"a": 1}'


async def test_an_opener_gives_way_to_what_has_its_name_already(tmp_path: Path):
    around = Surroundings(tmp_path, ENVIRON, Told().note)
    taken = {*BASE_TOOLS, "open_a"}
    async with McpSkills({"a": server(), "@b/c": server()}, around, taken=taken) as source:
        assert names(source) == ["a__open_a", "open_b_c"]
        await source.call("open_b_c", {})
        assert names(source) == ["a__open_a", "open_b_c", "echo"]
