"""A job, event by event."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Self

import anyio

from perstack.errors import UsageError

if TYPE_CHECKING:
    from types import TracebackType

    from anyio.abc import TaskGroup

    from perstack.embedding.event import Event
    from perstack.embedding.result import Result
    from perstack.embedding.task import Task


class Stream:
    """A job that runs while its block does, and its events in order.

    Leaving the block before the job rests interrupts it; it can be continued. A
    reader that is slow never holds the job up. What the job raises, the iteration
    raises at its end, or the block where nobody iterated so far.
    """

    def __init__(self, task: Task, carry_out: Callable[[Task], Awaitable[Result]]) -> None:
        self._task = task
        self._carry_out = carry_out
        self._mailbox = task.hearing.streamed()
        self._tasks: TaskGroup | None = None
        self._result: Result | None = None
        self._error: Exception | None = None

    @property
    def job_id(self) -> str:
        """The job, known from the start: `continue_job` takes it."""
        return self._task.job_id

    @property
    def result(self) -> Result:
        """How the job ended.

        Raises:
            UsageError: it has not ended yet.
        """
        if self._result is None:
            raise UsageError("The job has no result yet: iterate to the end first")
        return self._result

    async def __aenter__(self) -> Self:
        if self._tasks is not None:
            raise UsageError("A stream is entered once: make another one to go on with the job")
        self._tasks = await anyio.create_task_group().__aenter__()
        self._tasks.start_soon(self._carry)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._result is None and self._error is None:
            self._task.stop.set("cancelled")
        if self._tasks is not None:
            if not self._task.has_begun:
                self._tasks.cancel_scope.cancel()
            await self._tasks.__aexit__(None, None, None)
        raised, self._error = self._error, None
        if raised is not None and error is None:
            raise raised

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        if self._tasks is None:
            raise UsageError("Enter the stream first: `async with runtime.stream(...) as events:`")
        event = await self._mailbox.next()
        if event is not None:
            return event
        raised, self._error = self._error, None
        if raised is not None:
            raise raised
        raise StopAsyncIteration

    async def _carry(self) -> None:
        try:
            self._result = await self._carry_out(self._task)
        except Exception as error:  # noqa: BLE001 - raised where the stream is read
            self._error = error
        finally:
            self._mailbox.close()
