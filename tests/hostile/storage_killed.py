"""A program for row 72: the same small job again and again, killed at another write step each time.

Usage: storage_killed.py FOLDER. For every step k, a child works in FOLDER/k and is
killed by SIGKILL at its k-th call that changes the disk: before the call, and once
more half-way through where the call writes bytes (FOLDER/k-half). What the child
was promised (an append that returned, a record that was kept) is noted in the file
`promised` of that folder, by calls that do not count. Prints the number of steps.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import anyio

from perstack.schema.settings import Settings
from perstack.storage.files import FilesStore
from storage.facts import fact, job, line

CHANGES = (
    "write",
    "ftruncate",
    "truncate",
    "replace",
    "unlink",
    "mkdir",
    "fsync",
    "fdatasync",
    "pwrite",
)
REAL_WRITE = os.write


class Steps:
    def __init__(self, last: int, *, half: bool) -> None:
        self.taken = 0
        self.last = last
        self.half = half

    def hook(self, name: str) -> None:
        real = getattr(os, name)

        def step(*args, **kwargs):
            self.taken += 1
            if self.taken == self.last:
                if self.half and name == "write":
                    REAL_WRITE(args[0], bytes(args[1])[: len(args[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)

        setattr(os, name, step)


async def work(folder: Path) -> None:
    promised = os.open(folder / "promised", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(*words: object) -> None:
        REAL_WRITE(promised, " ".join(map(str, words)).encode() + b"\n")

    store = FilesStore(folder / "perstack")
    for turn in range(2):  # two owners, one after the other
        lease = await store.claim("j1")
        await store.put_job(job(started_at=turn + 1))
        note("job", turn + 1)
        for run_id in ("b", "a"):
            await store.open_run("j1", run_id, Settings())
            note("run", run_id)
            for seq in range(3 * turn + 1, 3 * turn + 4):
                event = fact(seq, run_id, text="x" * 200)
                await store.append(event, line(event))
                note("event", run_id, seq)
            await store.flush("j1")
        await lease.release()


def killed_at(folder: Path, step: int, *, half: bool = False) -> bool:
    folder.mkdir()
    child = os.fork()
    if child == 0:
        steps = Steps(step, half=half)
        for name in CHANGES:
            steps.hook(name)
        anyio.run(work, folder)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        return True
    if os.WEXITSTATUS(status):
        raise SystemExit("the job failed on its own")
    return False


def main(folder: Path) -> None:
    anyio.run(anyio.lowlevel.checkpoint)  # what children need is imported once, here
    step = 1
    while killed_at(folder / str(step), step):
        killed_at(folder / f"{step}-half", step, half=True)
        step += 1
    REAL_WRITE(1, b"%d\n" % (step - 1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
