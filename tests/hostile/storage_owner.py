"""A program for row 74: owns the job `j1` in FOLDER until it is killed.

Usage: storage_owner.py FOLDER. Starts a child that inherits all it can, and prints
the child's pid once the job is claimed.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import anyio

from perstack.schema.settings import Settings
from perstack.storage.files import FilesStore
from storage.facts import fact, keep


async def own(root: Path) -> None:
    store = FilesStore(root)
    await store.claim("j1")
    await store.open_run("j1", "r1", Settings())
    await keep(store, fact(1))


if __name__ == "__main__":
    anyio.run(own, Path(sys.argv[1]))
    child = subprocess.Popen(["sleep", "60"], close_fds=False, stdout=subprocess.DEVNULL)
    print(child.pid, flush=True)  # noqa: T201 - what the test reads
    sys.stdin.read()
