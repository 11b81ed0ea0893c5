"""A runtime: jobs side by side on one model, one store and one configuration."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, Unpack, cast

import anyio

from perstack.assembly.execute import execute, open_store
from perstack.assembly.model import open_model
from perstack.assembly.parts import Parts
from perstack.embedding.expert import Cast, Expert
from perstack.embedding.hearing import Hearing
from perstack.embedding.requests import Shared
from perstack.embedding.result import Result
from perstack.embedding.stream import Stream
from perstack.errors import UsageError
from perstack.kernel.snapshot import checkpoint_of
from perstack.runtime.environment import Stop
from perstack.schema.settings import ProviderSettings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from perstack.assembly.outcome import Outcome
    from perstack.config.request import RunRequest
    from perstack.embedding.mailbox import Hear
    from perstack.embedding.options import AskToContinue, JobOptions, RuntimeOptions
    from perstack.embedding.result import Status
    from perstack.kernel.state import RunState
    from perstack.providers import Provider
    from perstack.runtime.environment import ShouldContinue
    from perstack.schema.expert import Expert as Definition


@dataclass(slots=True)
class Task:
    """One job to be carried to rest: what is asked, and everything it needs."""

    request: RunRequest
    parts: Parts
    hearing: Hearing
    stop: Stop

    async def carry_out(self) -> Result:
        """Carry the job to rest, while its listeners hear of it.

        Cancelled, the job is interrupted: its runs write that down, what they started
        is ended, and it can be continued. Then the cancellation goes on.
        """
        outcome: list[Outcome] = []
        errors: list[Exception] = []
        finished = anyio.Event()

        async def to_rest() -> None:
            with anyio.CancelScope(shield=True):
                try:
                    heard = self.hearing.listeners
                    outcome.append(await execute(self.request, self.stop, heard, self.parts))
                except Exception as error:  # noqa: BLE001 - raised below, as it is
                    errors.append(error)
                finally:
                    finished.set()

        async with self.hearing, anyio.create_task_group() as tasks:
            tasks.start_soon(to_rest)
            try:
                await finished.wait()
            except anyio.get_cancelled_exc_class():
                self.stop.set("cancelled")
                raise
        if errors:
            raise errors[0]
        return self._result(outcome[0])

    def _result(self, outcome: Outcome) -> Result:
        job, coordinator = outcome.job, outcome.coordinator
        status = "interrupted" if outcome.was_interrupted else job.status
        return Result(
            job_id=job.id,
            status=cast("Status", status),
            text=coordinator.text if status == "completed" else "",
            usage=job.usage,
            steps=job.total_steps,
            checkpoint_id=coordinator.checkpoint_id,
            questions=outcome.questions,
            error=coordinator.error if status == "stoppedByError" else None,
            notice=self.hearing.record.notice,
            events=tuple(self.hearing.record.events),
            listener_errors=tuple(self.hearing.errors),
        )


class Runtime:
    """Runs jobs, side by side if asked to, with one model connection and one store.

        async with Runtime(config=load_config("perstack.toml")) as runtime:
            result = await runtime.run("researcher", "What is new?")

    Raises:
        UsageError: an option cannot be used.
    """

    def __init__(self, **options: Unpack[RuntimeOptions]) -> None:
        self._shared = Shared(options)
        provider = options.get("provider")
        given = provider is not None and not isinstance(provider, str | ProviderSettings)
        self._given = cast("Provider | None", provider if given else None)
        self._opened: Provider | None = None
        self._store = options.get("store")

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
        """Close the model's connections; a provider that was given stays its owner's."""
        opened, self._opened = self._opened, None
        if opened is not None:
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
        return await self._task(expert, query, options).carry_out()

    def stream(
        self, expert: Expert | str, query: str | None = None, **options: Unpack[JobOptions]
    ) -> Stream:
        """The same, event by event: a context manager to be iterated.

        Leaving the block before the job rests interrupts it.
        """
        task = self._task(expert, query, options)
        return Stream(task.hearing.streamed(), task.carry_out, task.stop)

    def _task(self, expert: Expert | str, query: str | None, options: JobOptions) -> Task:
        cast_ = Cast(expert, self._shared.config, options.get("tools") or ())
        request = self._shared.request(cast_, query, options)
        if self._store is None:
            self._store = open_store(request)
        parts = Parts(
            store=self._store,
            open_model=self._open_model,
            tools=cast_.functions,
            should_continue=_asking(options.get("should_continue")),
        )
        return Task(request, parts, Hearing(_listeners(options.get("listener"))), Stop())

    def _open_model(self, request: RunRequest, expert: Definition) -> tuple[Provider, str | None]:
        if self._given is not None:
            return self._given, None
        if self._opened is not None:
            return self._opened, None
        provider, notice = open_model(request, expert)
        if notice is None:  # a demo player stands in for one Expert alone
            self._opened = provider
        return provider, notice


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
