"""A runtime: jobs side by side on one model, one store and one configuration."""

from __future__ import annotations

import asyncio
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Self, Unpack, cast

import anyio

from perstack.assembly.execute import open_store
from perstack.assembly.jobs_path import check_place
from perstack.assembly.model import open_model
from perstack.assembly.parts import Parts
from perstack.embedding.expert import Cast, Expert
from perstack.embedding.gate import Gate, common_gate
from perstack.embedding.hearing import Hearing
from perstack.embedding.requests import Shared
from perstack.embedding.stream import Stream
from perstack.embedding.task import Task
from perstack.errors import UsageError
from perstack.kernel.snapshot import checkpoint_of
from perstack.schema.settings import ProviderSettings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from perstack.config.request import RunRequest
    from perstack.embedding.mailbox import Hear
    from perstack.embedding.options import AskToContinue, JobOptions, RuntimeOptions
    from perstack.embedding.result import Result
    from perstack.kernel.state import RunState
    from perstack.providers import Provider
    from perstack.runtime.environment import ShouldContinue
    from perstack.schema.expert import Expert as Definition


class Runtime:
    """Runs jobs, side by side if asked to, with one model connection and one store.

        async with Runtime(config=load_config("perstack.toml")) as runtime:
            result = await runtime.run("researcher", "What is new?")

    Raises:
        UsageError: an option cannot be used.
        ConfigurationError: the file's settings do not go together, or its lock is wrong.
    """

    def __init__(self, **options: Unpack[RuntimeOptions]) -> None:
        self._shared = Shared(options)
        self._given = _checked_provider(options.get("provider"))
        self._opened: Provider | None = None
        self._store = options.get("store")
        self._check_store()
        self._is_closed = False
        self._at_work: dict[Task, anyio.Event] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._gate: Gate | None = None

    def _check_store(self) -> None:
        """Jobs of a program must be out of its tools' reach too."""
        root = getattr(self._store, "root", None)
        if isinstance(root, Path):
            check_place(root, self._shared.workspace, "The store's folder")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Interrupt the jobs that are at work, and close the model's connections.

        A provider that was given stays its owner's to close. May be called twice.
        """
        self._is_closed = True
        for task in self._at_work:
            task.stop.set("cancelled")
        for over in tuple(self._at_work.values()):
            await over.wait()
        opened, self._opened = self._opened, None
        if opened is not None and self._loop is asyncio.get_running_loop():
            with anyio.CancelScope(shield=True):
                await opened.aclose()

    async def run(
        self, expert: Expert | str, query: str | None = None, **options: Unpack[JobOptions]
    ) -> Result:
        """Begin a job, or go on with one, and carry it to rest.

        Raises:
            UsageError: the options do not go together, or do not fit the job.
            ConfigurationError: something the Expert needs is missing or wrong.
            StorageError: its facts cannot be read or kept.
        """
        return await self._carry_out(self._task(expert, query, options))

    def stream(
        self, expert: Expert | str, query: str | None = None, **options: Unpack[JobOptions]
    ) -> Stream:
        """The same, event by event: a context manager to be iterated.

        Leaving the block before the job rests interrupts it.
        """
        task = self._task(expert, query, options)
        return Stream(task, self._carry_out)

    async def _carry_out(self, task: Task) -> Result:
        """`task` at its place; the runtime's end waits for it."""
        self._enter_loop()
        over = self._at_work[task] = anyio.Event()
        try:
            async with self._place():
                return await task.carry_out()
        finally:
            del self._at_work[task]
            over.set()

    def _enter_loop(self) -> None:
        """Connections and places belong to an event loop. What was of another one is let go.

        Raises:
            UsageError: jobs are at work in another loop.
        """
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return
        if self._at_work:
            raise UsageError("The runtime is at work in another event loop: open one for each")
        self._loop = loop
        self._opened = None
        self._gate = Gate(self._shared.max_jobs) if self._shared.max_jobs else None

    def _place(self) -> AbstractAsyncContextManager[None]:
        return (self._gate or common_gate()).place()

    def _task(self, expert: Expert | str, query: str | None, options: JobOptions) -> Task:
        if self._is_closed:
            raise UsageError("The runtime is closed: open another one")
        cast_ = Cast(expert, self._shared.config, options.get("tools") or ())
        request = self._shared.request(cast_, query, options)
        if self._store is None:
            self._store = open_store(request)
        parts = Parts(
            store=self._store,
            open_model=self._open_model,
            is_foreign_model=self._given is not None,
            lock=self._shared.lock,
            tools=cast_.functions,
            should_continue=_asking(options.get("should_continue")),
        )
        return Task(request, parts, Hearing(_listeners(options.get("listener"))))

    def _open_model(self, request: RunRequest, expert: Definition) -> tuple[Provider, str | None]:
        if self._given is not None:
            return self._given, None
        if self._opened is not None:
            return self._opened, None
        provider, notice = open_model(request, expert)
        if notice is None:  # a demo player stands in for one Expert alone
            self._opened = provider
        return provider, notice


def _checked_provider(given: object) -> Provider | None:
    """A provider of the program's own, where `given` is one."""
    if given is None or isinstance(given, str | ProviderSettings):
        return None
    if not callable(getattr(given, "generate", None)):
        raise UsageError(
            f"provider takes a name, ProviderSettings, or an object with generate and aclose, "
            f"not {given!r}"
        )
    return cast("Provider", given)


def _listeners(given: Hear | Sequence[Hear] | None) -> tuple[Hear, ...]:
    if given is None:
        return ()
    listeners = (given,) if callable(given) else tuple(given)
    for listener in listeners:
        if not callable(listener):
            raise UsageError(f"listener takes a function of one event, not {listener!r}")
    return listeners


def _asking(ask: AskToContinue | None) -> ShouldContinue | None:
    """The runtime asks with its state; a program is asked with a checkpoint."""
    if ask is None:
        return None

    async def asked(state: RunState) -> bool:
        answer = ask(checkpoint_of(state, with_messages=True))
        told = cast("object", await answer if inspect.isawaitable(answer) else answer)
        if not isinstance(told, bool):
            raise UsageError(f"should_continue must say True or False, and said {told!r}")
        return told

    return asked
