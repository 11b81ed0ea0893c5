"""What a skill offers of its server's tools, and what became of them since."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from perstack.schema.inventory import LeftOut
from perstack.skills.mcp.changes import changes_of
from perstack.skills.mcp.schemas import schema_problem

if TYPE_CHECKING:
    from perstack.schema.skill import McpSseSkill, McpStdioSkill
    from perstack.skills.mcp.changes import Locked
    from perstack.skills.mcp.protocol import ServerTool

_SHOWN = 100


class Offer:
    """The tools of one skill, the same for as long as a run has it.

    `tools` are those that `pick` and `omit` leave: of the lock, else of the first list
    that the server gave. `left_out` says why others are not among them, and `refused`,
    by name, why one may not be called any more: the server describes it otherwise now.
    `was_listed`: the server has given a list. `warn` gets a sentence of each oddity. `own`
    are names whose tools are not the server's, whatever it lists.
    """

    def __init__(
        self,
        skill: McpStdioSkill | McpSseSkill,
        locked: Locked | None,
        warn: Callable[[str], None],
        own: Collection[str] = (),
    ) -> None:
        self.left_out: list[LeftOut] = []
        self.refused: dict[str, str] = {}
        self.was_listed = False
        self._pick, self._omit = skill.pick, skill.omit
        self._locked = locked
        self._warn = warn
        self._own = own
        self.tools = self._chosen(() if locked is None else locked.tools)

    def take(self, listed: tuple[ServerTool, ...]) -> None:
        """Take a list that the server gave: the tools, or what has changed of them."""
        found = {tool.name: tool for tool in reversed(listed)}
        if not self.was_listed:
            self.was_listed = True
            self._tell_of_strangers(found.keys())
            if self._locked is None:
                self.tools = self._chosen(listed)
                return
        before = {tool.name: tool for tool in self.tools}
        is_exact = self._locked is None or self._locked.is_exact
        self.refused = changes_of(before, found, is_exact=is_exact)
        hint = "" if self._locked is None else " `perstack install --frozen` shows the difference."
        for name, difference in self.refused.items():
            self._warn(f"The tool {name[:_SHOWN]!r} is refused. {difference}{hint}")

    def _tell_of_strangers(self, known: Collection[str]) -> None:
        for name in (*self._pick, *self._omit):
            if name not in known and name not in self._own:
                self._warn(f"There is no tool {name!r}, which pick or omit names")
                self._leave_out(name, "pick or omit names it, and the server has no such tool")

    def _chosen(self, listed: tuple[ServerTool, ...]) -> tuple[ServerTool, ...]:
        """Those of the tools that a model may have, each name once."""
        found: dict[str, ServerTool] = {}
        for tool in listed:
            if found.setdefault(tool.name, tool) is not tool:
                self._warn(f"The tool {tool.name[:_SHOWN]!r} is listed twice; the first counts")
        if own := ", ".join(name for name in found if name in self._own):
            self._warn(f"Of the server's tools, {own} are left out: Perstack has its own")
        return tuple(tool for tool in found.values() if self._is_chosen(tool))

    def _is_chosen(self, tool: ServerTool) -> bool:
        if tool.name in self._own:
            return self._leave_out(tool.name, "Perstack has its own")
        if self._pick and tool.name not in self._pick:
            return self._leave_out(tool.name, "pick does not name it")
        if tool.name in self._omit:
            return self._leave_out(tool.name, "omit names it")
        problem = "it has no name" if not tool.name else schema_problem(tool.input_schema)
        if problem is None:
            return True
        self._warn(f"The tool {tool.name[:_SHOWN]!r} is left out: {problem}")
        return self._leave_out(tool.name, problem)

    def _leave_out(self, name: str, reason: str) -> bool:
        self.left_out.append(LeftOut(tool=name, reason=reason))
        return False
