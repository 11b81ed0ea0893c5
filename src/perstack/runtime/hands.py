"""What a job's runs work with, alive from a run's first stretch to its last."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import anyio

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from anyio.abc import TaskGroup

    from perstack.schema.tool import Effect, ToolDefinition
    from perstack.skills import ToolSource


MOST_SERVERS = 32
"""Tool servers of a job that are up at the same time, over all of its runs."""

Admit: TypeAlias = "Callable[[int], Awaitable[None]]"
"""Returns once a run may start so many servers: all that it will ever have, together."""


class Hands:
    """What a run works with: its tools, whose they are, and what each does to the world."""

    def __init__(self, toolbox: ToolSource) -> None:
        self.toolbox = toolbox
        self.tools: Sequence[ToolDefinition] = ()
        self.effects: Mapping[str, Effect] = {}
        self.skills: Mapping[str, str] = {}
        self.look()

    def look(self) -> Sequence[ToolDefinition]:
        """The tools as they are from this step on: a skill that was opened has brought more."""
        tools = self.toolbox.tools()
        if tools != self.tools:
            self.tools = tools
            self.effects = {tool.name: tool.effect for tool in tools}
            self.skills = {tool.name: tool.skill_name for tool in tools}
        return self.tools


class _Kept:
    """One toolbox, entered and left in one task, as what it holds may demand.

    `places` are those it has taken for its servers.
    """

    def __init__(self) -> None:
        self.is_open = anyio.Event()
        self.is_over = anyio.Event()
        self.scope = anyio.CancelScope()
        self.hands: Hands | None = None
        self.error: Exception | None = None
        self.is_resting = False
        self.places = 0

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
    """The tools of each run that has moved, by run id.

    A run takes the places of all its servers at once, or waits and holds none, and one that
    has them never waits again: so no two wait for each other. Where none is free, runs that
    rest give theirs up, the one that has rested longest first: their servers are ended, and
    started anew when they move.
    """

    def __init__(self, tasks: TaskGroup) -> None:
        self._tasks = tasks
        self._kept: dict[str, _Kept] = {}
        self._up: set[_Kept] = set()
        self._queue: list[_Kept] = []
        self._changed = anyio.Event()

    async def of(self, run_id: str, open_toolbox: Callable[[Admit], ToolSource]) -> Hands:
        """The run's tools, opened where they are not yet. It moves from now on.

        Raises what opening them raises. Cancelled, it gives the opening up.
        """
        kept = self._kept.get(run_id)
        if kept is None:
            kept = self._kept[run_id] = _Kept()
            self._tasks.start_soon(self._keep, kept, open_toolbox)
        kept.is_resting = False
        try:
            await kept.is_open.wait()
        finally:
            if kept.hands is None:
                self.let_go(run_id)
        if kept.hands is None:
            raise kept.error or RuntimeError(f"the tools of run {run_id} were never opened")
        return kept.hands

    def rest(self, run_id: str) -> None:
        """The run moves no more for now, and may come back for its tools."""
        if kept := self._kept.pop(run_id, None):
            kept.is_resting = True
            self._kept[run_id] = kept  # behind those that have rested for longer
            self._tell()

    def let_go(self, run_id: str) -> None:
        """The run needs its tools no more. May be called for a run that has none."""
        if kept := self._kept.pop(run_id, None):
            kept.let_go()

    def let_all_go(self) -> None:
        """No run needs its tools any more."""
        for run_id in tuple(self._kept):
            self.let_go(run_id)

    async def _keep(self, kept: _Kept, open_toolbox: Callable[[Admit], ToolSource]) -> None:
        self._up.add(kept)
        try:
            await kept.keep(lambda: open_toolbox(partial(self._admit, kept)))
        finally:
            self._up.discard(kept)
            self._tell()

    async def _admit(self, kept: _Kept, servers: int) -> None:
        """Wait for the places of a run's servers. Whoever came first is served first."""
        if kept.places:
            return
        self._queue.append(kept)  # once for each of its servers: all go when one is served
        try:
            while not kept.places and not self._is_served(kept, servers):
                await self._changed.wait()
        finally:
            self._queue.remove(kept)
            self._tell()

    def _is_served(self, kept: _Kept, servers: int) -> bool:
        """Give a run its places if it is the first and they are free. Else they are made free."""
        if self._queue[0] is not kept:
            return False
        taken = sum(each.places for each in self._up)
        if taken and taken + servers > MOST_SERVERS:
            self._make_room(servers)
            return False
        kept.places = servers
        return True

    def _tell(self) -> None:
        """Wake those who wait for places."""
        self._changed.set()
        self._changed = anyio.Event()

    def _make_room(self, servers: int) -> None:
        """Close the tools of runs that rest, as many as have to go beside those that are going."""
        staying = sum(each.places for each in self._up if not each.is_over.is_set())
        for run_id, kept in tuple(self._kept.items()):
            if staying + servers <= MOST_SERVERS:
                return
            if kept.is_resting and kept.places:
                staying -= kept.places
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
