"""Rows 72, 73 and 74: killed while writing, nothing left to write with, and two at once."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from perstack.errors import JobInUse
from perstack.storage.files import FilesStore
from storage.facts import fact, job, keep, kept

if TYPE_CHECKING:
    from collections.abc import Generator

pytestmark = pytest.mark.hostile

TESTS = Path(__file__).parents[1]
PROGRAMS = Path(__file__).parent


def ran(*command: str, timeout: float = 50) -> str:
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# Row 72


async def survived(folder: Path) -> None:
    promised: dict[str, list[list[str]]] = defaultdict(list)
    for words in (folder / "promised").read_text().splitlines():
        what, *rest = words.split()
        promised[what].append(rest)
    events = {run_id: int(seq) for run_id, seq in promised["event"]}
    store = FilesStore(folder / "perstack")

    record = await store.get_job("j1")
    last = int(promised["job"][-1][0]) if promised["job"] else 0
    assert (record.started_at if record else 0) in (last, last + 1)
    named = list(dict.fromkeys(run_id for (run_id,) in promised["run"]))
    runs = await store.runs("j1")
    assert runs[: len(named)] == named
    assert runs == ["b", "a"][: len(runs)]

    lease = await store.claim("j1")
    for run_id in runs:
        found = await kept(store, run_id)
        count = events.get(run_id, 0)
        assert len(found) in (count, count + 1)
        expected = [fact(seq, run_id, text="x" * 200) for seq in range(1, len(found) + 1)]
        assert found == expected
        following = fact(len(found) + 1, run_id, text="carried on")
        await keep(store, following)
        assert await kept(store, run_id) == [*found, following]
    await store.put_job(job(started_at=9))
    await store.flush("j1")
    await lease.release()
    assert await store.get_job("j1") == job(started_at=9)


def test_row_72_killed_at_any_write_step_the_next_owner_finds_all_that_was_promised(tmp_path):
    steps = int(ran(sys.executable, str(PROGRAMS / "storage_killed.py"), str(tmp_path)))
    assert steps >= 50
    folders = [path for path in tmp_path.iterdir() if (path / "promised").exists()]
    assert len(folders) >= 2 * steps
    for folder in folders:
        try:
            anyio.run(survived, folder)
        except BaseException as error:
            error.add_note(f"killed at step {folder.name}")
            raise


# Row 73


def troubled(folder: Path, trouble: str, *prefix: str) -> dict[str, str]:
    command = (*prefix, sys.executable, str(PROGRAMS / "storage_troubled.py"))
    return json.loads(ran(*command, str(folder), trouble))


def small_disk(place: Path) -> tuple[str, ...]:
    """What to put before a command, so that it finds a small disk at `place` of its own."""
    prefix = ("unshare", "--user", "--map-root-user", "--mount")
    probe = (*prefix, "mount", "-t", "tmpfs", "probe", str(place))
    if shutil.which("unshare") is None or subprocess.run(probe, check=False).returncode:
        pytest.skip("this machine lets nobody mount a disk of their own")
    script = 'mount -t tmpfs -o size=256k small "$0" && exec "$@"'
    return (*prefix, "sh", "-c", script, str(place))


def test_row_73_a_full_disk_is_an_error_and_the_log_stays_whole(tmp_path):
    said = troubled(tmp_path, "full", *small_disk(tmp_path))
    assert said.pop("read") == ""
    assert all("the disk is full" in message for message in said.values())


def test_row_73_a_file_that_may_not_grow_is_an_error_and_the_log_stays_whole(tmp_path):
    said = troubled(tmp_path, "limited")
    assert said["append"] == said["append again"]
    assert said["append"].endswith("events.jsonl: the file would pass the size limit (`ulimit -f`)")
    assert said["read"] == ""


def test_row_73_a_read_only_disk_is_an_error_and_can_be_read(tmp_path):
    said = troubled(tmp_path, "read-only", *small_disk(tmp_path))
    assert said.pop("read") == ""
    assert said["claim"].endswith("lock: Read-only file system")
    assert all(said.values())


def test_row_73_no_descriptor_left_is_an_error_and_the_log_stays_whole(tmp_path):
    said = troubled(tmp_path, "descriptors")
    assert said["append"] == ""  # an open log needs no other descriptor
    for attempt in ("open a run", "claim", "read"):
        assert said[attempt].endswith("this process has too many open files (`ulimit -n`)")


# Row 74


@contextmanager
def owned(root: Path) -> Generator[tuple[subprocess.Popen[bytes], int]]:
    """A process that owns `j1`, and the pid of its child."""
    with subprocess.Popen(
        (sys.executable, str(PROGRAMS / "storage_owner.py"), str(root)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
    ) as owner:
        assert owner.stdout
        sleeper = int(owner.stdout.readline())
        try:
            yield owner, sleeper
        finally:
            owner.kill()
            os.kill(sleeper, signal.SIGKILL)


@pytest.mark.anyio
async def test_row_74_a_second_process_is_refused_until_the_first_one_is_gone(tmp_path):
    root = tmp_path / "perstack"
    with owned(root) as (owner, sleeper):
        store = FilesStore(root)
        with pytest.raises(JobInUse) as caught:
            await store.claim("j1")
        assert f"Job j1 is being worked on by process {owner.pid}" in caught.value.message
        with pytest.raises(JobInUse):
            await store.put_job(job())
        assert await kept(store) == [fact(1)]
        await (await store.claim("j2")).release()
        owner.kill()
        owner.wait(10)
        os.kill(sleeper, 0)  # a child of the owner lives on, and holds nothing
        await store.claim("j1")
        await keep(store, fact(2))
        assert await kept(store) == [fact(1), fact(2)]
