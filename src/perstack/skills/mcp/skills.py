"""McpSkills: all MCP servers of one run, as one source of tools."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

import anyio

from perstack.schema.message import TextPart
from perstack.schema.skill import McpStdioSkill
from perstack.schema.tool import ToolDefinition, ToolOutput
from perstack.skills.mcp.alternatives import without_alternatives
from perstack.skills.mcp.arguments import as_the_server_names_them, offered_names
from perstack.skills.mcp.names import names_of, opener_of
from perstack.skills.mcp.schemas import sendable
from perstack.skills.mcp.skill import McpSkill

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from perstack.schema.message import Json
    from perstack.schema.skill import McpSseSkill
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
    and not before. Of a lazy skill that is not locked one tool is offered, which opens
    it; from then on its own tools are offered as well, behind all others. `opened` are
    lazy skills that are opened on entering, in that order. `lost` are skills that the run
    has had to do without: whatever else holds of them, entering finds out whether it still has.
    """

    def __init__(
        self,
        skills: Mapping[str, McpStdioSkill | McpSseSkill],
        around: Surroundings,
        *,
        taken: Collection[str],
        locked: Mapping[str, Locked] = _NOTHING,
        opened: Sequence[str] = (),
        lost: Collection[str] = (),
    ) -> None:
        admit = partial(around.admit, len(skills))
        self._lazy = {
            name: skill.description or ""
            for name, skill in skills.items()
            if isinstance(skill, McpStdioSkill) and skill.lazy_init and name not in locked
        }
        wanted = (*opened, *(name for name in lost if name not in opened))
        self._opened = [name for name in wanted if name in self._lazy]
        self._skills = {
            name: McpSkill(
                name,
                skill,
                around,
                admit,
                locked.get(name),
                waits=name not in lost
                and (name in locked or (name in self._lazy and name not in self._opened)),
            )
            for name, skill in skills.items()
        }
        self._meanwhile = around.meanwhile
        self._taken = taken
        self._stack = AsyncExitStack()
        self._named: dict[str, Named] = {}
        self._definitions: dict[str, ToolDefinition] = {}
        self._arguments: dict[str, Mapping[str, str]] = {}
        self._openers: set[str] = set()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opened:
            tasks = await opened.enter_async_context(anyio.create_task_group())
            for skill in self._skills.values():
                tasks.start_soon(skill.keep)
            for skill in self._skills.values():
                await skill.begun()
            self._meanwhile()
            for skill in self._skills.values():
                await skill.settled()
            self._name()
            for name in self._opened:
                self._offer(self._skills[name])
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
        skill = self._skills[named.skill]
        if name in self._openers:
            return await self._open(skill)
        given = as_the_server_names_them(args, self._arguments.get(name, {}))
        return await skill.call(named.tool, given, self._definitions[name].effect)

    async def _open(self, skill: McpSkill) -> ToolOutput:
        """Start a lazy skill, and offer its tools. Asked again, it says what there is."""
        problem = await skill.open()
        if problem:
            text = f"The skill {skill.name} is not running: {problem}"
            return ToolOutput(contents=(TextPart(text=text),), is_error=True)
        if skill.name not in self._opened:
            self._opened.append(skill.name)
            self._offer(skill)
        names = [name for name, one in self._named.items() if one.skill == skill.name]
        tools = ", ".join(name for name in names if name not in self._openers)
        text = f"The skill {skill.name} is open. From your next reply on you can call: {tools}."
        if not tools:
            text = f"The skill {skill.name} is open, and offers no tool."
        return ToolOutput(contents=(TextPart(text=text),))

    def _name(self) -> None:
        """Offer what is there from the start: every tool, of a lazy skill what opens it."""
        lists: list[tuple[str, list[str]]] = []
        for name, skill in self._skills.items():
            own = (
                [opener_of(name)]
                if name in self._lazy
                else [tool.name for tool in skill.offer.tools]
            )
            lists.append((name, own))
        for one in names_of(lists, self._taken):
            if one.skill in self._lazy:
                self._openers.add(one.name)
                self._named[one.name] = one
                self._definitions[one.name] = _opener(one, self._lazy[one.skill])
            else:
                self._add(one)

    def _offer(self, skill: McpSkill) -> None:
        """Offer the tools of a lazy skill behind all others, which keep their names."""
        taken = {*self._taken, *self._named}
        for one in names_of([(skill.name, [tool.name for tool in skill.offer.tools])], taken):
            self._add(one)

    def _add(self, one: Named) -> None:
        """Offer a tool and its arguments, and say so where a name is not its own."""
        skill = self._skills[one.skill]
        if one.name != one.tool:
            skill.reports.warn(f"The tool {one.tool[:100]!r} is offered as {one.name}")
        tool = next(tool for tool in skill.offer.tools if tool.name == one.tool)
        self._arguments[one.name] = offered_names(without_alternatives(tool.input_schema))
        for argument, offered in self._arguments[one.name].items():
            told = f"The argument {argument[:100]!r} of the tool {one.tool[:100]!r}"
            skill.reports.warn(f"{told} is offered as {offered}")
        self._named[one.name] = one
        self._definitions[one.name] = _definition(one, tool, skill.effect_of(tool))


def _opener(named: Named, description: str) -> ToolDefinition:
    """The tool that opens a lazy skill. To open one twice is to open it once."""
    what = f"Opens the skill {named.skill}. {description.strip()}".strip()
    return ToolDefinition(
        skill_name=named.skill,
        name=named.name,
        description=f"{what}\nIts tools can be called from the next reply on.",
        input_schema={"type": "object", "properties": {}},
        effect="idempotent",
    )


def _definition(named: Named, tool: ServerTool, effect: Effect) -> ToolDefinition:
    """The tool as a model sees it, and what a second call of it would do."""
    return ToolDefinition(
        skill_name=named.skill,
        name=named.name,
        description=tool.description or f"{named.tool[:100]} of the skill {named.skill}",
        input_schema=sendable(tool.input_schema),
        effect=effect,
    )
