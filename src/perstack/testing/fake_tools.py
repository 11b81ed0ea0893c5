"""Tools that are plain functions, and a record of who called them."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Self, TypeAlias

from perstack.schema.message import Json, TextPart
from perstack.schema.tool import Effect, ToolDefinition, ToolOutput

Answer: TypeAlias = str | ToolOutput
Function: TypeAlias = Callable[[Json], Answer | Awaitable[Answer]]


class FakeTools:
    """A ToolSource of functions, by tool name. What a function raises is an error result.

    `effects` says what each tool does to the world; "unknown" where it is silent.

    Attributes:
        calls: every call that was made, in order: tool name and arguments.
    """

    def __init__(
        self,
        functions: Mapping[str, Function],
        effects: Mapping[str, Effect] | None = None,
        *,
        skill_name: str = "fake",
    ) -> None:
        self.calls: list[tuple[str, Json]] = []
        self._functions = dict(functions)
        self._effects: dict[str, Effect] = dict(effects or {})
        self._skill_name = skill_name

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    def tools(self) -> Sequence[ToolDefinition]:
        """One definition for each function; its docstring is the description."""
        return tuple(
            ToolDefinition(
                skill_name=self._skill_name,
                name=name,
                description=inspect.getdoc(function) or "",
                input_schema={"type": "object"},
                effect=self._effects.get(name, "unknown"),
            )
            for name, function in self._functions.items()
        )

    async def call(self, name: str, args: Json) -> ToolOutput:
        """What the function answers."""
        self.calls.append((name, args))
        try:
            answer = self._functions[name](args)
            if inspect.isawaitable(answer):
                answer = await answer
        except Exception as error:  # noqa: BLE001 - trouble of a tool is an answer
            text = f"{type(error).__name__}: {error}"
            return ToolOutput(contents=(TextPart(text=text),), is_error=True)
        return ToolOutput(contents=(TextPart(text=answer),)) if isinstance(answer, str) else answer
