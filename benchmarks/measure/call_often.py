"""Calls of a trivial MCP server, by a bare loop and by Perstack, in blocks by turns.

    python call_often.py BLOCKS CALLS

Each has a server of its own. Printed is a JSON object: for `bare` and `perstack`, the mean
seconds of one call in each block. The first block of each only warms up.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from perstack.schema.skill import McpStdioSkill
from perstack.skills.mcp import Surroundings
from perstack.skills.mcp.skills import McpSkills

from .bare_servers import STEPS

if TYPE_CHECKING:
    from perstack.schema.event import RuntimeEvent

SERVER = (sys.executable, "-I", "-S", str(Path(__file__).with_name("trivial_server.py")))
ARGUMENTS = {"text": "How much does one call cost?"}


class Bare:
    """A server, and one line to it and back at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(SERVER, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._number = 0
        for step in STEPS:
            for message in step:
                self._write(message)
            self._read()

    def call(self) -> None:
        """One call, to its answer."""
        self._number += 1
        params = {"name": "echo", "arguments": ARGUMENTS}
        self._write({"id": self._number, "method": "tools/call", "params": params})
        self._read()

    def close(self) -> None:
        """End the server."""
        self._process.communicate()

    def _write(self, message: dict[str, object]) -> None:
        if self._process.stdin:
            self._process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
            self._process.stdin.flush()

    def _read(self) -> None:
        if self._process.stdout:
            json.loads(self._process.stdout.readline())


async def ignore(event: RuntimeEvent) -> None:
    """Keep no log."""


async def measure(blocks: int, calls: int) -> dict[str, list[float]]:
    """The mean seconds of a call, by who makes it, for each block."""
    taken: dict[str, list[float]] = {"bare": [], "perstack": []}
    skill = McpStdioSkill(command=SERVER[0], args=SERVER[1:])
    bare = Bare()
    around = Surroundings(Path.cwd(), os.environ, ignore)
    async with McpSkills({"trivial": skill}, around, taken=()) as skills:
        for _block in range(blocks + 1):
            began = time.perf_counter()
            for _call in range(calls):
                bare.call()
            between = time.perf_counter()
            for _call in range(calls):
                output = await skills.call("echo", dict(ARGUMENTS))
                if output.is_error:
                    raise SystemExit(str(output.contents))
            taken["bare"].append((between - began) / calls)
            taken["perstack"].append((time.perf_counter() - between) / calls)
    bare.close()
    return {name: values[1:] for name, values in taken.items()}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(anyio.run(measure, int(sys.argv[1]), int(sys.argv[2]))))
