"""Signals that end a command which has nothing to keep."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from anyio.abc import TaskStatus

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that ask for the end."""


async def cancel_at_signal(
    scope: anyio.CancelScope, caught: list[int], *, task_status: TaskStatus[None]
) -> None:
    """Cancel the scope at each signal that asks for the end, and note its number."""
    with anyio.open_signal_receiver(*STOPPING) as signals:
        task_status.started()
        async for number in signals:
            caught.append(number)
            scope.cancel()


async def code_unless_stopped(work: Callable[[], Awaitable[int]]) -> int:
    """The exit code of `work`; 128 and its number where a signal cancels that before its end."""
    caught: list[int] = []
    codes: list[int] = []
    async with anyio.create_task_group() as tasks:
        await tasks.start(cancel_at_signal, tasks.cancel_scope, caught)
        codes.append(await work())
        tasks.cancel_scope.cancel()
    return codes[0] if codes else 128 + caught[0]
