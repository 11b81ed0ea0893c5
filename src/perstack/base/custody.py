"""What a process leaves behind is found by a keeper, whatever its session and environment."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

from perstack.base.launch import Launch, Streams
from perstack.base.lifeline import can_watch, loader_environment

_KEEPER = Path(__file__).with_name("keeper.py")
_PIPES: set[int] = set()
"""Our ends of the pipes of all keepers."""


class Custody:
    """One keeper: a process that starts a launch, and kills all that descends from it in the end.

    Contract: that end is `close`, the end of what was started, or that of this process,
    however it comes about. A fork of this process holds none of it up.

    Raises:
        OSError: there is no such program or folder, or no descriptor left.
        ValueError: a word of the launch has a null byte in it.
    """

    def __init__(self, launch: Launch) -> None:
        for path in (launch.directory, launch.program):
            Path(path).stat()
        self._plan = _packed(launch)
        self._pipe: int | None = None

    def start(self, streams: Streams) -> subprocess.Popen[bytes]:
        """Start it, in a session of its own, with nothing of ours but what it needs."""
        with contextlib.ExitStack() as handed, contextlib.ExitStack() as kept:
            plan = os.memfd_create("plan")
            handed.callback(os.close, plan)
            os.write(plan, self._plan)
            read, write = os.pipe()
            handed.callback(os.close, read)
            kept.callback(os.close, write)
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_KEEPER), str(plan), str(read)],
                stdin=streams.stdin,
                stdout=streams.stdout,
                stderr=streams.stderr,
                cwd="/",
                env=loader_environment(),
                pass_fds=(plan, read),
                start_new_session=True,
            )
            kept.pop_all()
        self._pipe = write
        _PIPES.add(write)
        return process

    def signal(self, number: signal.Signals) -> None:
        """Hand SIGTERM on to the group of what was started, or end all of it."""
        if number == signal.SIGKILL:
            self.close()
        elif self._pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                os.write(self._pipe, b"T")

    def close(self) -> None:
        """Let it end everything."""
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            _PIPES.discard(pipe)
            os.close(pipe)


def can_keep() -> bool:
    """Whether this system has what a keeper takes, all of it Linux's.

    An older kernel, or a sandbox, may refuse a descriptor for a process.
    """
    if not (can_watch() and hasattr(os, "memfd_create") and hasattr(os, "pidfd_open")):
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError as error:
        return error.errno not in {errno.ENOSYS, errno.EPERM}
    return True


def _packed(launch: Launch) -> bytes:
    """Folder, program, number of arguments, arguments, variables, with a null byte between them."""
    variables = [f"{name}={value}" for name, value in launch.env.items()]
    words = [launch.directory, launch.program, str(len(launch.argv)), *launch.argv, *variables]
    if any("\0" in word for word in words):
        raise ValueError("embedded null byte")
    return b"\0".join(map(os.fsencode, words))


def _forget() -> None:
    """In a fork of the process: hold nobody else's pipe open."""
    while _PIPES:
        os.close(_PIPES.pop())


os.register_at_fork(after_in_child=_forget)
