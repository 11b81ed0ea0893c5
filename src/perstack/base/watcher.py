"""Run as a program: outlives the process that started it just long enough to end its commands.

Argument: how the mark of each of its commands begins, as it stands in their environment.
Standard input: a pipe nobody writes to. It ends when the process at the other end is gone,
however that came about. While that process lives, it ends this one by SIGKILL.

It is started by its path in an interpreter of its own, so it imports nothing that is slow.
"""

import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
else:
    import _signal as signal  # without enumerations, which take longer than all that is here

ROUNDS = 250
"""How often to look for commands, at most."""

CALM = 25
"""How often in a row to have found none: one that was just being started shows no mark yet."""

PAUSE = 0.02


def main() -> None:
    """Wait for the end of standard input, then end every marked process."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while os.read(0, 4096):
        pass
    end_all(os.fsencode(sys.argv[1]))


def end_all(mark: bytes) -> None:
    """Kill what carries the mark, and again what that started meanwhile, until none is left."""
    calm = 0
    for _ in range(ROUNDS):
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208
        found = [pid for pid in pids if is_marked(pid, mark)]
        for pid in found:
            end(pid, mark)
        calm = 0 if found else calm + 1
        if calm == CALM:
            return
        time.sleep(PAUSE)


def is_marked(pid: int, mark: bytes) -> bool:
    """Whether a variable that begins with the mark is in its environment."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as environ:  # noqa: PTH123 - pathlib is slow
            return b"\0" + mark in b"\0" + environ.read()
    except OSError:
        return False


def end(pid: int, mark: bytes) -> None:
    """Kill a marked process and, first of all, its group: its parent may end when it does.

    A command starts in a session of its own, so nobody else's process is in such a group.
    """
    try:
        pidfd = os.pidfd_open(pid)
    except (AttributeError, OSError):
        pidfd = None  # it has ended, or the system has no such descriptors
    try:
        group = os.getpgid(pid)
        if is_marked(pid, mark):  # the id may have passed to another process
            os.killpg(group, signal.SIGKILL)
            if pidfd is None:
                os.kill(pid, signal.SIGKILL)
            else:
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    except OSError:
        return  # it has ended, or has become another user's
    finally:
        if pidfd is not None:
            os.close(pidfd)


if __name__ == "__main__":
    main()
