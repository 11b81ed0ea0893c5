"""A program for row 73: writes a job, runs into trouble, and goes on once it is over.

Usage: storage_troubled.py FOLDER full|limited|read-only|descriptors. Prints, as
JSON, what each attempt in the trouble said ("" where it worked).
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import anyio

from perstack.errors import StorageError
from perstack.schema.settings import Settings
from perstack.storage.files import FilesStore
from storage.facts import fact, job, keep, kept

BEFORE = [fact(1, text="x" * 1000), fact(2)]


def remount(root: Path, how: str) -> None:
    command = ["mount", "-o", f"remount,{how}", str(root.parent)]
    subprocess.run(command, check=True, timeout=10)


def begin(trouble: str, root: Path) -> None:
    match trouble:
        case "full":
            with suppress(OSError), (root.parent / "filler").open("wb", buffering=0) as filler:
                while True:
                    filler.write(b"\0" * 512)
        case "limited":
            resource.setrlimit(resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))
        case "read-only":
            remount(root, "ro")
        case "descriptors":
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, 4096))
            with suppress(OSError):
                while True:
                    os.dup(0)


def end(trouble: str, root: Path) -> None:
    match trouble:
        case "full":
            (root.parent / "filler").unlink()
        case "limited":
            resource.setrlimit(
                resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            )
        case "read-only":
            remount(root, "rw")
        case "descriptors":
            resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))


async def main(root: Path, trouble: str) -> None:
    store = FilesStore(root)
    lease = await store.claim("j1")
    await store.put_job(job())
    await store.open_run("j1", "r1", Settings())
    await keep(store, *BEFORE)
    await store.flush("j1")
    if trouble == "read-only":  # a disk with a file open for writing cannot become read-only
        await lease.release()
    attempts = {
        "append": lambda: keep(store, fact(3, text="x" * 300_000)),
        "append again": lambda: keep(store, fact(3, text="x" * 300_000)),
        "open a run": lambda: store.open_run("j1", "r2", Settings()),
        "put the job": lambda: store.put_job(job(started_at=2)),
        "claim": lambda: FilesStore(root).claim("j1" if trouble == "read-only" else "j2"),
        "read": lambda: kept(FilesStore(root)),
    }
    begin(trouble, root)
    said: dict[str, str] = {}
    for name, attempt in attempts.items():
        try:
            await attempt()
            said[name] = ""
        except StorageError as error:
            said[name] = error.message
    end(trouble, root)
    if trouble == "read-only":
        await store.claim("j1")
    after = BEFORE if said["append"] else [*BEFORE, fact(3, text="x" * 300_000)]
    assert await kept(store) == after
    assert await store.get_job("j1") == job(started_at=1 if said["put the job"] else 2)
    await keep(store, fact(len(after) + 1))
    await store.open_run("j1", "r2", Settings())
    await keep(store, fact(1, "r2"))
    await store.flush("j1")
    assert await store.runs("j1") == ["r1", "r2"]
    assert await kept(store) == [*after, fact(len(after) + 1)]
    print(json.dumps(said))  # noqa: T201 - what the test reads


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]) / "perstack", sys.argv[2])
