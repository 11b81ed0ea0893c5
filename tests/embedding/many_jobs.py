"""A program for the gate: carries many jobs out at once with few descriptors.

Usage: many_jobs.py FOLDER JOBS DESCRIPTORS. Prints, as JSON, how the jobs ended, by
their number, and how many descriptors were open at most.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections import Counter
from pathlib import Path

import anyio

from perstack import Expert, Runtime

CALL = {"calls": [{"name": "readTextFile", "args": {"path": "a.txt"}}], "latencyMs": 30}
SCENARIO = {"policy": {"steps": 2, "reply": CALL, "final": {"text": "Done.", "latencyMs": 30}}}


def main(folder: Path, jobs: int, descriptors: int) -> None:
    (folder / "a.txt").write_text("hello")
    told = folder / "scenario.json"
    told.write_text(json.dumps(SCENARIO))
    command = [sys.executable, "-m", "perstack.testing.model_server", str(told)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        url = (server.stdout.readline() if server.stdout else "").strip()
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
        try:
            ended, most = anyio.run(carry_out, folder, url, jobs)
        finally:
            server.kill()
    print(json.dumps({"ended": ended, "most": most}))  # noqa: T201 - what the test reads


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def carry_out(folder: Path, url: str, jobs: int) -> tuple[dict[str, int], int]:
    ended: Counter[str] = Counter()
    most = 0
    env = {"ANTHROPIC_API_KEY": "key", "ANTHROPIC_BASE_URL": url}
    async with Runtime(workspace=folder, env=env) as runtime:

        async def one() -> None:
            nonlocal most
            result = await runtime.run(Expert("reader", "Read a.txt."), "Go.")
            ended[result.status] += 1
            most = max(most, open_descriptors())

        async with anyio.create_task_group() as tasks:
            for _ in range(jobs):
                tasks.start_soon(one)
    return dict(ended), most


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
