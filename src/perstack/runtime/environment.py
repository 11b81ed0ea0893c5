"""What a job runs in: the parts behind protocols, and the world's clock, ids and chance.

The only module that asks the machine for the time, for ids or for random numbers.
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol, TypeAlias

import anyio

from perstack.kernel.command import Limits
from perstack.schema.expert import Definition
from perstack.schema.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Generator

    from perstack.kernel.state import RunState
    from perstack.providers import Provider
    from perstack.runtime.hands import Admit
    from perstack.schema.event import Fact, RuntimeEvent, Shown, TextStreamed
    from perstack.skills import ToolSource
    from perstack.storage import Store

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id() -> str:
    """80 random bits as 16 letters and digits."""
    bits = int.from_bytes(os.urandom(10), "big")
    return "".join(_ALPHABET[(bits >> shift) & 31] for shift in range(0, 80, 5))


def chance() -> float:
    """A random number from 0 to 1."""
    return int.from_bytes(os.urandom(4), "big") / 2**32


def now_ms() -> int:
    """Ms since the epoch, for people to read. Never for order or durations."""
    return time.time_ns() // 1_000_000


def monotonic_ms() -> int:
    """Ms on a clock that never goes back, for durations."""
    return time.monotonic_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Published:
    """One recorded fact, its stored line without a newline, and the states around it."""

    fact: Fact
    line: bytes
    before: RunState
    after: RunState


class Listener:
    """One subscriber of a job's events. Its methods are awaited in the order of the events.

    Attributes:
        hears_text: whether `said` is called, which takes its time for each piece of a reply.
    """

    hears_text: ClassVar[bool] = False

    async def recorded(self, published: Published) -> None:
        """A fact was recorded."""

    async def shown(self, event: Shown) -> None:
        """Something was streamed that is not stored."""

    async def said(self, event: TextStreamed) -> None:
        """A piece of a reply came, of which nobody knows yet what it will be."""


StopReason: TypeAlias = Literal["signal", "hook", "output", "cancelled"]


class Stop:
    """The one way to interrupt a job from outside: every running run is told at once."""

    def __init__(self) -> None:
        self.reason: StopReason | None = None
        self._scopes: set[anyio.CancelScope] = set()

    @property
    def is_set(self) -> bool:
        """Whether the job is to come to a halt."""
        return self.reason is not None

    def set(self, reason: StopReason = "signal") -> None:
        """Bring every running run to a halt. May be called twice."""
        self.reason = self.reason or reason
        for scope in tuple(self._scopes):
            scope.cancel()

    @contextmanager
    def scope(self) -> Generator[anyio.CancelScope]:
        """A cancel scope that `set` cancels."""
        with anyio.CancelScope() as scope:
            self._scopes.add(scope)
            try:
                if self.is_set:
                    scope.cancel()
                yield scope
            finally:
                self._scopes.discard(scope)


class StepBudget:
    """The steps that all runs of a job share, across continuations."""

    def __init__(self, limit: int, taken: int = 0) -> None:
        self.limit = limit
        self.taken = taken

    @property
    def left(self) -> int:
        """Steps that may still be reserved."""
        return max(0, self.limit - self.taken)

    def reserve(self) -> bool:
        """Take one step; False when none is left."""
        if self.left == 0:
            return False
        self.taken += 1
        return True


class OpenToolbox(Protocol):
    """How a run's tools are opened.

    `state` gives the run as it is now; `note` writes a fact about what the run runs in
    into its log; `admit` is awaited before the first of its servers is started, with
    how many it has; `may_ask` is whether a person can be asked (a delegate cannot).
    """

    def __call__(
        self,
        definition: Definition,
        state: Callable[[], RunState],
        *,
        note: Callable[[RuntimeEvent], Awaitable[None]],
        admit: Admit,
        may_ask: bool,
    ) -> ToolSource:
        """The tools of one run, not yet entered."""
        ...


Resolve: TypeAlias = Callable[[str], Awaitable[Definition]]
"""An Expert key's definition. Raises `UnknownExpert` or another `PerstackError`."""

ShouldContinue: TypeAlias = Callable[["RunState"], Awaitable[bool] | bool]
"""Asked at each step's end; False interrupts the job, which can be continued later."""


@dataclass(slots=True)
class Environment:
    """Everything a job needs from outside itself.

    `context_window` is the model's, in tokens, where it is known. `vendor` is whose model it
    is, and where it is asked if not at the vendor's own address, as far as these are known.
    """

    store: Store
    provider: Provider
    settings: Settings
    resolve: Resolve
    open_toolbox: OpenToolbox
    listeners: list[Listener] = field(default_factory=list[Listener])
    on_listener_error: Callable[[Listener, Exception], None] | None = None
    should_continue: ShouldContinue | None = None
    stop: Stop = field(default_factory=Stop)
    steps: StepBudget = field(default_factory=lambda: StepBudget(2**31))
    notice: str | None = None
    context_window: int | None = None
    vendor: tuple[str | None, str | None] = (None, None)
    max_depth: int = 8
    max_width: int = 32
    new_id: Callable[[], str] = new_id
    now_ms: Callable[[], int] = now_ms
    monotonic_ms: Callable[[], int] = monotonic_ms
    jitter: Callable[[], float] = chance
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep

    def limits(self, depth: int) -> Limits:
        """What a run `depth` delegations below its coordinator may still do."""
        return Limits(
            steps_left=self.steps.left, depth_left=self.max_depth - depth, width=self.max_width
        )

    async def publish(self, published: Published) -> None:
        """Tell every listener. One that fails is reported and dropped."""
        for listener in tuple(self.listeners):
            try:
                await listener.recorded(published)
            except Exception as error:  # noqa: BLE001 - a listener cannot stop a run
                self._drop(listener, error)

    async def show(self, event: Shown) -> None:
        """Tell every listener of something that is not stored."""
        for listener in tuple(self.listeners):
            try:
                await listener.shown(event)
            except Exception as error:  # noqa: BLE001 - a listener cannot stop a run
                self._drop(listener, error)

    @property
    def is_heard(self) -> bool:
        """Whether somebody wants to hear the pieces of a reply."""
        return any(listener.hears_text for listener in self.listeners)

    async def say(self, event: TextStreamed) -> None:
        """Tell those listeners of a piece of a reply."""
        for listener in tuple(self.listeners):
            if listener.hears_text:
                try:
                    await listener.said(event)
                except Exception as error:  # noqa: BLE001 - a listener cannot stop a run
                    self._drop(listener, error)

    def _drop(self, listener: Listener, error: Exception) -> None:
        if listener in self.listeners:
            self.listeners.remove(listener)
        if self.on_listener_error is not None:
            self.on_listener_error(listener, error)
