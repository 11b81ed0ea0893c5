"""Commands that print, linger, wait or reach for more than they may."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tracemalloc
from typing import TYPE_CHECKING

import anyio
import pytest

from base.kit import PLAIN, Told, calls_in, is_alive, tree
from perstack.base import Caps
from perstack.base.exec import LONGEST, SHORTEST, clamped_timeout
from perstack.base.process import run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from base.kit import Calls, Said

pytestmark = [pytest.mark.anyio, pytest.mark.hostile, pytest.mark.timeout(30)]

MIB = 1024 * 1024


@contextlib.contextmanager
def flat_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 8 * MIB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "script", ["yes", "cat /dev/zero", "cat /dev/zero >&2", "yes & yes >&2 & wait"]
)
async def test_row_22_endless_output_is_cut_and_the_group_killed(tmp_path: Path, script: str):
    async with calls_in(tmp_path) as call, Told(tmp_path / "pid") as told:
        with flat_memory():
            said = await call.sh(f"echo $$ > pid; {script}", timeout=700)
        assert not is_alive(int(await told.line()))
    assert said.data["error"] == "Command timed out after 700ms."
    for stream in ("stdout", "stderr"):
        assert len(said.data[stream]) < Caps().output + 100
    assert "bytes left out]" in said.data["stdout"] + said.data["stderr"]


@pytest.mark.slow
@pytest.mark.parametrize("wanted", [True, False])
async def test_row_22_a_gibibyte_of_stderr_is_drained(tmp_path: Path, wanted: bool):
    async with calls_in(tmp_path) as call:
        with flat_memory():
            said = await call.sh(
                "head -c 1073741824 /dev/zero >&2; echo done", stderr=wanted, timeout=25_000
            )
    assert not said.is_error
    assert said.data["output"].startswith("done\n")
    assert len(said.data["output"]) < (Caps().output + 100 if wanted else 10)


async def test_row_23_a_command_that_ignores_sigterm_is_killed(tmp_path: Path):
    async with calls_in(tmp_path) as call, Told(tmp_path / "pid") as told:
        with anyio.fail_after(10):
            said = await call.sh("trap '' TERM; echo $$ > pid; while :; do :; done", timeout=200)
        assert not is_alive(int(await told.line()))
    assert "timed out" in said.message


AWAY = """
import os, sys, time
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
print("away", flush=True)
with open("pid", "w") as told: told.write(f"{os.getpid()}\\n")
time.sleep(300)
"""


async def leave_one_behind(
    folder: Path, call: Calls, *, wrapper: str = "", then: str = "exit 0", limit: int = 10_000
) -> tuple[Said, int]:
    """The answer of a command that goes on once its daemon runs, and the daemon's id."""
    os.mkfifo(folder / "go")
    script = f"{wrapper} {sys.executable} -I -S -c '{AWAY}' & read go < go; {then}"
    answers: list[Said] = []
    pids: list[int] = []

    async def command() -> None:
        answers.append(await call.sh(script, timeout=limit))

    async with Told(folder / "pid") as told, anyio.create_task_group() as tasks:
        tasks.start_soon(command)
        pids.append(int(await told.line()))
        (folder / "go").write_text("go\n")
    return answers[0], pids[0]


@pytest.mark.parametrize("then", ["exit 0", "sleep 300; :"])
async def test_row_23_what_goes_away_from_the_group_is_found(tmp_path: Path, then: str):
    async with calls_in(tmp_path) as call:
        said, pid = await leave_one_behind(tmp_path, call, then=then, limit=1500)
        assert said.is_error == (then != "exit 0")
        assert not is_alive(pid)


async def test_row_23_a_held_pipe_does_not_hold_the_call(tmp_path: Path):
    async with calls_in(tmp_path) as call:
        # `env -i` takes the mark away, so nothing finds the holder of the pipe.
        said, pid = await leave_one_behind(tmp_path, call, wrapper="env -i")
        try:
            assert said.data == {"output": "away\n"}
            assert is_alive(pid)
        finally:
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("given", "clamped"),
    [
        (0, SHORTEST),
        (-1, SHORTEST),
        (float("-inf"), SHORTEST),
        (float("nan"), 60_000),
        (1e18, LONGEST),
        (float("inf"), LONGEST),
        (10**18, LONGEST),
        (1500, 1500),
        (1500.5, 1500),
    ],
)
async def test_row_24_a_time_limit_is_brought_into_range(
    tmp_path: Path, given: float, clamped: int
):
    assert clamped_timeout(given) == clamped
    async with calls_in(tmp_path) as call:
        assert not (await call.exec("true", timeout=given)).is_error


@pytest.mark.parametrize("given", [None, "missing"])
async def test_row_24_a_missing_time_limit_is_the_default(tmp_path: Path, given: object):
    more = {} if given == "missing" else {"timeout": given}
    async with calls_in(tmp_path) as call:
        assert not (await call.exec("true", **more)).is_error


