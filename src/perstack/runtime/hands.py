"""What a job's runs work with, alive from a run's first stretch to its last."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from anyio.abc import TaskGroup

    from perstack.schema.tool import Effect, ToolDefinition
    from perstack.skills import ToolSource


class Hands:
    """What a run works with: its tools, whose they are, and what each does to the world."""

    def __init__(self, toolbox: ToolSource) -> None:
        self.toolbox = toolbox
        self.tools: Sequence[ToolDefinition] = toolbox.tools()
        self.effects: Mapping[str, Effect] = {tool.name: tool.effect for tool in self.tools}
        self.skills: Mapping[str, str] = {tool.name: tool.skill_name for tool in self.tools}


class _Kept:
    """One toolbox, entered and left in one task, as what it holds may demand."""

    def __init__(self) -> None:
        self.is_open = anyio.Event()
        self.is_over = anyio.Event()
        self.scope = anyio.CancelScope()
        self.hands: Hands | None = None
        self.error: Exception | None = None

    async def keep(self, open_toolbox: Callable[[], ToolSource]) -> None:
        try:
            with self.scope:
                async with open_toolbox() as toolbox:
                    self.hands = Hands(toolbox)
                    self.is_open.set()
                    await self.is_over.wait()
        except Exception as error:  # noqa: BLE001 - trouble of a tool ends no job
            self.error = error
        finally:
            self.is_open.set()

    def let_go(self) -> None:
        """Close it in its own time; one that is still being opened is given up at once."""
        self.is_over.set()
        if self.hands is None:
            self.scope.cancel()


class Toolboxes:
    """The tools of each run that has moved, by run id."""

    def __init__(self, tasks: TaskGroup) -> None:
        self._tasks = tasks
        self._kept: dict[str, _Kept] = {}

    async def of(self, run_id: str, open_toolbox: Callable[[], ToolSource]) -> Hands:
        """The run's tools, opened where they are not yet.

        Raises what opening them raises. Cancelled, it gives the opening up.
        """
        kept = self._kept.get(run_id)
        if kept is None:
            kept = self._kept[run_id] = _Kept()
            self._tasks.start_soon(kept.keep, open_toolbox)
        try:
            await kept.is_open.wait()
        finally:
            if kept.hands is None:
                self.let_go(run_id)
        if kept.hands is None:
            raise kept.error or RuntimeError(f"the tools of run {run_id} were never opened")
        return kept.hands

    def let_go(self, run_id: str) -> None:
        """The run needs its tools no more. May be called for a run that has none."""
        if kept := self._kept.pop(run_id, None):
            kept.let_go()

    def let_all_go(self) -> None:
        """No run needs its tools any more."""
        for run_id in tuple(self._kept):
            self.let_go(run_id)


@asynccontextmanager
async def open_toolboxes() -> AsyncGenerator[Toolboxes]:
    """Toolboxes, all closed when the block has ended. What the block raises is raised as it is."""
    failure: BaseException | None = None
    async with anyio.create_task_group() as tasks:
        toolboxes = Toolboxes(tasks)
        try:
            yield toolboxes
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as error:  # noqa: BLE001 - raised below, outside of the group
            failure = error
        toolboxes.let_all_go()
    if failure is not None:
        raise failure
