"""All of a run's tools as one source."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from perstack.schema.message import Json, TextPart
from perstack.schema.tool import ToolDefinition, ToolOutput
from perstack.skills import ToolSource


class Toolbox:
    """Several sources as one, and tools that are only listed: delegates and questions.

    A name belongs to the first that has it; configuration has refused doubles.
    """

    def __init__(
        self, sources: Sequence[ToolSource], listed: Sequence[ToolDefinition] = ()
    ) -> None:
        self._sources = tuple(sources)
        self._listed = tuple(listed)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opened:  # closes what is open when a later one fails
            for source in self._sources:
                await opened.enter_async_context(source)
            self._stack = opened.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        return await self._stack.__aexit__(kind, error, trace)

    def tools(self) -> Sequence[ToolDefinition]:
        """Every tool, in a stable order."""
        tools: dict[str, ToolDefinition] = {}
        for source in self._sources:
            for tool in source.tools():
                tools.setdefault(tool.name, tool)
        for tool in self._listed:
            tools.setdefault(tool.name, tool)
        return tuple(tools.values())

    async def call(self, name: str, args: Json) -> ToolOutput:
        """What the tool `name` answers."""
        for source in self._sources:
            if any(tool.name == name for tool in source.tools()):
                return await source.call(name, args)
        text = f"There is no tool named {name}."
        return ToolOutput(contents=(TextPart(text=text),), is_error=True)
