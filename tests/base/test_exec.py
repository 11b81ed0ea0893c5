from __future__ import annotations

import os
import signal
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from base.kit import Told, calls_in, is_alive
from perstack.base import Caps
from perstack.base.process import Captured

pytestmark = pytest.mark.anyio


async def test_what_a_command_prints_is_its_output(tmp_path: Path):
    async with calls_in(tmp_path) as call:
        said = await call.sh("echo out; echo err >&2")
        assert said.data == {"output": "out\nerr\n"}
        assert not said.is_error
        assert (await call.sh("echo out; echo err >&2", stdout=False)).data == {"output": "err\n"}
        assert (await call.sh("echo out; echo err >&2", stderr=False)).data == {"output": "out\n"}
        assert (await call.exec("true")).data == {"output": "The command printed nothing."}


async def test_a_failed_command_gives_its_status_and_both_streams(tmp_path: Path):
    async with calls_in(tmp_path) as call:
        said = await call.sh("echo out; echo err >&2; exit 3")
        assert said.is_error
        assert said.data == {
            "error": "Command exited with status 3.",
            "stdout": "out\n",
            "stderr": "err\n",
        }
        assert "stdout" not in (await call.sh("exit 3", stdout=False)).data
        killed = await call.sh("kill -9 $$")
        assert killed.data["error"] == "Command was ended by SIGKILL."


async def test_it_runs_in_the_directory_it_is_given(tmp_path: Path):
    (tmp_path / "sub").mkdir()
    async with calls_in(tmp_path) as call:
        said = await call.exec("pwd", cwd="sub")
    assert said.data["output"] == f"{tmp_path}/sub\n"


async def test_the_call_sets_variables_of_its_own(tmp_path: Path):
    async with calls_in(tmp_path) as call:
        said = await call.sh('echo "$GREETING"', env={"GREETING": "hello  you"})
    assert said.data["output"] == "hello  you\n"


async def test_a_program_in_the_workspace_is_run_by_its_path(tmp_path: Path):
    script = tmp_path / "sub/run"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\necho $1\n")
    async with calls_in(tmp_path) as call:
        assert "make it executable" in (await call.exec("./sub/run")).message
        script.chmod(0o755)
        assert (await call.exec("./sub/run", "a b")).data["output"] == "a b\n"
        assert (await call.exec("./run", "x", cwd="sub")).data["output"] == "x\n"
        assert (await call.exec(str(script), "x")).data["output"] == "x\n"
        assert (await call.exec("run", cwd="sub")).is_error


async def test_output_that_comes_before_the_time_limit_is_kept(tmp_path: Path):
    async with calls_in(tmp_path) as call:
        said = await call.sh("echo early; sleep 60", timeout=300)
    assert said.data == {
        "error": "Command timed out after 300ms.",
        "stdout": "early\n",
        "stderr": "",
    }


async def test_a_command_asked_to_end_may_say_goodbye(tmp_path: Path):
    async with calls_in(tmp_path) as call:
        said = await call.sh("trap 'echo bye; exit 0' TERM; sleep 60 & wait", timeout=300)
    assert said.data["stdout"] == "bye\n"
    assert "timed out" in said.data["error"]


async def test_a_cancelled_call_leaves_no_process(tmp_path: Path):
    pid = 0
    async with calls_in(tmp_path) as call, Told(tmp_path / "pid") as told:
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call.sh, "trap '' TERM; echo $$ > pid; sleep 60; sleep 60")
                pid = int(await told.line())
                assert is_alive(pid)
                tasks.cancel_scope.cancel()
    assert pid
    assert not is_alive(pid)


async def test_the_middle_of_a_long_output_is_left_out(tmp_path: Path):
    async with calls_in(tmp_path, caps=Caps(output=1000)) as call:
        said = await call.sh("echo begin; head -c 100000 /dev/zero | tr '\\0' x; echo end")
    output = said.data["output"]
    assert output.startswith("begin\n")
    assert output.endswith("xend\n")
    assert "\n[99010 bytes left out]\n" in output


@given(st.lists(st.binary(max_size=40)), st.integers(2, 60))
def test_a_stream_is_kept_whole_up_to_its_cap(blocks: list[bytes], cap: int):
    captured = Captured(cap)
    for block in blocks:
        captured.add(block)
    whole = b"".join(blocks)
    half = cap // 2
    if len(whole) <= 2 * half:
        assert captured.text == whole.decode("utf-8", "replace")
    else:
        gap = f"\n[{len(whole) - 2 * half} bytes left out]\n".encode()
        expected = whole[:half] + gap + whole[-half:]
        assert captured.text == expected.decode("utf-8", "replace")


async def test_our_own_program_and_no_other_beside_it_is_found_without_path(tmp_path: Path):
    async with calls_in(tmp_path, environ={"PATH": str(tmp_path)}) as call:
        said = await call.exec("perstack", "--version")
        refused = await call.exec("pytest")
    assert said.data["output"].startswith("perstack ")
    assert "was not found on PATH" in refused.message


async def test_on_path_another_program_of_our_name_comes_first(tmp_path: Path):
    theirs = tmp_path / "bin/perstack"
    theirs.parent.mkdir()
    theirs.write_text("#!/bin/sh\necho theirs\n")
    theirs.chmod(0o755)
    async with calls_in(tmp_path, environ={"PATH": f"{theirs.parent}:/usr/bin:/bin"}) as call:
        assert (await call.exec("perstack")).data == {"output": "theirs\n"}


async def test_calls_run_side_by_side(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    async with calls_in(tmp_path) as call, anyio.create_task_group() as tasks:
        tasks.start_soon(call.sh, "echo ready > pipe")  # waits until somebody reads
        assert (await call.exec("cat", "pipe", timeout=10_000)).data["output"] == "ready\n"


async def test_signals_are_as_they_are_for_any_program(tmp_path: Path):
    async with calls_in(tmp_path) as call:
        said = await call.exec("cat", "/proc/self/status")
    fields = dict(line.split(":\t") for line in said.data["output"].splitlines() if ":\t" in line)
    assert not int(fields["SigIgn"], 16) & (1 << (signal.SIGPIPE - 1))
