"""Run as a program: starts one program, and outlives it until nothing that it started is left.

Argument: the number of a socket. The first byte on it comes with four descriptors: what to
start, as `custody` packs it, and the program's standard streams. Each further byte is handed
on to the program's group as SIGTERM. At the end of the socket, and at that of the program,
everything that descends from the program is killed, whatever its session, group and
environment: Linux makes this process the parent of each whose own parent ended. Then this
process ends as the program did.

It is started by its path in an interpreter of its own, so it imports nothing that is slow:
`signal` would take longer than all that is here.
"""

import ctypes
import os
import select
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
else:
    import _socket as socket

NOT_STARTED = 127
"""The status where the program cannot be started; its standard error says why."""

_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36
_SIGHUP, _SIGINT, _SIGKILL, _SIGPIPE, _SIGTERM, _SIGXFSZ = 1, 2, 9, 13, 15, 25
_DEFAULT, _IGNORED = 0, 1
_ROUND = 1000
"""Milliseconds after which children that ended are reaped, at most."""
_ROUNDS = 1000
_PAUSE = 5
"""Milliseconds that killed processes are given to be gone."""

_libc = ctypes.CDLL(None)
_libc.prctl.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)
_libc.signal.argtypes = (ctypes.c_int, ctypes.c_void_p)


def main() -> None:
    """Start the program, wait for its end or that of the line, and leave nothing behind."""
    line = int(sys.argv[1])
    os.set_inheritable(line, False)  # noqa: FBT003 - it has no keyword
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)  # what is to be started holds secrets
    for number in (_SIGHUP, _SIGINT, _SIGTERM):
        _libc.signal(number, _IGNORED)
    handed = receive(line)
    if not handed:
        return
    child = os.fork()
    if not child:
        become(*handed)
    for fd in handed:  # they are the program's alone
        os.close(fd)
    status = attend(child, line)
    if status is None:
        kill_group(child, _SIGKILL)
        status = _SIGKILL
    end_children()
    if os.WIFSIGNALED(status):
        _libc.signal(os.WTERMSIG(status), _DEFAULT)
        os.kill(os.getpid(), os.WTERMSIG(status))
    os._exit(os.WEXITSTATUS(status))


def receive(line: int) -> list[int]:
    """The four descriptors, closed when a program is executed; none where the line ends."""
    size = 4
    talk = socket.socket(fileno=line)
    try:
        space = socket.CMSG_SPACE(4 * size)
        _, handed, _, _ = talk.recvmsg(1, space, socket.MSG_CMSG_CLOEXEC)
    finally:
        talk.detach()
    numbers = b"".join(data for _, _, data in handed)
    places = range(0, len(numbers), size)
    return [int.from_bytes(numbers[at : at + size], sys.byteorder) for at in places]


def become(plan: int, *streams: int) -> None:
    """Be the program, in a session of its own. Does not return."""
    place = b""
    try:
        for fd, stream in enumerate(streams):
            os.dup2(stream, fd)
        os.setsid()
        for number in (_SIGHUP, _SIGINT, _SIGPIPE, _SIGTERM, _SIGXFSZ):
            _libc.signal(number, _DEFAULT)  # two of them the interpreter ignores
        data = os.pread(plan, os.fstat(plan).st_size, 0)
        place, program, count, *words = data.split(b"\0")
        os.chdir(place)
        place = program
        env = dict(word.split(b"=", 1) for word in words[int(count) :])
        os.execve(program, words[: int(count)], env)  # noqa: S606 - that is what it is for
    except OSError as error:
        os.write(2, b"%s: %s\n" % (place, (error.strerror or "").encode()))
    finally:
        os._exit(NOT_STARTED)


def attend(child: int, line: int) -> int | None:
    """The wait status of the child once it has ended; None where the line ended first."""
    poll = select.poll()
    poll.register(line, select.POLLIN)
    poll.register(os.pidfd_open(child), select.POLLIN)
    while True:
        for fd, _ in poll.poll(_ROUND):
            if fd == line:
                words = os.read(line, 64)
                if not words:
                    return None
                kill_group(child, _SIGTERM)
        status = reap(child)
        if status is not None:
            return status


def reap(child: int) -> int | None:
    """Reap what has ended, down to `child`, and give its wait status if it is among it."""
    try:
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid in {0, child}:
                return status if pid else None
    except ChildProcessError:
        return None


def end_children() -> None:
    """Kill every child of this process, and again what becomes one when its parent ends."""
    me = os.getpid()
    for _ in range(_ROUNDS):
        if not has_children():
            return
        for pid in children_of(me):
            try:
                os.kill(pid, _SIGKILL)  # not reaped yet, so it is nobody else's number
            except PermissionError:
                continue  # it has become another user's
        select.poll().poll(_PAUSE)


def has_children() -> bool:
    """Reap all that has ended, and say whether somebody is left."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def children_of(parent: int) -> list[int]:
    """The children of a process, also those that have ended and are not reaped."""
    found: list[int] = []
    for name in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208 - pathlib is slow
        try:
            with open(f"/proc/{name}/stat", "rb") as stat:  # noqa: PTH123 - pathlib is slow
                ppid = stat.read().rpartition(b")")[2].split()[1]
        except OSError:
            continue
        if int(ppid) == parent:
            found.append(int(name))
    return found


def kill_group(leader: int, number: int) -> None:
    """Signal a child's group. It may not be there yet: then the child alone."""
    try:
        try:
            os.killpg(leader, number)
        except ProcessLookupError:
            os.kill(leader, number)
    except PermissionError:
        return  # it has become another user's; what else there is can still be ended


if __name__ == "__main__":
    main()
