"""What becomes of commands when the process that runs them is gone."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from base.kit import Told, calls_in, is_alive, open_descriptors
from conftest import living_children
from perstack.base.lifeline import LIFELINE
from perstack.base.watcher import end

if TYPE_CHECKING:
    from collections.abc import Generator

    from base.kit import Calls

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.timeout(30),
    pytest.mark.skipif(sys.platform != "linux", reason="a watcher needs /proc"),
]

OWNER = Path(__file__).with_name("lifeline_owner.py")
SOURCE = Path(__file__).parents[2] / "src"
CANARY = "sk-canary-5f0c"
SECONDS = 10.0

# One that left the group, one without a mark, and one without a mark in a group whose leader ended.
LINGER = """
setsid sleep 1000 & a=$!
env -i sleep 1000 & b=$!
c=$(setsid sh -c 'env -i sleep 1000 >&2 & echo $!; sleep 1000 >&2 &')
echo $$ $a $b $c > pids
sleep 1000
"""


def watchers_of(pid: int) -> list[int]:
    """The watchers that a process has started and not reaped."""
    found: list[int] = []
    for listing in Path("/proc", str(pid), "task").glob("*/children"):
        for child in listing.read_text().split():
            found += [int(child)] if b"watcher.py" in command_of(int(child)) else []
    return found


def command_of(pid: int) -> bytes:
    """Its command line, nothing once it has ended. One just started shows none for a moment."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return b""
    try:
        while not (command := Path("/proc", str(pid), "cmdline").read_bytes()):
            if has_ended(pidfd, 0.001):
                break
        return command
    finally:
        os.close(pidfd)


def opened_by(pid: int) -> dict[int, str]:
    links: dict[int, str] = {}
    for fd in Path("/proc", str(pid), "fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it closes files while it starts
            links[int(fd.name)] = str(fd.readlink())
    return links


@contextlib.contextmanager
def owner(folder: Path, script: str, *more: str) -> Generator[subprocess.Popen[bytes]]:
    """A runtime of its own that runs a script, dead and reaped at the end."""
    environ = {"PATH": os.environ["PATH"], "ANTHROPIC_API_KEY": CANARY, "PYTHONPATH": str(SOURCE)}
    with subprocess.Popen(
        [sys.executable, str(OWNER), str(folder), script, *more],
        env=environ,
        stdout=subprocess.PIPE,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@contextlib.contextmanager
def held(pids: list[int]) -> Generator[list[int]]:
    """Descriptors of processes that run; whatever still does at the end is killed."""
    with contextlib.ExitStack() as stack:
        descriptors: list[int] = []
        for pid in pids:
            fd = os.pidfd_open(pid)
            stack.callback(os.close, fd)
            stack.callback(kill, fd)
            descriptors.append(fd)
            assert not has_ended(fd, 0)
        yield descriptors


def kill(pidfd: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)


def has_ended(pidfd: int, seconds: float = SECONDS) -> bool:
    return bool(select.select([pidfd], [], [], seconds)[0])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
async def test_a_killed_process_takes_its_commands_and_its_watcher_along(
    tmp_path: Path, number: signal.Signals
):
    async with Told(tmp_path / "pids") as told:
        with owner(tmp_path, LINGER) as process:
            pids = [int(pid) for pid in (await told.line()).split()]
            assert len(pids) == 4
            (watcher,) = watchers_of(process.pid)
            with held([*pids, watcher]) as left:
                process.send_signal(number)
                assert process.wait(SECONDS) == -number
                assert all(has_ended(pidfd) for pidfd in left)


def test_a_watcher_ends_what_is_marked_where_the_system_has_no_descriptors_for_processes(
    monkeypatch: pytest.MonkeyPatch,
):
    def refuse(_pid: int) -> int:
        raise OSError(errno.ENOSYS, "Function not implemented")

    environ = {"PATH": os.environ["PATH"], "MARK": "7.1"}
    command = ["sh", "-c", "echo up; read never"]
    pipe = subprocess.PIPE
    with (
        subprocess.Popen(
            command, env=environ, stdin=pipe, stdout=pipe, start_new_session=True
        ) as process,
        held([process.pid]) as [left],
    ):
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"  # before that it may show no environment
        monkeypatch.setattr(os, "pidfd_open", refuse)
        end(process.pid, b"MARK=8.")
        assert not has_ended(left, 0)
        end(process.pid, b"MARK=7.")
        assert has_ended(left)


def test_a_keeper_goes_on_where_a_group_is_another_users():
    script = """
import os
from perstack.base.keeper import kill_group
if os.getuid() == 0:
    os.setuid(65534)
kill_group(1, 0)
"""
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE)}
    command = [sys.executable, "-c", script]
    ended = subprocess.run(command, env=environ, capture_output=True, check=False)
    assert ended.stderr == b""


