"""Many jobs at once in one process, through Perstack's Python interface.

    python run_many_jobs.py FOLDER JOBS DESCRIPTORS

The process may have so many DESCRIPTORS, or as many as the system allows it. Prints, as
JSON: how the jobs ended, by their number; wall seconds from the first job's begin to the
last one's end; the descriptors that were open at most; and how many jobs may work at once.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections import Counter
from pathlib import Path

import anyio

from perstack import Expert, Runtime
from perstack.embedding.gate import most_jobs

LOOK_SECONDS = 0.25


class Descriptors:
    """The most that were open at once."""

    def __init__(self) -> None:
        self.most = 0

    def look(self) -> None:
        """Count them now."""
        self.most = max(self.most, len(os.listdir("/dev/fd")))  # noqa: PTH208 - paths cost more

    async def watch(self) -> None:
        """Count them again and again."""
        while True:
            self.look()
            await anyio.sleep(LOOK_SECONDS)


async def carry_out(folder: Path, jobs: int) -> dict[str, object]:
    """All jobs at once, on one runtime."""
    expert = Expert("reader", "You read files.")
    ended: Counter[str] = Counter()
    open_now = Descriptors()
    began, wall = time.perf_counter(), 0.0
    async with Runtime(workspace=folder) as runtime, anyio.create_task_group() as watching:
        watching.start_soon(open_now.watch)

        async def one() -> None:
            ended[(await runtime.run(expert, "Read it.")).status] += 1

        async with anyio.create_task_group() as tasks:
            for _ in range(jobs):
                tasks.start_soon(one)
        wall = time.perf_counter() - began
        watching.cancel_scope.cancel()
    return {"ended": ended, "wall": wall, "most": open_now.most, "places": most_jobs()}


def main() -> None:
    """Run, and say what came of it."""
    folder, jobs, descriptors = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    allowed = descriptors if hard == resource.RLIM_INFINITY else min(descriptors, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    json.dump(anyio.run(carry_out, folder, jobs), sys.stdout)


if __name__ == "__main__":
    main()
