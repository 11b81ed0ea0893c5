"""BaseTools: the bundled tools, in this process, behind the ToolSource protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from perstack.base.answer import Refused, refusal
from perstack.base.caps import Caps
from perstack.base.lifeline import LIFELINE
from perstack.base.paths import Workspace
from perstack.base.table import TOOLS, Place, Tool

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from perstack.schema.message import Json
    from perstack.schema.tool import Todo, ToolDefinition, ToolOutput


class BaseTools:
    """The base skill of one run.

    Contract: as ToolSource says. Whatever goes wrong in a call is an output with
    `is_error`. A cancelled call leaves no process behind, and neither does the
    end of this process, for which a watcher runs from the first command of a
    process until its last BaseTools is closed. Entering raises
    `ConfigurationError` where the workspace cannot be opened.

    `todos` gives the run's todo list as it is now; a call of `todo` answers with
    the list as it is to be, and keeps nothing. `environ` is what a command's
    environment is chosen from. `pick` and `omit` narrow what is offered and what
    can be called. `openat2=False` is for systems without it, and for tests.
    """

    def __init__(
        self,
        *,
        workspace: Path,
        todos: Callable[[], Sequence[Todo]],
        environ: Mapping[str, str],
        pick: Collection[str] = (),
        omit: Collection[str] = (),
        caps: Caps | None = None,
        openat2: bool | None = None,
    ) -> None:
        self._root = workspace
        self._todos = todos
        self._environ = environ
        self._caps = caps or Caps()
        self._openat2 = openat2
        self._place: Place | None = None
        self._tools: dict[str, Tool] = {
            tool.definition.name: tool
            for tool in TOOLS
            if (not pick or tool.definition.name in pick) and tool.definition.name not in omit
        }

    async def __aenter__(self) -> Self:
        workspace = Workspace(self._root, openat2=self._openat2)
        started = anyio.current_time()

        def uptime() -> float:
            return anyio.current_time() - started

        self._place = Place(workspace, self._caps, self._todos, self._environ, uptime)
        LIFELINE.hold()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        place, self._place = self._place, None
        if place is not None:
            try:
                place.workspace.close()
            finally:
                await LIFELINE.let_go()

    def tools(self) -> Sequence[ToolDefinition]:
        """Every tool that `pick` and `omit` leave, in a stable order."""
        return [tool.definition for tool in self._tools.values()]

    async def call(self, name: str, args: Json) -> ToolOutput:
        """What the tool `name` answers to `args`."""
        tool = self._tools.get(name)
        if tool is None:
            return refusal(f"There is no tool {name!r}.")
        if self._place is None:
            return refusal("The base tools are closed.")
        try:
            return await tool.call(self._place, args)
        except Refused as refused:
            return refusal(str(refused))
        except Exception as error:  # noqa: BLE001 - a tool's trouble is an answer, whatever it is
            return refusal(f"{name} failed: {type(error).__name__}: {error}")
