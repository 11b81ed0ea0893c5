"""Jobs taken away as a whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from perstack.errors import JobInUse, StorageError
from perstack.schema.settings import Settings
from perstack.storage.files import FilesStore
from perstack.storage.listing import kept_jobs
from perstack.storage.removal import GOING, remove_job, remove_rests, size_of
from storage.facts import fact, job, keep, line

pytestmark = pytest.mark.anyio


async def kept(root: Path, *job_ids: str) -> FilesStore:
    store = FilesStore(root, durable=False)
    for job_id in job_ids:
        lease = await store.claim(job_id)
        await store.open_run(job_id, "r1", Settings())
        await keep(store, fact(1, job_id=job_id))
        await store.put_job(job(job_id))
        await lease.release()
    return store


async def test_a_job_is_removed_with_all_that_it_holds_and_no_other(tmp_path: Path) -> None:
    await kept(tmp_path, "j1", "j2")
    assert size_of(tmp_path, "j1") > len(line(fact(1)))
    remove_job(tmp_path, "j1")
    assert [each.id for each in kept_jobs(tmp_path)] == ["j2"]
    assert [path.name for path in (tmp_path / "jobs").iterdir()] == ["j2"]


async def test_a_job_that_somebody_works_on_stays(tmp_path: Path) -> None:
    store = await kept(tmp_path, "j1")
    lease = await store.claim("j1")
    with pytest.raises(JobInUse):
        remove_job(tmp_path, "j1")
    await keep(store, fact(2))
    await lease.release()
    assert [each.id for each in kept_jobs(tmp_path)] == ["j1"]


async def test_a_removal_that_was_cut_short_is_finished_by_the_next(tmp_path: Path) -> None:
    await kept(tmp_path, "j1", "j2")
    (tmp_path / "jobs/j1").rename(tmp_path / f"jobs/{GOING}j1")
    assert [each.id for each in kept_jobs(tmp_path)] == ["j2"]
    remove_rests(tmp_path)
    assert [path.name for path in (tmp_path / "jobs").iterdir()] == ["j2"]


async def test_what_a_link_leads_to_stays(tmp_path: Path) -> None:
    root, outside = tmp_path / "perstack", tmp_path / "outside"
    outside.mkdir()
    (outside / "mine").write_text("mine")
    await kept(root, "j1")
    (root / "jobs/j1/runs/r2").symlink_to(outside)
    (root / "jobs/j1/file").symlink_to(outside / "mine")
    remove_job(root, "j1")
    (root / "jobs/j2").symlink_to(outside)
    with pytest.raises(StorageError):
        remove_job(root, "j2")
    assert (outside / "mine").read_text() == "mine"
    assert [path.name for path in outside.iterdir()] == ["mine"]


async def test_a_job_that_is_not_there_is_an_error_and_makes_nothing(tmp_path: Path) -> None:
    await kept(tmp_path, "j1")
    with pytest.raises(StorageError, match="no job j2"):
        remove_job(tmp_path, "j2")
    assert [path.name for path in (tmp_path / "jobs").iterdir()] == ["j1"]
    remove_rests(tmp_path / "nowhere")
