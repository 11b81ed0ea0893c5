"""Everybody who hears of one job, none of whom can hold it up."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Self

import anyio

from perstack.embedding.event import Event
from perstack.embedding.mailbox import Mailbox
from perstack.runtime.environment import Listener
from perstack.schema.event import RuntimeInitialized

if TYPE_CHECKING:
    from types import TracebackType

    from anyio.abc import TaskGroup

    from perstack.embedding.mailbox import Hear
    from perstack.runtime.environment import Published

PATIENCE_SECONDS = 5.0
"""How long listeners may still take once the job is at rest."""


class Record(Listener):
    """Every fact of one continuation, and what a person must know of it."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.notice: str | None = None

    async def recorded(self, published: Published) -> None:
        """Keep a fact."""
        self.events.append(Event(published.fact, published))
        if isinstance(published.fact, RuntimeInitialized) and published.fact.notice:
            self.notice = published.fact.notice


class Heard:
    """One listener and what is on its way to it."""

    def __init__(self, listener: Hear) -> None:
        self.mailbox = Mailbox()
        self.is_over = anyio.Event()
        self.scope = anyio.CancelScope(shield=True)
        self._listener = listener

    async def deliver(self, errors: list[Exception]) -> None:
        """Tell it of every event in order, until it raises or `scope` is cancelled.

        A job that is cancelled has a last event, and that is told too.
        """
        try:
            with self.scope:
                while (event := await self.mailbox.next()) is not None:
                    answer = self._listener(event)
                    if inspect.isawaitable(answer):
                        await answer
        except Exception as error:  # noqa: BLE001 - a listener cannot stop a run
            errors.append(error)
        except anyio.get_cancelled_exc_class():  # nobody else can: the scope is a shield
            errors.append(RuntimeError(f"{self._listener!r} raised a cancellation of its own"))
        finally:
            if self.scope.cancelled_caught:
                errors.append(TimeoutError(f"{self._listener!r} did not get through its events"))
            self.mailbox.discard()
            self.is_over.set()


class Hearing:
    """Listeners, each with a mailbox and a task of its own, for the life of a block.

    One that raises hears no more; its error is kept. The block ends when every
    listener has heard everything, or when their patience is used up.
    """

    def __init__(self, listeners: tuple[Hear, ...]) -> None:
        self.record = Record()
        self.errors: list[Exception] = []
        self._heard = tuple(map(Heard, listeners))
        self._streams: list[Mailbox] = []
        self._tasks: TaskGroup | None = None

    @property
    def listeners(self) -> list[Listener]:
        """Where the job's events go. None of them ever waits."""
        return [self.record, *self._streams, *(heard.mailbox for heard in self._heard)]

    def streamed(self) -> Mailbox:
        """A mailbox for somebody who asks; whoever asks for it closes it."""
        mailbox = Mailbox()
        self._streams.append(mailbox)
        return mailbox

    async def __aenter__(self) -> Self:
        self._tasks = await anyio.create_task_group().__aenter__()
        for heard in self._heard:
            self._tasks.start_soon(heard.deliver, self.errors)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._tasks is None:
            return
        with anyio.move_on_after(PATIENCE_SECONDS, shield=error is not None):
            for heard in self._heard:
                heard.mailbox.close()
            for heard in self._heard:
                await heard.is_over.wait()
        for heard in self._heard:
            heard.scope.cancel()
        await self._tasks.__aexit__(None, None, None)
