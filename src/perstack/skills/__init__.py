"""Where tools come from: the ToolSource protocol."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from perstack.schema.message import Json
from perstack.schema.tool import ToolDefinition, ToolOutput


class ToolSource(Protocol):
    """Tools one can list and call, alive between entering and leaving it.

    Contract: trouble of a tool (an unknown name, bad arguments, a dead server) is
    an output with `is_error`, never an exception. A cancelled call leaves no
    process behind. Calls may run concurrently.
    """

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None: ...

    def tools(self) -> Sequence[ToolDefinition]:
        """Every tool this source offers, in a stable order."""
        ...

    async def call(self, name: str, args: Json) -> ToolOutput:
        """What the tool `name` answers to `args`."""
        ...
