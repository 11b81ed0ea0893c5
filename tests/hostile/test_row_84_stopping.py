"""Row 84: nobody reads stdout any more, or a signal comes, once or twice, in mid-run."""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import subprocess
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from conftest import gone_within
from crash.policy import result_of
from crash.process import PATIENCE, command, environment, logged
from crash.world import World, open_ports

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

    from crash.world import Ports

pytestmark = [pytest.mark.anyio, pytest.mark.hostile]

SECONDS = 5.0


@pytest.fixture
async def ports() -> AsyncGenerator[Ports]:
    async with open_ports() as ports:
        yield ports


@contextmanager
def piped(world: World, *args: str) -> Generator[tuple[subprocess.Popen[bytes], int, int]]:
    """A runtime whose stdout is a pipe of one page: the process, and the pipe's two ends."""
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
    errors = world.folder.with_suffix(".stderr")
    with errors.open("wb") as stderr:
        process = subprocess.Popen(
            command(world.role, *args),
            cwd=world.folder,
            env=environment(world.folder, world.url),
            stdout=write,
            stderr=stderr,
        )
    try:
        yield process, read, write
    finally:
        process.kill()
        process.wait()
        world.release()
        for descriptor in (read, write):
            with suppress(OSError):
                os.close(descriptor)


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(PATIENCE):
        while not condition():  # noqa: ASYNC110 - a file and another process tell of nothing
            await anyio.sleep(0.005)


async def ended(process: subprocess.Popen[bytes], seconds: float = SECONDS) -> int:
    return await anyio.to_thread.run_sync(process.wait, seconds)


def is_full(write: int) -> bool:
    return not select.select([], [write], [], 0)[1]


def last_event(world: World) -> Any:
    (log,) = logged(world.folder).values()
    return log[-1]


def errors(world: World) -> str:
    return world.folder.with_suffix(".stderr").read_text()


async def test_row_84_a_reader_that_is_gone_stops_the_run_and_the_command_with_it(tmp_path, ports):
    world = ports.world(tmp_path / "w", "solo")
    world.arm("exec:a:about")
    with piped(world, "Do it.") as (process, read, write):
        os.close(write)
        lines = os.fdopen(read, "rb", closefd=False)
        line = b""
        while b'"type":"startToolCall"' not in line:
            line = await anyio.to_thread.run_sync(lines.readline)
        lines.close()
        os.close(read)
        world.release()  # the answer to the call is what cannot be told any more
        assert await ended(process) == 1
    assert last_event(world)["error"]["name"] == "Interrupted"
    assert "stdout" in errors(world)
    assert "--continue" in errors(world)
    assert await world.finishes() == result_of("solo")


async def test_row_84_a_blocked_reader_holds_the_run_up_and_then_reads_every_event(tmp_path, ports):
    world = ports.world(tmp_path / "w", "solo")
    with piped(world, "Do it.") as (process, read, write):
        await until(lambda: is_full(write))
        assert process.poll() is None
        assert world.effects["d"] == 0
        os.close(write)

        with os.fdopen(read, "rb", closefd=False) as lines:
            told = [json.loads(line) for line in await anyio.to_thread.run_sync(list, lines)]
        assert await ended(process) == 0
    (log,) = logged(world.folder).values()
    assert [e["id"] for e in told if "seq" in e] == [e["id"] for e in log]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_row_84_a_signal_ends_a_run_whose_output_nobody_reads(tmp_path, ports, number):
    world = ports.world(tmp_path / "w", "solo")
    with piped(world, "Do it.") as (process, _, write):
        await until(lambda: is_full(write))
        process.send_signal(number)
        assert await ended(process) == 128 + number
    assert last_event(world)["error"]["name"] == "Interrupted"
    assert await world.finishes() == result_of("solo")


def make_deaf(world: World) -> None:
    """Have the command take no notice of polite signals."""
    script = world.folder / "witness"
    script.write_text(
        script.read_text().replace("#!/usr/bin/env bash", f"#!{BASH}\ntrap '' {DEAF}")
    )


BASH = "/bin/bash"
DEAF = "TERM INT HUP"


@pytest.mark.slow
async def test_row_84_sigterm_in_a_call_that_will_not_end(tmp_path, ports):
    world = ports.world(tmp_path / "w", "solo")
    make_deaf(world)
    world.arm("exec:a:about")
    async with world.runtime("Do it.") as runtime:
        await world.hit(runtime)
        runtime.signal(signal.SIGTERM)
        assert await runtime.ended(SECONDS) == 143
        assert gone_within(0, world.pids[0])
    assert last_event(world)["error"]["name"] == "Interrupted"
    assert await world.finishes() == result_of("solo")


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
async def test_row_84_a_second_signal_ends_it_at_once_with_its_commands(tmp_path, ports, second):
    world = ports.world(tmp_path / "w", "solo")
    make_deaf(world)
    world.arm("exec:a:about")
    async with world.runtime("Do it.") as runtime:
        await world.hit(runtime)
        runtime.signal(signal.SIGINT)
        await until(lambda: "second signal" in runtime.errors)
        runtime.signal(second)
        assert await runtime.ended(1.5) == 128 + second
        assert gone_within(0.5, world.pids[0])
    assert last_event(world)["type"] == "startToolCall"
    assert await world.finishes() == result_of("solo")
    assert world.told_unknown() == {"do a": 1}


@pytest.mark.parametrize("closed", ["1", "2", "0"])
async def test_row_84_standard_streams_may_be_closed_from_the_start(tmp_path, ports, closed):
    world = ports.world(tmp_path / "w", "solo")
    told = " ".join(f"'{word}'" for word in command("solo", "Do it."))
    process = await anyio.run_process(
        ["sh", "-c", f"exec {told} {closed}>&-"],
        cwd=world.folder,
        env=environment(world.folder, world.url),
        check=False,
    )
    output = process.stdout + process.stderr
    assert b"Traceback" not in output
    if closed == "1":
        assert process.returncode == 2
        assert b"standard output is closed" in output
        assert not world.effects
    else:
        assert process.returncode == 0
        assert all(json.loads(line)["id"] for line in process.stdout.splitlines())


async def test_row_84_a_full_device_stops_the_run(tmp_path, ports):
    world = ports.world(tmp_path / "w", "solo")
    told = " ".join(f"'{word}'" for word in command("solo", "Do it."))
    process = await anyio.run_process(
        ["sh", "-c", f"exec {told} >/dev/full"],
        cwd=world.folder,
        env=environment(world.folder, world.url),
        check=False,
    )
    assert process.returncode == 1
    assert b"--continue" in process.stderr
    assert b"Traceback" not in process.stderr
    assert not world.effects