@contextlib.contextmanager
def bystander(environ: dict[str, str]) -> Generator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "99"], env=environ) as process:
        try:
            yield process
        finally:
            process.kill()


async def test_nobody_elses_processes_are_taken_along(tmp_path: Path):
    async with Told(tmp_path / "pids") as told, contextlib.AsyncExitStack() as stack:
        process = stack.enter_context(owner(tmp_path, LINGER))
        pids = [int(pid) for pid in (await told.line()).split()]
        others = [
            {"PERSTACK_EXEC": f"{process.pid}0.1"},
            {"PERSTACK_EXEC": f"1{process.pid}.1"},
            {"PERSTACK_EXEC": "", "OTHER": f"PERSTACK_EXEC={process.pid}.1"},
            {"X_PERSTACK_EXEC": f"{process.pid}.1"},
        ]
        bystanders = [stack.enter_context(bystander(environ)) for environ in others]
        left = stack.enter_context(held([*pids, *watchers_of(process.pid)]))
        process.kill()
        assert all(has_ended(pidfd) for pidfd in left)
        assert [one.poll() for one in bystanders] == [None] * len(others)


async def test_a_fork_of_the_process_does_not_hold_the_end_up(tmp_path: Path):
    async with Told(tmp_path / "pids") as told:
        with owner(tmp_path, LINGER, "fork") as process:
            pids = [int(pid) for pid in (await told.line()).split()]
            assert process.stdout is not None
            fork = int(process.stdout.readline())
            with held([*pids, *watchers_of(process.pid)]) as left, held([fork]) as forks:
                process.kill()
                assert all(has_ended(pidfd) for pidfd in left)
                assert not has_ended(forks[0], 0)


async def test_a_watcher_has_no_key_and_nothing_open_but_its_pipe(tmp_path: Path):
    async with Told(tmp_path / "pids") as told:
        with owner(tmp_path, LINGER) as process:
            await told.line()
            (watcher,) = watchers_of(process.pid)
            place = Path("/proc", str(watcher))
            environ = (place / "environ").read_bytes()
            assert CANARY.encode() not in environ
            assert b"PERSTACK" not in environ
            links = opened_by(watcher)
            assert links.pop(0).startswith("pipe:")
            assert links.pop(1) == links.pop(2) == "/dev/null"
            assert not any(link.startswith(("pipe:", "socket:")) for link in links.values())
            assert os.getsid(watcher) == watcher
            assert str((place / "cwd").readlink()) == "/"


async def test_a_command_does_not_inherit_the_pipe(tmp_path: Path):
    async with calls_in(tmp_path) as call:
        said = await call.sh("for fd in /proc/$$/fd/*; do readlink $fd; done; true")
        (watcher,) = watchers_of(os.getpid())
        pipe = opened_by(watcher)[0]
    assert "/dev/null" in said.data["output"]
    assert pipe.startswith("pipe:")
    assert pipe not in said.data["output"]


