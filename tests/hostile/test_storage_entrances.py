"""Rows 10 and 69: links in the place of records, and ids that are paths."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from perstack.errors import PerstackError, StorageError, UsageError
from perstack.schema.settings import Settings
from perstack.storage.files import FilesStore
from storage.facts import fact, job, keep, kept

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.anyio, pytest.mark.hostile]

LINKS = ["", "jobs", "jobs/j1", "jobs/j1/runs", "jobs/j1/runs/r1"]
FILES = [
    "jobs/j1/lock",
    "jobs/j1/job.json",
    "jobs/j1/runs/r1/events.jsonl",
    "jobs/j1/runs/r1/run.json",
]


async def written(root: Path) -> None:
    store = FilesStore(root)
    lease = await store.claim("j1")
    try:
        await store.put_job(job())
        await store.open_run("j1", "r1", Settings())
        await keep(store, fact(1))
        await store.flush("j1")
    finally:
        await lease.release()


def seen(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "precious").write_text("keep me")
    return folder


@pytest.mark.parametrize("name", LINKS)
async def test_row_10_a_folder_that_is_a_link_is_refused_and_nothing_goes_through(
    tmp_path, outside, name
):
    root = tmp_path / "workspace/perstack"
    (root / name).parent.mkdir(parents=True)
    (root / name).symlink_to(outside, target_is_directory=True)
    before = seen(outside)
    with pytest.raises(StorageError, match="link"):
        await written(root)
    assert seen(outside) == before


@pytest.mark.parametrize("name", LINKS)
async def test_row_10_a_dangling_link_makes_nothing_outside(tmp_path, outside, name):
    root = tmp_path / "workspace/perstack"
    (root / name).parent.mkdir(parents=True)
    (root / name).symlink_to(outside / "made")
    with pytest.raises(StorageError):
        await written(root)
    assert not (outside / "made").exists()


@pytest.mark.parametrize("name", LINKS)
async def test_row_10_nothing_is_read_through_a_link(tmp_path, name):
    elsewhere, root = tmp_path / "elsewhere", tmp_path / "workspace/perstack"
    await written(elsewhere)
    (root / name).parent.mkdir(parents=True)
    (root / name).symlink_to(elsewhere / name, target_is_directory=True)
    store = FilesStore(root)
    with pytest.raises(StorageError, match="link"):
        await kept(store)
    if not name.endswith("r1"):
        with pytest.raises(StorageError, match="link"):
            await store.runs("j1") if name.endswith("runs") else await store.get_job("j1")
    else:
        with pytest.raises(StorageError, match="link"):
            await store.runs("j1")
    if name == "jobs/j1":
        assert await store.jobs() == []


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", ["link", "hard link", "fifo", "folder"])
async def test_row_10_a_record_that_is_no_file_of_ours_is_never_written_to(
    tmp_path, outside, name, kind
):
    root = tmp_path / "workspace/perstack"
    place = root / name
    place.parent.mkdir(parents=True)
    if kind == "link":
        place.symlink_to(outside / "precious")
    elif kind == "hard link":
        os.link(outside / "precious", place)
    elif kind == "fifo":
        os.mkfifo(place)
    else:
        place.mkdir()
        (place / "full").touch()
    before = seen(outside)
    is_replaced = name.endswith("job.json") and kind != "folder"
    if is_replaced or (name.endswith("run.json") and kind == "hard link"):
        await written(root)  # a new file takes the name; the other one keeps what it holds
        assert place.is_file()
        assert not place.is_symlink()
    else:
        with pytest.raises(StorageError):
            await written(root)
    assert seen(outside) == before


@pytest.mark.parametrize("name", ["", "jobs", "jobs/j1", "jobs/j1/runs", "jobs/j1/runs/r1"])
async def test_row_73_a_file_where_a_folder_must_be_is_an_error_that_names_it(tmp_path, name):
    root = tmp_path / "perstack"
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text("not a folder")
    with pytest.raises(StorageError) as caught:
        await written(root)
    assert str(root / name) in caught.value.message
    assert (root / name).read_text() == "not a folder"


HOSTILE_IDS = [
    "",
    ".",
    "..",
    "../../x",
    "..%2f",
    "%2e%2e",
    "/etc",
    "a/b",
    "a\\b",
    "a\0",
    "a\n",
    "\n",
    "-rf",
    "_x",
    "~",
    "~root",
    "a b",
    "a.b",
    "j1/../j1",
    "C:x",
    "x" * 129,
    "x" * 10_000,
    "ä",
    "\u0661",  # a digit, but of another script
    "\u2025",  # folds to two dots
    "\ud800",
    "\u202ex",
    "\x1b[2J",
]


@pytest.mark.parametrize("bad", HOSTILE_IDS, ids=ascii)
async def test_row_69_no_id_becomes_a_path(tmp_path, bad):
    root = tmp_path / "workspace/perstack"
    await written(root)
    store = FilesStore(root)
    before = seen(tmp_path)
    await store.claim("j1")
    attempts = (
        lambda: store.claim(bad),
        lambda: store.open_run(bad, "r1", Settings()),
        lambda: store.open_run("j1", bad, Settings()),
        lambda: store.append(fact(1, job_id=bad), b"{}"),
        lambda: store.append(fact(1, bad), b"{}"),
        lambda: store.flush(bad),
        lambda: kept(store, job_id=bad),
        lambda: kept(store, bad),
        lambda: store.runs(bad),
        lambda: store.put_job(job(bad)),
        lambda: store.get_job(bad),
    )
    for attempt in attempts:
        with pytest.raises(UsageError, match=r"is not a (job|run) id") as caught:
            await attempt()
        assert caught.value.message.isascii()
        assert len(caught.value.message) < 600
    store.let_go(store._held["j1"])
    assert seen(tmp_path) == before


@pytest.mark.parametrize("bad", ["..", "../../x", "/etc"])
async def test_row_69_an_id_inside_a_record_is_not_believed(tmp_path, bad):
    root = tmp_path / "perstack"
    await written(root)
    record = root / "jobs/j1/job.json"
    record.write_text(record.read_text().replace('"j1"', f'"{bad}"'))
    store = FilesStore(root)
    found = await store.get_job("j1")
    assert found is not None
    assert found.id == "j1"
    assert await store.jobs() == [found]
    log = root / "jobs/j1/runs/r1/events.jsonl"
    log.write_text(log.read_text().replace('"jobId":"j1"', f'"jobId":"{bad}"'))
    with pytest.raises(PerstackError, match="another job"):
        await kept(store)
