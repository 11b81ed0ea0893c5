"""Whether somebody works on a job, asked without touching its lock."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from perstack.storage import holder
from perstack.storage.files import FilesStore
from perstack.storage.holder import is_held

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["the kernel's list", "the number in the file"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if request.param == "the number in the file":
        monkeypatch.setattr(holder, "LOCKS", tmp_path / "no such file")


async def test_a_job_is_held_from_its_claim_to_its_release(tmp_path: Path, way: None) -> None:
    store = FilesStore(tmp_path)
    assert not is_held(tmp_path, "j1")
    lease = await store.claim("j1")
    assert is_held(tmp_path, "j1")
    await lease.release()
    assert not is_held(tmp_path, "j1")


async def test_asking_takes_no_lock(tmp_path: Path, way: None, monkeypatch) -> None:
    store = FilesStore(tmp_path)
    await (await store.claim("j1")).release()
    monkeypatch.setattr("fcntl.flock", pytest.fail)
    assert not is_held(tmp_path, "j1")


@pytest.mark.parametrize("written", [b"", b"0", b"-1", b"x", b"99999999999999999999", b"\xff"])
async def test_a_file_that_names_no_process_holds_nothing(
    tmp_path: Path, written: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holder, "LOCKS", tmp_path / "no such file")
    (tmp_path / "jobs/j1").mkdir(parents=True)
    (tmp_path / "jobs/j1/lock").write_bytes(written)
    assert not is_held(tmp_path, "j1")


async def test_a_link_in_the_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "jobs/j1").mkdir(parents=True)
    (tmp_path / "pid").write_text(f"{os.getpid()}")
    (tmp_path / "jobs/j1/lock").symlink_to(tmp_path / "pid")
    assert not is_held(tmp_path, "j1")
