"""Run as a program: a runtime that calls `sh -c SCRIPT` and waits for it, open as it is.

Arguments: the workspace, the script, and `fork` to have a plain fork of it live on as well.
"""

import os
import signal
import sys
from pathlib import Path

import anyio

from perstack.base import BaseTools


async def call(workspace: Path, script: str, *, forks: bool) -> None:
    tools = BaseTools(workspace=workspace, todos=lambda: (), environ=dict(os.environ))
    args = {"args": ["-c", script], "env": {}, "cwd": ".", "stdout": True, "stderr": True}
    async with tools:
        await tools.call("exec", {**args, "command": "true"})
        if forks:
            fork = os.fork()
            while not fork:
                signal.pause()
            os.write(1, f"{fork}\n".encode())
        await tools.call("exec", {**args, "command": "sh"})


if __name__ == "__main__":
    anyio.run(lambda: call(Path(sys.argv[1]), sys.argv[2], forks="fork" in sys.argv[3:]))
