"""A Store that ends its process, as far as the runtime can tell, at a chosen append."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perstack.errors import LeaseLost

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from perstack.schema.checkpoint import Job
    from perstack.schema.event import Fact
    from perstack.schema.settings import Settings
    from perstack.storage import Lease, Store


class Crash(BaseException):  # the law this breaks: no `except Exception` may outlive a crash
    """The process is dead from here on.

    No `Exception`, so that code under test cannot take it for trouble it may
    handle. A task group wraps it: catch it with `except* Crash`, which also takes
    a bare one.
    """


class _CrashingLease:
    def __init__(self, inner: Lease) -> None:
        self._inner = inner

    async def release(self) -> None:
        """Release the real lease. Works after the crash: the system frees a dead process's."""
        await self._inner.release()


class CrashingStore:
    """`inner`, up to a chosen append; then every call but `release` raises `Crash`.

    Give one of these, counting appends from 1:
        after: the append is kept, and the crash comes before anyone hears of it.
        before: the crash comes first; the append is not kept.
        lose_lease: this append and all later ones raise `LeaseLost`, with no crash.

    A crash releases the leases taken through this store, as the end of a process
    does: claim the job again from `inner` to carry it on.

    Attributes:
        appended: how many appends were kept.
        crashed: whether the crash has come.
    """

    def __init__(
        self,
        inner: Store,
        *,
        after: int | None = None,
        before: int | None = None,
        lose_lease: int | None = None,
    ) -> None:
        self.appended = 0
        self.crashed = False
        self._inner = inner
        self._after = after
        self._before = before
        self._lose_lease = lose_lease
        self._leases: list[Lease] = []

    async def _crash(self) -> None:
        self.crashed = True
        for lease in self._leases:
            await lease.release()
        self._still_alive()

    def _still_alive(self) -> None:
        if self.crashed:
            raise Crash(f"after {self.appended} appends")

    async def claim(self, job_id: str) -> Lease:
        """The inner store's lease, remembered."""
        self._still_alive()
        lease = _CrashingLease(await self._inner.claim(job_id))
        self._leases.append(lease)
        return lease

    async def append(self, event: Fact, line: bytes) -> None:
        """Append to the inner store, unless this is the append that was chosen."""
        self._still_alive()
        number = self.appended + 1
        if self._lose_lease is not None and number >= self._lose_lease:
            raise LeaseLost(f"Job {event.job_id} was taken over, as this test wants it")
        if number == self._before:
            await self._crash()
        await self._inner.append(event, line)
        self.appended = number
        if number == self._after:
            await self._crash()

    async def open_run(self, job_id: str, run_id: str, settings: Settings) -> None:
        """Pass on, while alive."""
        self._still_alive()
        await self._inner.open_run(job_id, run_id, settings)

    async def flush(self, job_id: str) -> None:
        """Pass on, while alive."""
        self._still_alive()
        await self._inner.flush(job_id)

    async def events(self, job_id: str, run_id: str) -> AsyncIterator[Fact]:
        """Pass on, while alive."""
        self._still_alive()
        async for event in self._inner.events(job_id, run_id):
            yield event

    async def runs(self, job_id: str) -> list[str]:
        """Pass on, while alive."""
        self._still_alive()
        return await self._inner.runs(job_id)

    async def put_job(self, job: Job) -> None:
        """Pass on, while alive."""
        self._still_alive()
        await self._inner.put_job(job)

    async def get_job(self, job_id: str) -> Job | None:
        """Pass on, while alive."""
        self._still_alive()
        return await self._inner.get_job(job_id)

    async def jobs(self) -> list[Job]:
        """Pass on, while alive."""
        self._still_alive()
        return await self._inner.jobs()
