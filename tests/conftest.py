"""What every test can rely on: asyncio, and no process left behind."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

GRACE_SECONDS = 2.0
"""How long a process that was told to end may take to be gone."""


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


def living_children() -> dict[int, str]:
    """The processes that this one started and that still run: pid to command line."""
    children: dict[int, str] = {}
    for listing in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for pid in listing.read_text().split():
                command = Path("/proc", pid, "cmdline").read_bytes()
                if command:  # a process that has ended keeps no command line
                    children[int(pid)] = command.replace(b"\0", b" ").decode(errors="replace")
    return children


def gone_within(seconds: float, pid: int) -> bool:
    try:
        watch = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([watch], [], [], seconds)[0])
    finally:
        os.close(watch)


@pytest.fixture(autouse=True)
def _no_process_outlives_a_test(request: pytest.FixtureRequest) -> Iterator[None]:
    before = living_children()
    yield
    left = {pid: command for pid, command in living_children().items() if pid not in before}
    survivors = {pid: cmd for pid, cmd in left.items() if not gone_within(GRACE_SECONDS, pid)}
    for pid in survivors:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if survivors:
        named = "\n".join(f"  {pid}: {command}" for pid, command in survivors.items())
        pytest.fail(f"{request.node.nodeid} left processes running:\n{named}", pytrace=False)
