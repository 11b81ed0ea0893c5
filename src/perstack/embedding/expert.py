"""An Expert written in Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import msgspec

from perstack.config.findings import did_you_mean, quoted
from perstack.config.load import checked_project
from perstack.config.project import Project
from perstack.errors import UsageError
from perstack.schema.keys import parse_key
from perstack.schema.tool import BASE_SKILL, BASE_TOOLS
from perstack.skills.functions import Function, FunctionTool, function_tool

if TYPE_CHECKING:
    from perstack.schema.skill import Skill

Tools: TypeAlias = "Sequence[FunctionTool | Function]"
ORIGIN = "the code"
"""What messages name in place of a file."""


@dataclass(frozen=True)
class Expert:
    """A definition as it would stand in `perstack.toml`, with functions for tools besides.

    It is a value: defining one does nothing, and many jobs may run it at once. Nothing
    is checked before a job begins.

    Attributes:
        name: lower-case letters, digits, `-` and `_`, with an optional `@scope/` before it.
        instruction: what the Expert is and does, told to the model ahead of every query.
        description: what it is good for, told to the Experts that delegate to it.
        version: three numbers, such as "1.0.0".
        delegates: other Experts, or keys of Experts in the configuration or the catalogue.
        tools: functions for this Expert alone.
        skills: by name, each as its table in `perstack.toml` would be, or as an
            `McpStdioSkill`, `McpSseSkill` or `InteractiveSkill`. An interactive tool's
            `inputJsonSchema` may be an object in place of its text.
        base_tools: the tools of the base skill that the Expert has, by name: files of
            the workspace, commands, todos. All of them where it is left out. An Expert
            with no tools at all streams its reply as it comes.
        tags: for people.
    """

    name: str
    instruction: str
    description: str = field(default="", kw_only=True)
    version: str = field(default="1.0.0", kw_only=True)
    delegates: Sequence[Expert | str] = field(default=(), kw_only=True)
    tools: Tools = field(default=(), kw_only=True)
    skills: Mapping[str, Skill | Mapping[str, object]] = field(
        default_factory=dict[str, "Skill | Mapping[str, object]"], kw_only=True
    )
    base_tools: Sequence[str] | None = field(default=None, kw_only=True)
    tags: Sequence[str] = field(default=(), kw_only=True)

    @property
    def table(self) -> dict[str, object]:
        """What stands in `perstack.toml` for it."""
        told: dict[str, Any] = {"instruction": self.instruction, "version": self.version}
        told["delegates"] = [
            each if isinstance(each, str) else each.name for each in self.delegates
        ]
        told["tags"] = list(self.tags)
        told["skills"] = {name: _skill_table(skill) for name, skill in self.skills.items()}
        if self.base_tools is not None:
            told["skills"] |= {BASE_SKILL: self._base_skill(self.base_tools)}
        if self.description:
            told["description"] = self.description
        return told

    def _base_skill(self, names: Sequence[str]) -> dict[str, object]:
        if BASE_SKILL in self.skills:
            raise UsageError(f"The Expert {quoted(self.name)} narrows {BASE_SKILL} in two ways")
        for name in names:
            if name not in BASE_TOOLS:
                hint = did_you_mean(name, BASE_TOOLS)
                raise UsageError(f"base_tools: {quoted(name)} is no tool of the base skill{hint}")
        base = {"type": "mcpStdioSkill", "command": "npx", "packageName": BASE_SKILL}
        return {**base, "pick": list(names)} if names else {**base, "omit": list(BASE_TOOLS)}


def _skill_table(skill: Skill | Mapping[str, object]) -> dict[str, object]:
    """A skill as TOML would have it: lists for tuples, and a schema as its text."""
    table = msgspec.json.decode(msgspec.json.encode(skill), type=dict[str, object])
    tools = table.get("tools")
    for tool in cast("dict[str, object]", tools).values() if isinstance(tools, dict) else ():
        if isinstance(tool, dict):
            fields = cast("dict[str, object]", tool)
            if isinstance(schema := fields.get("inputJsonSchema"), dict):
                fields["inputJsonSchema"] = msgspec.json.encode(schema).decode()
    return table


class Cast:
    """Every Expert that a job may need: those of a file, those in Python, and their functions."""

    def __init__(self, asked: Expert | str, config: Project | None, tools: Tools) -> None:
        """The Experts around `asked`, which gets `tools` besides its own.

        Raises:
            UsageError: two Experts share a name, or two tools of one.
            ConfigurationError: an Expert breaks a rule of `perstack.toml`.
        """
        self.key = asked if isinstance(asked, str) else asked.name
        written: dict[str, Expert] = {}
        if isinstance(asked, Expert):
            _gather(asked, written)
        known = config.experts if config is not None else {}
        for name in written:
            if name in known:
                raise UsageError(
                    f"The Expert {quoted(name)} is given in Python, and in the file too"
                )
        self.project = config if config is not None else Project(origin=ORIGIN)
        if written:
            tables = {name: expert.table for name, expert in written.items()}
            inner = checked_project({"experts": tables}, ORIGIN).experts
            self.project = msgspec.structs.replace(self.project, experts={**inner, **known})
        self.functions = {name: _tools(name, expert.tools) for name, expert in written.items()}
        if tools:
            name = parse_key(self.key).name
            own = self.functions.get(name, ())
            self.functions[name] = _tools(name, [*own, *_tools(name, tools)])


def _gather(expert: Expert, found: dict[str, Expert]) -> None:
    """`expert` and all it delegates to. They cannot go round in a circle: they are frozen."""
    other = found.setdefault(expert.name, expert)
    if other is not expert:
        raise UsageError(f"Two Experts are called {quoted(expert.name)}")
    for delegate in expert.delegates:
        if isinstance(delegate, Expert) and found.get(delegate.name) is not delegate:
            _gather(delegate, found)


def _tools(name: str, given: Tools) -> tuple[FunctionTool, ...]:
    if callable(given) or isinstance(given, FunctionTool):
        raise UsageError(f"tools takes a list: put {given!r} into one")
    tools = tuple(function_tool(each) for each in given)
    names = [tool.name for tool in tools]
    for each in names:
        if names.count(each) > 1:
            raise UsageError(f"The Expert {quoted(name)} has two tools called {quoted(each)}")
    return tools
