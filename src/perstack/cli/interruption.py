"""Signals that end a command which has nothing to keep."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
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
