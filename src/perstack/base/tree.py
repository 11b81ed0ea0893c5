"""A process and everything it starts: begun with a mark, found by it, and made to end.

A process that is kept is found in another way as well: a keeper, a process between it and
this one, becomes the parent of whatever it leaves behind, and kills that.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path

import anyio

from perstack.base.custody import Custody, can_keep, forks_so_far
from perstack.base.launch import Launch, Streams
from perstack.base.lifeline import LIFELINE

_ROUNDS = 20
_PAUSE = 0.01
_RESERVED = 300
"""Ids that are not given out again once they have come round."""
_KERNEL_THREAD = 0x00200000
"""PF_KTHREAD among the flags of a process: Linux's include/linux/sched.h."""


class Tree:
    """A started process, the leader of its own session and group, tied to the life of this one.

    Contract: until `close`, its id, and its group's, is no one else's, where the
    system has descriptors for processes. `number` makes the mark its own among
    all that this process starts: that of a pipe which is open as long as it is.

    Raises:
        OSError: the program, or its watcher, cannot be started.
    """

    def __init__(self, launch: Launch, number: int, streams: Streams) -> None:
        value = f"{os.getpid()}.{number}"
        self._mark = f"{launch.mark}={value}".encode()
        LIFELINE.tie(f"{launch.mark}={os.getpid()}.")
        marked = launch._replace(env={**launch.env, launch.mark: value})
        self._custody = Custody(marked) if launch.is_kept and can_keep() else None
        self._forks = forks_so_far()
        self._process = self._custody.start(streams) if self._custody else _start(marked, streams)
        if self._custody is not None:
            self._forks = self._custody.forks  # it may have been started before
        self._pidfd = _open_pidfd(self._process.pid)

    @property
    def code(self) -> int | None:
        """The exit status, negative for a signal, once it has been reaped."""
        return self._process.returncode

    def signal(self, number: signal.Signals) -> None:
        """Send SIGTERM or SIGKILL to the whole group. A keeper kills all that descends from it."""
        if self._custody is not None:
            self._custody.signal(number)
        elif self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)

    def has_exited(self) -> bool:
        """Whether it has ended."""
        return self.status() is not None

    def status(self) -> int | None:
        """Its exit status as in `code`. Where the system allows, this does not reap it."""
        if self._pidfd is None:
            return self._process.poll()
        flags = os.WEXITED | os.WNOWAIT | os.WNOHANG
        try:
            found = os.waitid(os.P_PID, self._process.pid, flags)
        except ChildProcessError:
            return self._process.poll() or 0
        if found is None:
            return None
        return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status

    async def exited(self) -> None:
        """Return once it has ended."""
        if self._pidfd is not None:
            await anyio.wait_readable(self._pidfd)
            return
        while not self.has_exited():  # noqa: ASYNC110 - no descriptor tells of its end here
            await anyio.sleep(_PAUSE)

    async def end_stragglers(self) -> None:
        """Kill what left the group but carries the mark, and a keeper that has not ended."""
        if self._custody is not None:
            self._process.kill()
        if self.has_exited():
            self._let_go()  # there may be no other descriptor to look with
        for _ in range(_ROUNDS):
            found = [pid for pid in self._younger() if self._is_marked(pid) is not False]
            if not found:
                return
            for pid in found:
                self._kill_marked(pid)
            await anyio.sleep(_PAUSE)

    def close(self) -> None:
        """Reap it, if it has ended, and let go of it."""
        if self._custody is not None:
            self._custody.close()
        self._process.poll()
        self._let_go()

    def _let_go(self) -> None:
        pidfd, self._pidfd = self._pidfd, None
        if pidfd is not None:
            os.close(pidfd)

    def _younger(self) -> list[int]:
        """Processes that may have been started after this one; all, if the ids may have come round.

        They cannot have while fewer processes were started than there are ids.
        """
        try:
            newest = int(Path("/proc/loadavg").read_text().split()[-1])
            pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208
            ids = int(Path("/proc/sys/kernel/pid_max").read_text())
        except (OSError, ValueError):
            return []
        has_room = forks_so_far() - self._forks < ids - _RESERVED
        floor = self._process.pid if newest >= self._process.pid and has_room else 0
        return [one for one in pids if one > floor]

    def _is_marked(self, pid: int) -> bool | None:
        """Whether it carries the mark; None while that cannot be seen."""
        environment = _environment(pid)
        return None if environment is None else self._mark in environment.split(b"\0")

    def _kill_marked(self, pid: int) -> None:
        pidfd = _open_pidfd(pid)
        if pidfd is not None:
            try:
                if self._is_marked(pid):  # the id may have passed to another process
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            finally:
                os.close(pidfd)
        if self._is_marked(pid):  # there is no descriptor for it, or no second one to look with
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def _start(launch: Launch, streams: Streams) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        launch.argv,
        executable=launch.program,
        stdin=streams.stdin,
        stdout=streams.stdout,
        stderr=streams.stderr,
        cwd=launch.directory,
        env=launch.env,
        start_new_session=True,
    )


def _open_pidfd(pid: int) -> int | None:
    """A descriptor that stands for the process, where the system has such."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None


def _environment(pid: int) -> bytes | None:
    """The environment of a process; None for the moment of its executing a program.

    Then its arguments cannot be seen either. A process that has none of the one has the
    other; a kernel thread, and what has ended, have neither.
    """
    process = Path("/proc", str(pid))
    try:
        if environment := (process / "environ").read_bytes():
            return environment
        if (process / "cmdline").read_bytes():
            return (process / "environ").read_bytes()
        fields = (process / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return b""
    return b"" if fields[0] in b"ZX" or int(fields[6]) & _KERNEL_THREAD else None
