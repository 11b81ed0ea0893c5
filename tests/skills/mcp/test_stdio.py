"""A server as a process: its messages, its complaints, and its certain end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from base.kit import is_alive, open_descriptors
from conftest import living_children
from perstack.base.lifeline import LIFELINE
from perstack.skills.mcp import Patience, ServerGone
from perstack.skills.mcp.command import Command
from perstack.skills.mcp.lines import Complaints, Messages
from perstack.skills.mcp.stdio import StdioTransport
from skills.mcp.sessions import (
    CALM,
    ENVIRONMENT,
    PROGRAM,
    Said,
    left_out,
    python,
    session,
    shell,
    started,
)

if TYPE_CHECKING:
    from collections.abc import Generator

    from perstack.skills.mcp.session import Session

pytestmark = pytest.mark.anyio
linux = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")

OWNER = Path(__file__).with_name("session_owner.py")
SOURCE = Path(__file__).parents[3] / "src"
MIB = 1024 * 1024


async def pids_of(one: Session) -> list[int]:
    structured: Any = (await one.call("pid", {})).structured
    return list(structured["pids"])


@contextlib.contextmanager
def nothing_left() -> Generator[None]:
    """No process, no watcher, no descriptor."""
    descriptors, children = open_descriptors(), living_children()
    yield
    assert living_children() == children
    assert LIFELINE.pid is None
    assert open_descriptors() == descriptors


async def test_messages_go_and_come_whole_and_in_order():
    sent = [b"x" * size for size in (1, 70_000, 3 * MIB, 2)]
    with nothing_left():
        async with StdioTransport(shell("cat")) as transport, anyio.create_task_group() as tasks:

            async def send_all() -> None:
                for message in sent:
                    await transport.send(message)

            tasks.start_soon(send_all)
            assert [await transport.receive() for _ in sent] == sent


async def test_blank_lines_are_no_messages():
    async with StdioTransport(shell(r"printf '\n \r\n\na\r\n\nb\n'")) as transport:
        assert [(await transport.receive()).strip() for _ in range(2)] == [b"a", b"b"]
        with pytest.raises(ServerGone):
            await transport.receive()


async def test_half_a_message_at_the_end_is_none():
    async with StdioTransport(shell("printf half")) as transport:
        with pytest.raises(ServerGone, match="status 0"):
            await transport.receive()


@pytest.mark.parametrize(
    ("command", "match"),
    [
        (Command("/no/such/program", ("it",), "/", {}), "/no/such/program: No such file"),
        (Command("/bin/sh", ("sh",), "/no/such/folder", {}), "/no/such/folder: No such file"),
        (Command("/bin/sh", ("sh",), "/", {"A": "\0"}), "null byte"),
    ],
)
async def test_a_server_that_cannot_be_started_is_gone(command: Command, match: str):
    with nothing_left(), pytest.raises(ServerGone, match=match):
        async with StdioTransport(command):
            pytest.fail("it was started")


@pytest.mark.parametrize(
    ("script", "match"),
    [
        ("echo one >&2; echo two >&2; exit 3", r"status 3\. It printed:\none\ntwo$"),
        ("printf 'no end' >&2; exit 1", r"status 1\. It printed:\nno end$"),
        ("kill -9 $$", r"signal 9\.$"),
        ("kill -PIPE $$; exit 5", r"signal 13\.$"),
        ("trap 'exit 6' TERM; kill -TERM 0; exit 5", r"status 6\.$"),
    ],
)
async def test_the_end_of_a_server_says_how_it_came_about(script: str, match: str):
    async with StdioTransport(shell(script)) as transport:
        with pytest.raises(ServerGone, match=match):
            await transport.receive()


async def test_a_server_that_closes_its_output_has_hung_up():
    with nothing_left():
        async with StdioTransport(shell("exec >&-; exec sleep 1000"), stop=0.1) as transport:
            with pytest.raises(ServerGone, match="hung up"):
                await transport.receive()


@linux
@pytest.mark.hostile
async def test_a_server_that_ended_is_gone_though_its_child_holds_its_pipes():
    async with started("orphan", "exit-call") as one:
        with pytest.raises(ServerGone, match="status 7"):
            await one.call("echo", {})


@linux
@pytest.mark.hostile
async def test_a_child_that_floods_the_pipes_of_a_server_that_ended_holds_nobody_up():
    with nothing_left():
        async with started("haunt") as one:
            with pytest.raises(ServerGone, match=r"status 7\. It printed:\nfatal: out of body"):
                await one.call("echo", {})


@linux
@pytest.mark.hostile
async def test_a_message_nobody_takes_any_more_does_not_wait_for_a_child_that_holds_the_pipe():
    script = "import os,time; os.fork() or time.sleep(1000); input()"
    async with StdioTransport(python("-c", script), stop=0.1) as transport:
        await transport.send(b"end")
        with pytest.raises(ServerGone):
            await transport.send(b"x" * MIB)


@linux
@pytest.mark.hostile
@pytest.mark.parametrize("modes", [("orphan", "naked"), ("naked", "hang-shutdown"), ("naked",)])
async def test_leaving_ends_the_server_and_what_it_started_elsewhere(modes: tuple[str, ...]):
    with nothing_left():
        async with started(*modes) as one:
            pids = await pids_of(one)
            for pid in pids:
                os.kill(pid, 0)  # it is there; one just started shows no command line yet
        assert not any(is_alive(pid) for pid in pids)


@linux
@pytest.mark.hostile
async def test_a_cancelled_session_ends_its_server_too():
    pids: list[int] = []
    with nothing_left(), anyio.CancelScope() as scope:
        async with started("orphan", "hang-shutdown") as one:
            pids += await pids_of(one)
            scope.cancel()
            await one.call("slow", {})
    assert scope.cancelled_caught
    assert pids
    assert not any(is_alive(pid) for pid in pids)


@linux
async def test_a_session_in_a_task_that_asyncio_cancels_ends_its_server_too():
    task = asyncio.current_task()
    assert task is not None
    with nothing_left():
        try:
            async with started("orphan"):
                task.cancel()
                await anyio.sleep_forever()
        except asyncio.CancelledError:
            assert task.uncancel() == 0


@linux
async def test_an_error_in_a_session_comes_out_as_it_is_and_ends_the_server():
    with nothing_left(), pytest.raises(KeyError, match="mine"):
        async with started():
            raise KeyError("mine")


async def test_a_server_may_end_by_itself_when_its_input_does(tmp_path: Path):
    script = f"cat; echo done > {tmp_path}/done"
    async with StdioTransport(shell(script), stop=20):
        pass
    assert (tmp_path / "done").read_text() == "done\n"


async def test_a_server_that_finishes_a_message_first_is_not_held_up(tmp_path: Path):
    script = f"cat; head -c 1000000 /dev/zero; echo done > {tmp_path}/done"
    async with StdioTransport(shell(script), stop=20):
        pass
    assert (tmp_path / "done").read_text() == "done\n"


@linux
@pytest.mark.hostile
async def test_a_server_that_ended_takes_along_what_it_left_behind():
    async with started("orphan", "naked") as one:
        server, *others = await pids_of(one)
        os.kill(server, signal.SIGKILL)
        with pytest.raises(ServerGone, match="signal 9"):
            await one.call("echo", {})
        assert len(others) == 2
        assert not any(is_alive(pid) for pid in others)


@linux
@pytest.mark.hostile
async def test_a_server_whose_keeper_was_killed_is_found_by_its_mark():
    with nothing_left():
        async with started("orphan") as one:
            pids = await pids_of(one)
            status = await anyio.Path("/proc", str(pids[0]), "stat").read_text()
            os.kill(int(status.rpartition(")")[2].split()[1]), signal.SIGKILL)
            with pytest.raises(ServerGone, match="signal 9"):
                await one.call("slow", {})
        assert not any(is_alive(pid) for pid in pids)


@linux
async def test_where_the_system_has_no_descriptors_for_processes_a_server_has_no_keeper(
    monkeypatch: pytest.MonkeyPatch,
):
    def refuse(_pid: int) -> int:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(os, "pidfd_open", refuse)
    with nothing_left():
        async with started("orphan") as one:
            pids = await pids_of(one)
            status = await anyio.Path("/proc", str(pids[0]), "stat").read_text()
            assert int(status.rpartition(")")[2].split()[1]) == os.getpid()
        assert not any(is_alive(pid) for pid in pids)


@linux
@pytest.mark.hostile
@pytest.mark.parametrize("forks", ["", "yes"])
def test_a_killed_runtime_takes_its_servers_with_it(forks: str):
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE), "FORKS": forks}
    server = (sys.executable, "-I", "-S", str(PROGRAM), "orphan", "naked", "hang-shutdown")
    with subprocess.Popen(
        [sys.executable, str(OWNER), *server], env=environ, stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout is not None
        told = json.loads(owner.stdout.readline())
        ends = [os.pidfd_open(pid) for pid in told["pids"]]
        assert len(ends) == 3
        owner.kill()
    for end in ends:
        poll = select.poll()
        poll.register(end, select.POLLIN)
        assert poll.poll(10_000)
        os.close(end)
    if forks:
        os.kill(told["fork"], signal.SIGKILL)


@pytest.mark.hostile
async def test_a_server_that_reads_nothing_holds_nobody_up():
    hasty = Patience(start=30, listing=30, call=0.1, stop=0.1)
    with nothing_left():
        async with started("deaf", patience=hasty) as one:
            await one.tools()
            for _ in range(3):
                with pytest.raises(TimeoutError, match=r"did not answer the call within 0\.1 s"):
                    await one.call("echo", {"long": "x" * MIB})


async def test_what_was_left_of_a_message_goes_ahead_of_the_next(tmp_path: Path):
    os.mkfifo(tmp_path / "go")
    script = f"echo ready; read go < {tmp_path}/go; cat"
    async with StdioTransport(shell(script)) as transport:
        assert await transport.receive() == b"ready"
        with anyio.move_on_after(0.05) as scope:
            await transport.send(b"a" * MIB)
        assert scope.cancelled_caught
        (tmp_path / "go").write_text("go\n")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(transport.send, b"b" * MIB)
            assert await transport.receive() == b"a" * MIB
            assert await transport.receive() == b"b" * MIB


@linux
async def test_a_server_has_the_environment_it_is_given_and_a_mark():
    async with started() as one:
        structured: Any = (await one.call("env", {})).structured
    mark = structured.pop("PERSTACK_EXEC")
    assert mark.startswith(f"{os.getpid()}.")
    structured.pop("LC_CTYPE", None)  # the interpreter's own
    assert structured == ENVIRONMENT


async def test_complaints_are_lines_of_text():
    said = Said()
    script = r"printf 'one\r\n\n  \n t\303\274r \nbad \377\nno end' >&2"
    async with StdioTransport(shell(script), said.stderr.append) as transport:
        with pytest.raises(ServerGone):
            await transport.receive()
    assert said.stderr == ["one", " tür", "bad \ufffd", "no end"]


@pytest.mark.hostile
async def test_complaints_beyond_a_bearable_rate_are_counted():
    said = Said()
    async with session("stderr-chat", said=said) as one:
        await one.start()
    given = [line for line in said.stderr if line.startswith("line ")]
    assert given[:20] == [f"line {number}" for number in range(20)]
    assert len(given) + left_out(said.stderr) == 5000
    assert left_out(said.stderr) > 1000


async def test_a_complaint_without_an_end_is_cut():
    given: list[str] = []
    complaints = Complaints(given.append)
    for _ in range(100):
        complaints.add(b"x" * 1000)
    complaints.add(b"\nnext\n")
    assert given == ["x" * 2000 + " [...]", "next"]


def messages_in(limit: int, *pieces: bytes) -> list[bytes]:
    messages = Messages(limit)
    found: list[bytes] = []
    for piece in pieces:
        messages.add(piece)
        while (message := messages.next()) is not None:
            found.append(message)
    return found


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_messages_are_the_same_however_they_come_in(size: int):
    data = b'{"a":1}\nlonger than all others, far longer\n\n{"b":2}\n'
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    first, dropped, last = messages_in(20, *pieces)
    assert (first, last) == (b'{"a":1}', b'{"b":2}')
    assert json.loads(dropped)["id"] is None


@pytest.mark.parametrize(
    ("line", "number"),
    [
        (b'{"jsonrpc":"2.0","id":7,"result":"' + b"x" * 9000 + b'"}', 7),
        (b'{"id": 7, "result":"' + b"x" * 9000 + b'"}', 7),
        (b'{"result":"' + b"x" * 9000 + b'","jsonrpc":"2.0","id":7}', 7),
        (b'{"result":"' + b"x" * 9000 + b'", "id": 7, "jsonrpc": "2.0"}\r', 7),
        (b'{"result":{"id":7,"x":"' + b"x" * 9000 + b'"}}', None),
        (b'{"jsonrpc":"2.0","id":"7","result":"' + b"x" * 9000 + b'"}', None),
    ],
)
def test_a_message_that_is_too_long_refuses_the_question_it_answers(
    line: bytes, number: int | None
):
    pieces = [line[at : at + 500] for at in range(0, len(line), 500)]
    (instead,) = messages_in(2000, *pieces, b"\n")
    assert json.loads(instead)["id"] == number
    assert "error" in json.loads(instead)


def test_a_message_of_exactly_the_limit_is_kept():
    assert messages_in(5, b"12345\n") == [b"12345"]
    assert b"error" in messages_in(5, b"123456\n")[0]


@linux
@pytest.mark.hostile
@pytest.mark.parametrize(
    ("mode", "outcome"),
    [
        ("long-line", "more than 16 MiB"),
        ("endless-line", "a message without an end"),
        ("stderr-flood", ""),
        ("storm", ""),
        ("heavy-ids", ""),
        ("heavy-log", ""),
        ("crowded-log", ""),
        ("heavy-refusal", "too long to be read"),
        ("crowded-tools", "more than 100000 values"),
        ("crowded-schema", ""),
        ("crowded-content", "more than 100000 values"),
        ("crowded-data", ""),
        ("crowded-alone", "more than 100000 values"),
    ],
)
async def test_no_flood_takes_more_than_32_mib(mode: str, outcome: str):
    said = Said()
    async with session(mode, said=said, patience=CALM) as one:
        before = new_peak()
        await one.start()
        failure = ""
        try:
            await one.tools()
            await one.call("echo", {})
        except Exception as error:  # noqa: BLE001 - what it is stands in its text
            failure = str(error)
    assert outcome in failure
    assert bool(outcome) == bool(failure)
    assert peak() - before <= 32 * MIB


def new_peak() -> int:
    """The same, from now on."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak()


def peak() -> int:
    """The most memory that was resident, in bytes."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024
