"""The real `perstack`, in processes of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PERSTACK = Path(sys.executable).with_name("perstack")

QUIET = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
"""An environment without keys, proxies or settings."""


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit code, its events, and its words for people."""

    code: int
    stdout: str
    stderr: str

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stdout.splitlines()]

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.events]


def perstack(
    *words: str,
    cwd: Path,
    env: dict[str, str] | None = None,
    stdin: str | bytes = b"",
    timeout: float = 120,
) -> Ended:
    """Run `perstack` with these words in the folder `cwd`."""
    ended = subprocess.run(
        [str(PERSTACK), *words],
        cwd=cwd,
        env=QUIET | (env or {}),
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        capture_output=True,
        timeout=timeout,
        check=False,
    )
    return Ended(ended.returncode, ended.stdout.decode(), ended.stderr.decode())