async def test_the_watcher_is_there_before_the_first_command(tmp_path: Path):
    async with calls_in(tmp_path) as call:
        said = await call.sh("cat /proc/$PPID/task/*/children")
        (watcher,) = watchers_of(os.getpid())
    assert str(watcher) in said.data["output"].split()


async def test_without_a_command_there_is_no_watcher(tmp_path: Path):
    before = living_children()
    async with calls_in(tmp_path) as call:
        await call("healthCheck")
        await call.exec("no-such-program")
        assert LIFELINE.pid is None
        assert living_children() == before


async def test_many_commands_share_a_watcher_that_goes_with_the_tools(tmp_path: Path):
    started: set[int] = set()
    async with calls_in(tmp_path) as call:
        for _ in range(10):
            async with anyio.create_task_group() as tasks:
                for _ in range(20):
                    tasks.start_soon(call.exec, "true")
            started |= set(watchers_of(os.getpid()))
        assert len(started) == 1
        assert started == {LIFELINE.pid}
    assert LIFELINE.pid is None
    assert not is_alive(started.pop())


async def test_first_commands_at_the_same_time_start_one_watcher(tmp_path: Path):
    async with calls_in(tmp_path) as one, calls_in(tmp_path) as two:
        os.mkfifo(tmp_path / "go")

        async def hold(call: Calls, number: int) -> None:
            await call.sh(f"echo here > told{number}; read go < go")

        async with contextlib.AsyncExitStack() as stack:
            told = [await stack.enter_async_context(Told(tmp_path / f"told{i}")) for i in range(4)]
            tasks = await stack.enter_async_context(anyio.create_task_group())
            for number in range(4):
                tasks.start_soon(hold, (one, two)[number % 2], number)
            for line in told:
                assert await line.line() == "here"
            assert watchers_of(os.getpid()) == [LIFELINE.pid]
            tasks.cancel_scope.cancel()
        assert watchers_of(os.getpid()) == [LIFELINE.pid]


async def test_the_last_tools_to_close_end_the_watcher(tmp_path: Path):
    descriptors = open_descriptors()
    async with calls_in(tmp_path) as one:
        async with calls_in(tmp_path) as two:
            await two.exec("true")
            (watcher,) = watchers_of(os.getpid())
        assert watchers_of(os.getpid()) == [watcher]
        await one.exec("true")
        assert watchers_of(os.getpid()) == [watcher]
    assert watchers_of(os.getpid()) == []
    assert open_descriptors() == descriptors


async def test_cancelled_tools_end_the_watcher_too(tmp_path: Path):
    with anyio.CancelScope() as scope:
        async with calls_in(tmp_path) as call:
            await call.exec("true")
            assert len(watchers_of(os.getpid())) == 1
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert watchers_of(os.getpid()) == []


async def test_a_watcher_that_was_killed_is_replaced_before_the_next_command(tmp_path: Path):
    async with calls_in(tmp_path) as call:
        await call.exec("true")
        first = LIFELINE.pid
        assert first is not None
        with held([first]) as (pidfd,):
            kill(pidfd)
            assert has_ended(pidfd)
            assert not (await call.exec("true")).is_error
        assert watchers_of(os.getpid()) == [LIFELINE.pid]
        assert LIFELINE.pid != first


async def test_a_watcher_takes_no_notice_of_polite_signals(tmp_path: Path):
    polite = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    async with calls_in(tmp_path) as call:
        await call.exec("true")
        watcher = LIFELINE.pid
        assert watcher is not None
        with anyio.fail_after(SECONDS):
            while not polite <= ignored_by(watcher):  # noqa: ASYNC110 - it tells nobody
                await anyio.sleep(0.005)
        for number in polite:
            os.kill(watcher, number)
        await call.exec("true")
        assert watchers_of(os.getpid()) == [watcher]


def ignored_by(pid: int) -> set[int]:
    status = Path("/proc", str(pid), "status").read_text()
    mask = int(status.split("SigIgn:")[1].split()[0], 16)
    return {number for number in range(1, 32) if mask >> (number - 1) & 1}
