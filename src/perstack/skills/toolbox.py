"""All of a run's tools as one source."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from itertools import chain
from types import TracebackType
from typing import Self

from perstack.schema.message import Json, TextPart
from perstack.schema.tool import ToolDefinition, ToolOutput
from perstack.skills import ToolSource


class Toolbox:
    """Several sources as one, and tools that are only listed: delegates and questions.

    A name belongs to the first that has it; configuration has refused doubles. The `last`
    sources are those that may come to offer more: their tools stand behind all others.
    """

    def __init__(
        self,
        sources: Sequence[ToolSource],
        listed: Sequence[ToolDefinition] = (),
        last: Sequence[ToolSource] = (),
    ) -> None:
        self._sources = (*sources, *last)
        self._listed = tuple(listed)
        self._before = len(sources)
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
        offered = [source.tools() for source in self._sources]
        offered.insert(self._before, self._listed)
        tools: dict[str, ToolDefinition] = {}
        for tool in chain.from_iterable(offered):
            tools.setdefault(tool.name, tool)
        return tuple(tools.values())

    async def call(self, name: str, args: Json) -> ToolOutput:
        """What the tool `name` answers."""
        for source in self._sources:
            if any(tool.name == name for tool in source.tools()):
                return await source.call(name, args)
        text = f"There is no tool named {name}."
        return ToolOutput(contents=(TextPart(text=text),), is_error=True)
