"""What ties the commands of this process to its life: a watcher that ends them after it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import NamedTuple

import anyio

PATIENCE = 5.0
"""Seconds to wait for a killed watcher to be gone."""

_PROGRAM = Path(__file__).with_name("watcher.py")
_LOADER = "LD_LIBRARY_PATH"


class _Watcher(NamedTuple):
    """The watcher, and the end of its pipe that tells by closing that this process is gone."""

    process: subprocess.Popen[bytes]
    fd: int


class Lifeline:
    """At most one watcher for all users of this process, started when it is first needed.

    Contract: after `tie(mark)` and until the last user has let go, the end of
    this process, however it comes about, is the end of every process whose
    environment has a variable that begins with `mark`. All calls have one mark.
    Where there is no /proc, or no interpreter to start, there is no watcher.
    May be used from several threads. A fork of this process starts with none.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._watcher: _Watcher | None = None

    @property
    def pid(self) -> int | None:
        """The watcher's process id, while there is one."""
        return self._watcher.process.pid if self._watcher else None

    def hold(self) -> None:
        """Count one more user, who has to let go."""
        with self._lock:
            self._users += 1

    def tie(self, mark: str) -> None:
        """Start the watcher unless it runs. Call this before anything gets the mark.

        Raises:
            OSError: the watcher cannot be started.
        """
        if not can_watch():
            return
        with self._lock:
            if self._watcher is not None:
                if self._watcher.process.poll() is None:
                    return
                watcher, self._watcher = self._watcher, None  # somebody killed it
                os.close(watcher.fd)
            self._watcher = _start(mark)

    async def let_go(self) -> None:
        """Count one user less. After the last one the watcher is gone, even when cancelled."""
        with self._lock:
            self._users -= 1
            if self._users:
                return
            watcher, self._watcher = self._watcher, None
        if watcher is not None:
            await _end(watcher)

    def forget(self) -> None:
        """In a fork of the process: hold nobody else's pipe open, and start anew."""
        self._lock = threading.Lock()  # another thread may have held it
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            os.close(watcher.fd)
            watcher.process.returncode = 0  # no child of this process, so nothing to wait for


def can_watch() -> bool:
    """Whether there is a /proc, and an interpreter to start."""
    has_interpreter = bool(sys.executable) and not getattr(sys, "frozen", False)
    return has_interpreter and Path("/proc/self/environ").exists()


def loader_environment() -> dict[str, str]:
    """What an interpreter that is started in an empty environment needs to find its library."""
    return {_LOADER: os.environ[_LOADER]} if _LOADER in os.environ else {}


def _start(mark: str) -> _Watcher:
    """A watcher in a session of its own, with nothing of ours but the reading end of a pipe."""
    with contextlib.ExitStack() as handed, contextlib.ExitStack() as kept:
        read, write = os.pipe()
        handed.callback(os.close, read)
        kept.callback(os.close, write)
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_PROGRAM), mark],
            stdin=read,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=loader_environment(),
            start_new_session=True,
        )
        kept.pop_all()
    return _Watcher(process, write)


async def _end(watcher: _Watcher) -> None:
    """Kill the watcher and reap it. It is killed first: a closed pipe would set it to work."""
    watcher.process.send_signal(signal.SIGKILL)
    os.close(watcher.fd)
    with anyio.move_on_after(PATIENCE, shield=True):
        while watcher.process.poll() is None:  # noqa: ASYNC110 - gone in a moment, killed as it is
            await anyio.sleep(0.001)


LIFELINE = Lifeline()
"""This process's own."""

os.register_at_fork(after_in_child=LIFELINE.forget)
