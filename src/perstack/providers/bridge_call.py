"""One request to a model while it is answered, and how an SDK's requests find theirs."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

import anyio

from perstack.providers import Failure

if TYPE_CHECKING:
    import httpx2


class Call:
    """One request to a model while it is answered.

    `failure` is what the network, or the vendor's status, said: an SDK's exception
    tells less. `is_answered`: a reply has begun. Closing it ends what is still under way,
    also in other threads, and whatever an SDK has left open.
    """

    def __init__(self) -> None:
        self.failure: Failure | None = None
        self.is_answered = False
        self._is_over = False
        self._scopes: set[anyio.CancelScope] = set()
        self._left = anyio.Event()
        self._answers: list[httpx2.AsyncByteStream] = []

    def opened(self, answer: httpx2.AsyncByteStream) -> None:
        """`answer` is closed with the call, if it is not before."""
        self._answers.append(answer)

    @contextmanager
    def cancellable(self) -> Generator[None]:
        """What runs inside is cancelled with the call."""
        with anyio.CancelScope() as scope:
            self._scopes.add(scope)
            if self._is_over:
                scope.cancel()
            try:
                yield
            finally:
                self._scopes.discard(scope)
                self._left.set()

    def cancel(self) -> None:
        """End everything that waits for this call's bytes, or will."""
        self._is_over = True
        for scope in self._scopes:
            scope.cancel()

    async def aclose(self) -> None:
        """Close what is open, once nobody reads from it any more. May be called twice."""
        self.cancel()
        while self._scopes:
            self._left = anyio.Event()
            await self._left.wait()
        for answer in self._answers:
            await answer.aclose()


_CALL: ContextVar[Call | None] = ContextVar("call", default=None)


def current_call() -> Call:
    """The call that this request is part of."""
    return _CALL.get() or Call()


def is_in_call() -> bool:
    """Whether a call is being served here."""
    return _CALL.get() is not None


@contextmanager
def within(call: Call) -> Generator[None]:
    """Requests made inside belong to `call`. Hold no `yield` of a generator inside."""
    token = _CALL.set(call)
    try:
        yield
    finally:
        _CALL.reset(token)
