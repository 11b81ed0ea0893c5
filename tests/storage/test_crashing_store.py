"""CrashingStore and MemoryStore's power loss: the ends that tests of the runtime bring about."""

from __future__ import annotations

import anyio
import pytest

from perstack.errors import LeaseLost
from perstack.schema.settings import Settings
from perstack.storage.files import FilesStore
from perstack.storage.memory import MemoryStore
from perstack.testing.crashing_store import Crash, CrashingStore
from storage.facts import fact, keep, kept

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["memory", "files"])
def inner(request, tmp_path):
    return MemoryStore() if request.param == "memory" else FilesStore(tmp_path / "perstack")


async def begun(store: CrashingStore) -> None:
    await store.claim("j1")
    await store.open_run("j1", "r1", Settings())


@pytest.mark.parametrize(("chosen", "left"), [({"after": 2}, 2), ({"before": 2}, 1)])
async def test_the_crash_comes_at_the_chosen_append(inner, chosen, left):
    store = CrashingStore(inner, **chosen)
    await begun(store)
    await keep(store, fact(1))
    assert not store.crashed
    with pytest.raises(Crash):
        await keep(store, fact(2))
    assert store.crashed
    assert store.appended == left
    assert await kept(inner) == [fact(1), fact(2)][:left]


async def test_a_dead_process_does_nothing_more(inner):
    store = CrashingStore(inner, after=1)
    await begun(store)
    with pytest.raises(Crash):
        await keep(store, fact(1))
    for attempt in (
        lambda: keep(store, fact(2)),
        lambda: store.flush("j1"),
        lambda: store.claim("j2"),
        lambda: store.runs("j1"),
        store.jobs,
        lambda: store.get_job("j1"),
        lambda: kept(store),
        lambda: store.open_run("j1", "r2", Settings()),
    ):
        with pytest.raises(Crash):
            await attempt()


async def test_a_dead_process_holds_no_lease(inner):
    store = CrashingStore(inner, after=1)
    lease = await store.claim("j1")
    await store.open_run("j1", "r1", Settings())
    with pytest.raises(Crash):
        await keep(store, fact(1))
    await inner.claim("j1")
    await lease.release()
    await keep(inner, fact(2))
    assert await kept(inner) == [fact(1), fact(2)]


async def test_no_task_outlives_a_crash_and_no_exception_handler_catches_it(inner):
    store = CrashingStore(inner, after=1)
    await begun(store)
    swallowed: list[Exception] = []

    async def work() -> None:
        try:
            await keep(store, fact(1))
        except Exception as error:  # noqa: BLE001 - what a runtime may do
            swallowed.append(error)

    caught = False
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work)
            await anyio.sleep_forever()
    except* Crash:
        caught = True
    assert caught
    assert swallowed == []


async def test_a_lost_lease_refuses_this_append_and_all_after_it(inner):
    store = CrashingStore(inner, lose_lease=2)
    await begun(store)
    await keep(store, fact(1))
    for _ in range(2):
        with pytest.raises(LeaseLost):
            await keep(store, fact(2))
    assert not store.crashed
    assert await kept(inner) == [fact(1)]


async def test_a_power_loss_leaves_what_was_flushed():
    store = MemoryStore()
    await store.claim("j1")
    await store.open_run("j1", "r1", Settings())
    await store.open_run("j1", "r2", Settings())
    await keep(store, fact(1), fact(2))
    await store.flush("j1")
    await keep(store, fact(3), fact(1, "r2"))
    store.lose_power()
    assert await kept(store) == [fact(1), fact(2)]
    assert await kept(store, "r2") == []
    await store.claim("j1")
    await keep(store, fact(3))
