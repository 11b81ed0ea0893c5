"""An Expert written in Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from perstack.config.findings import quoted
from perstack.config.load import checked_project
from perstack.config.project import Project
from perstack.errors import UsageError
from perstack.schema.keys import parse_key
from perstack.skills.functions import Function, FunctionTool, function_tool

if TYPE_CHECKING:
    from perstack.schema.skill import Skill

Tools: TypeAlias = "Sequence[FunctionTool | Function]"
ORIGIN = "Python"


@dataclass(frozen=True)
class Expert:
    """A definition as it would stand in `perstack.toml`, with functions for tools besides.

    `delegates` are other Experts, or keys of Experts in the configuration or the
    catalogue. `skills` are by name, each as its table in `perstack.toml` would be, or
    as an `McpStdioSkill`, `McpSseSkill` or `InteractiveSkill`. Nothing is checked
    before a job begins.
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
    tags: Sequence[str] = field(default=(), kw_only=True)

    @property
    def table(self) -> dict[str, object]:
        """What stands in `perstack.toml` for it."""
        told: dict[str, object] = {"instruction": self.instruction, "version": self.version}
        told["delegates"] = [
            each if isinstance(each, str) else each.name for each in self.delegates
        ]
        told["tags"] = list(self.tags)
        told["skills"] = {name: msgspec.to_builtins(skill) for name, skill in self.skills.items()}
        if self.description:
            told["description"] = self.description
        return told


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
        self.project = config
        if written:
            tables = {name: expert.table for name, expert in written.items()}
            own = checked_project({"experts": tables}, ORIGIN)
            base = config if config is not None else Project(origin=ORIGIN)
            self.project = msgspec.structs.replace(base, experts={**own.experts, **known})
        self.functions = {name: _tools(name, expert.tools) for name, expert in written.items()}
        if tools:
            name = parse_key(self.key).name
            self.functions[name] = _tools(name, [*self.functions.get(name, ()), *tools])


def _gather(expert: Expert, found: dict[str, Expert]) -> None:
    """`expert` and all it delegates to. They cannot go round in a circle: they are frozen."""
    other = found.setdefault(expert.name, expert)
    if other is not expert:
        raise UsageError(f"Two Experts are called {quoted(expert.name)}")
    for delegate in expert.delegates:
        if isinstance(delegate, Expert) and found.get(delegate.name) is not delegate:
            _gather(delegate, found)


def _tools(name: str, given: Tools) -> tuple[FunctionTool, ...]:
    tools = tuple(function_tool(each) for each in given)
    names = [tool.name for tool in tools]
    for each in names:
        if names.count(each) > 1:
            raise UsageError(f"The Expert {quoted(name)} has two tools called {quoted(each)}")
    return tools
