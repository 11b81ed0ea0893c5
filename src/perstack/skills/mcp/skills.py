"""McpSkills: all MCP servers of one run, as one source of tools."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

import anyio

from perstack.schema.message import TextPart
from perstack.schema.tool import ToolDefinition, ToolOutput
from perstack.skills.mcp.names import names_of
from perstack.skills.mcp.schemas import sendable
from perstack.skills.mcp.skill import McpSkill

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from perstack.schema.message import Json
    from perstack.schema.skill import McpSseSkill, McpStdioSkill
    from perstack.schema.tool import Effect
    from perstack.skills.mcp import Surroundings
    from perstack.skills.mcp.changes import Locked
    from perstack.skills.mcp.names import Named
    from perstack.skills.mcp.protocol import ServerTool

_NOTHING: Mapping[str, Locked] = {}


class McpSkills:
    """The servers of a run, started and ended side by side, each in a task of its own.

    Contract: as ToolSource says. Entering waits until each server has listed its tools or
    has failed; one that fails is noted, and takes none of the others down. Leaving
    ends them all, also when cancelled. `taken` are names that no tool of theirs may have.
    `locked` are the tools of skills, by name, whose servers start when they are called,
    and not before.
    """

    def __init__(
        self,
        skills: Mapping[str, McpStdioSkill | McpSseSkill],
        around: Surroundings,
        *,
        taken: Collection[str],
        locked: Mapping[str, Locked] = _NOTHING,
    ) -> None:
        admit = partial(around.admit, len(skills))
        self._skills = {
            name: McpSkill(name, skill, around, admit, locked.get(name))
            for name, skill in skills.items()
        }
        self._taken = taken
        self._stack = AsyncExitStack()
        self._named: dict[str, Named] = {}
        self._definitions: dict[str, ToolDefinition] = {}

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opened:
            tasks = await opened.enter_async_context(anyio.create_task_group())
            for skill in self._skills.values():
                tasks.start_soon(skill.keep)
            for skill in self._skills.values():
                await skill.settled()
            self._name()
            for skill in self._skills.values():
                await skill.reports.flush()
            self._stack = opened.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for skill in self._skills.values():
            skill.close()
        await self._stack.aclose()

    @property
    def skills(self) -> Mapping[str, McpSkill]:
        """The skills by their names."""
        return self._skills

    @property
    def names(self) -> Mapping[str, Named]:
        """What each name stands for that a tool is offered under."""
        return self._named

    def tools(self) -> Sequence[ToolDefinition]:
        """Every tool of every server, but for those that failed, as they are declared."""
        return tuple(self._definitions.values())

    async def call(self, name: str, args: Json) -> ToolOutput:
        """What the tool answers. One that was not offered is not called."""
        named = self._named.get(name)
        if named is None:
            text = f"There is no tool named {name}."
            return ToolOutput(contents=(TextPart(text=text),), is_error=True)
        effect = self._definitions[name].effect
        return await self._skills[named.skill].call(named.tool, args, effect)

    def _name(self) -> None:
        """Give each tool its name, and say so where it is not its own."""
        skills = self._skills.values()
        tools = {(skill.name, tool.name): tool for skill in skills for tool in skill.tools}
        lists = [(skill.name, [tool.name for tool in skill.tools]) for skill in skills]
        named = names_of(lists, self._taken)
        for one in named:
            if one.name != one.tool:
                self._skills[one.skill].reports.warn(
                    f"The tool {one.tool[:100]!r} is offered as {one.name}"
                )
        self._named = {one.name: one for one in named}
        self._definitions = {}
        for one in named:
            tool = tools[one.skill, one.tool]
            effect = self._skills[one.skill].effect_of(tool)
            self._definitions[one.name] = _definition(one, tool, effect)


def _definition(named: Named, tool: ServerTool, effect: Effect) -> ToolDefinition:
    """The tool as a model sees it, and what a second call of it would do."""
    return ToolDefinition(
        skill_name=named.skill,
        name=named.name,
        description=tool.description or f"{named.tool[:100]} of the skill {named.skill}",
        input_schema=sendable(tool.input_schema),
        effect=effect,
    )
