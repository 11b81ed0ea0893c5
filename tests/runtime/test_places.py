"""The servers of a job: never more than it may have, and none that waits for ever."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

import anyio
import anyio.lowlevel
import pytest

from perstack.runtime.hands import MOST_SERVERS, Admit, Toolboxes, open_toolboxes
from perstack.schema.message import Json
from perstack.schema.tool import ToolDefinition, ToolOutput

pytestmark = pytest.mark.anyio


class House:
    """Where the servers of all runs are, and the most there ever were."""

    def __init__(self) -> None:
        self.up = 0
        self.most = 0
        self.opened: list[str] = []

    def tools(self, run: str, servers: int) -> Tools:
        return Tools(self, run, servers)


class Tools:
    """A run's tools, which start `servers` servers when they are opened."""

    def __init__(self, house: House, run: str, servers: int) -> None:
        self.house = house
        self.run = run
        self.servers = servers
        self.admit: Admit | None = None

    def opened(self, admit: Admit) -> Tools:
        self.admit = admit
        return self

    async def __aenter__(self) -> Self:
        assert self.admit is not None
        admit = self.admit

        async def start() -> None:
            await admit(self.servers)

        async with anyio.create_task_group() as tasks:
            for _ in range(self.servers):  # each server by itself, as skills start them
                tasks.start_soon(start)
        self.house.opened.append(self.run)
        self.house.up += self.servers
        self.house.most = max(self.house.most, self.house.up)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.lowlevel.checkpoint()
        self.house.up -= self.servers

    def tools(self) -> Sequence[ToolDefinition]:
        return ()

    async def call(self, name: str, args: Json) -> ToolOutput:
        raise AssertionError(f"{name} is called with {args}")


async def move(toolboxes: Toolboxes, house: House, run: str, servers: int) -> None:
    """Open a run's tools as it moves."""
    await toolboxes.of(run, house.tools(run, servers).opened)


async def test_runs_wait_for_the_places_of_all_their_servers():
    house = House()
    with anyio.fail_after(20):
        async with open_toolboxes() as toolboxes:
            over = anyio.Event()

            async def live(run: str) -> None:
                await move(toolboxes, house, run, 3)
                await over.wait()
                toolboxes.let_go(run)

            async with anyio.create_task_group() as tasks:
                for number in range(30):
                    tasks.start_soon(live, str(number))
                await anyio.wait_all_tasks_blocked()
                assert house.up == MOST_SERVERS // 3 * 3
                over.set()
    assert sorted(house.opened, key=int) == [str(number) for number in range(30)]
    assert house.most == MOST_SERVERS // 3 * 3
    assert house.up == 0


async def test_runs_that_rest_give_way_the_longest_at_rest_first_and_open_anew():
    house = House()
    with anyio.fail_after(20):
        async with open_toolboxes() as toolboxes:
            for run in ("first", "second", "third"):
                await move(toolboxes, house, run, MOST_SERVERS // 4)
            toolboxes.rest("second")
            toolboxes.rest("first")
            await move(toolboxes, house, "fourth", MOST_SERVERS // 2)
            assert house.up == MOST_SERVERS
            await move(toolboxes, house, "first", MOST_SERVERS // 4)
            toolboxes.let_go("fourth")
            await move(toolboxes, house, "second", MOST_SERVERS // 4)
    assert house.opened == ["first", "second", "third", "fourth", "second"]
    assert house.most == MOST_SERVERS


async def test_a_run_that_comes_to_rest_makes_room_for_one_that_waits():
    house = House()
    with anyio.fail_after(20):
        async with open_toolboxes() as toolboxes, anyio.create_task_group() as tasks:
            await move(toolboxes, house, "parent", MOST_SERVERS)
            tasks.start_soon(move, toolboxes, house, "child", MOST_SERVERS)
            await anyio.wait_all_tasks_blocked()
            assert house.opened == ["parent"]
            toolboxes.rest("parent")
    assert house.opened == ["parent", "child"]


async def test_a_run_whose_tools_have_no_server_never_waits_and_gives_nothing_up():
    house = House()
    with anyio.fail_after(20):
        async with open_toolboxes() as toolboxes:
            await move(toolboxes, house, "plain", 0)
            toolboxes.rest("plain")
            await move(toolboxes, house, "full", MOST_SERVERS)
            await move(toolboxes, house, "plain", 0)
    assert house.opened == ["plain", "full"]


async def test_one_that_gives_up_waiting_leaves_its_turn_to_the_next():
    house = House()
    with anyio.fail_after(20):
        async with open_toolboxes() as toolboxes:
            await move(toolboxes, house, "holder", 1)
            with anyio.move_on_after(0.01) as scope:
                await move(toolboxes, house, "greedy", MOST_SERVERS)
            assert scope.cancelled_caught
            await move(toolboxes, house, "modest", 1)
    assert house.opened == ["holder", "modest"]


async def test_a_run_that_has_its_places_starts_a_server_anew_though_others_wait():
    house = House()
    with anyio.fail_after(20):
        async with open_toolboxes() as toolboxes, anyio.create_task_group() as tasks:
            holder = house.tools("holder", MOST_SERVERS)
            await toolboxes.of("holder", holder.opened)
            tasks.start_soon(move, toolboxes, house, "waiter", 1)
            await anyio.wait_all_tasks_blocked()
            assert holder.admit is not None
            await holder.admit(MOST_SERVERS)
            assert house.opened == ["holder"]
            toolboxes.let_go("holder")
    assert house.opened == ["holder", "waiter"]


async def test_servers_of_a_run_that_were_called_one_after_the_other_start_together():
    house = House()
    admitted = list[int]()
    with anyio.fail_after(20):
        async with open_toolboxes() as toolboxes, anyio.create_task_group() as tasks:
            await move(toolboxes, house, "holder", MOST_SERVERS)
            locked = house.tools("locked", 0)
            await toolboxes.of("locked", locked.opened)

            async def call(server: int) -> None:
                assert locked.admit is not None
                await locked.admit(MOST_SERVERS)
                admitted.append(server)

            tasks.start_soon(call, 1)
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(move, toolboxes, house, "waiter", 1)
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(call, 2)
            await anyio.wait_all_tasks_blocked()
            toolboxes.let_go("holder")
            await anyio.wait_all_tasks_blocked()
            assert sorted(admitted) == [1, 2]
            assert house.opened == ["holder", "locked"]
            toolboxes.let_go("locked")
    assert house.opened == ["holder", "locked", "waiter"]