@pytest.mark.parametrize("given", ["60", True, [], 10**400])
async def test_row_24_a_time_limit_that_is_no_number_is_refused(tmp_path: Path, given: object):
    async with calls_in(tmp_path) as call:
        assert "timeout" in (await call.exec("true", timeout=given)).message


async def test_row_25_there_is_no_input_and_no_terminal(tmp_path: Path):
    async with calls_in(tmp_path) as call:
        with anyio.fail_after(5):
            assert (await call.exec("cat")).data["output"] == "The command printed nothing."
            said = await call.sh("read answer < /dev/tty")
            assert said.is_error
            assert "/dev/tty" in said.data["stderr"]
            ids = await call.sh(
                "ps -o pid=,sid= -p $$ 2>/dev/null || cut -d' ' -f1,6 /proc/$$/stat"
            )
    pid, session = ids.data["output"].split()
    assert pid == session


@pytest.mark.parametrize("cwd", ["..", "/", "/tmp", "link", "sub/../..", "perstack"])
async def test_row_27_a_working_directory_outside_is_refused(tmp_path: Path, cwd: str):
    (tmp_path / "ws/sub").mkdir(parents=True)
    (tmp_path / "ws/perstack").mkdir()
    (tmp_path / "ws/link").symlink_to("/")
    async with calls_in(tmp_path / "ws") as call:
        said = await call.exec("touch", "made", cwd=cwd)
    assert said.is_error
    assert not any("made" in name for name in tree(tmp_path))


@pytest.mark.parametrize("cwd", ["file", "missing", "gone"])
async def test_row_27_a_working_directory_that_is_none_is_refused(tmp_path: Path, cwd: str):
    (tmp_path / "file").touch()
    (tmp_path / "gone").mkdir()
    (tmp_path / "gone").rmdir()
    async with calls_in(tmp_path) as call:
        assert cwd in (await call.exec("true", cwd=cwd)).message


@pytest.mark.skipif(sys.platform != "linux", reason="a directory is pinned through /proc")
async def test_row_27_the_directory_that_was_checked_is_the_one_it_runs_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    inside = tmp_path / "ws/sub"
    inside.mkdir(parents=True)

    async def swap_first(*args: object) -> object:
        inside.rename(tmp_path / "ws/moved")
        inside.symlink_to("/")
        return await run(*args)  # type: ignore[arg-type]

    monkeypatch.setattr("perstack.base.exec.run", swap_first)
    async with calls_in(tmp_path / "ws") as call:
        said = await call.sh("pwd -P", cwd="sub")
    assert said.data["output"] == f"{tmp_path}/ws/moved\n"


@pytest.mark.parametrize(
    "argument", ["a;touch made", "$(touch made)", "`touch made`", "a\ntouch made", "*", "| cat", ""]
)
async def test_row_28_arguments_are_passed_as_they_are(tmp_path: Path, argument: str):
    async with calls_in(tmp_path) as call:
        said = await call.exec("printf", "%s|%s|", argument, "next")
    assert said.data["output"] == f"{argument}|next|"
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "command",
    [
        "",
        "/",
        ".",
        "..",
        "sub/",
        "./missing",
        "../run",
        "/usr/share/x",
        "a b",
        "$(id)",
        "sub",
        "-c",
    ],
)
async def test_row_28_a_command_that_is_no_program_is_refused(tmp_path: Path, command: str):
    (tmp_path / "ws/sub").mkdir(parents=True)
    (tmp_path / "run").write_text("#!/bin/sh\ntouch made\n")
    (tmp_path / "run").chmod(0o755)
    async with calls_in(tmp_path / "ws") as call:
        said = await call.exec(command)
    assert said.is_error
    assert "Traceback" not in said.message
    assert "failed:" not in said.message


async def test_row_28_a_program_is_not_picked_up_from_the_working_directory(tmp_path: Path):
    (tmp_path / "tool").write_text("#!/bin/sh\ntouch made\n")
    (tmp_path / "tool").chmod(0o755)
    environ = {"PATH": f":.:{PLAIN['PATH']}:"}
    async with calls_in(tmp_path, environ=environ) as call:
        assert "not found on PATH" in (await call.exec("tool")).message


@pytest.mark.parametrize(
    "more",
    [{"args": ["a\0b"]}, {"command": "tr\0ue"}, {"cwd": "a\0"}, {"args": ["x" * (2 * MIB)]}],
)
async def test_row_28_a_nul_or_an_argument_too_long_is_an_answer(
    tmp_path: Path, more: dict[str, object]
):
    async with calls_in(tmp_path) as call:
        said = await call.exec(str(more.pop("command", "true")), **more)
    assert said.is_error
    assert "NUL" in said.message or "too long" in said.message


async def test_row_28_a_file_the_kernel_cannot_run_is_an_answer(tmp_path: Path):
    for name, content in (("text", "no program"), ("lost", "#!/missing/interpreter\n")):
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(0o755)
    async with calls_in(tmp_path) as call:
        for name in ("text", "lost"):
            assert "could not be started" in (await call.exec(f"./{name}")).message
