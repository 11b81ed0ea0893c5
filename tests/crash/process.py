"""`perstack run` in a process of its own, read line by line."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.abc

PATIENCE = 30.0
"""Seconds for anything that has to happen."""

KEY = "sk-canary-Zq7vW2xY9kLmN4pR8sT1"


class Runtime:
    """One `perstack run`. `lines` are its whole stdout lines so far, decoded."""

    def __init__(self, process: anyio.abc.Process, errors: Path, seen: Callable[[Any], None]):
        self.lines: list[Any] = []
        self.raw = b""
        self.pid = process.pid
        self._process = process
        self._errors = errors
        self._seen = seen
        self._news = anyio.Event()
        self._is_read = anyio.Event()

    async def read(self) -> None:
        """Take in stdout until its end."""
        assert self._process.stdout is not None
        rest = b""
        async for piece in self._process.stdout:
            self.raw += piece
            *whole, rest = (rest + piece).split(b"\n")
            for line in whole:
                event = json.loads(line)
                self.lines.append(event)
                self._seen(event)
            self._tell()
        self._is_read.set()
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = anyio.Event()

    @property
    def errors(self) -> str:
        """What it said on stderr."""
        return self._errors.read_text()

    async def until(self, wanted: Callable[[Any], bool]) -> Any:
        """The first line that is wanted."""
        with anyio.fail_after(PATIENCE):
            while True:
                for line in self.lines:
                    if wanted(line):
                        return line
                assert not self._is_read.is_set(), f"it ended before that: {self.errors}"
                await self._news.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def ended(self, seconds: float = PATIENCE) -> int:
        """Its exit code, once it has ended and everything it wrote is read."""
        with anyio.fail_after(seconds):
            code = await self._process.wait()
            await self._is_read.wait()
        return code


def environment(folder: Path, url: str, **more: str) -> dict[str, str]:
    """What a runtime in these tests finds around itself."""
    inherited = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    return {
        **inherited,
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "ANTHROPIC_API_KEY": KEY,
        "ANTHROPIC_BASE_URL": url,
        **more,
    }


def command(*args: str) -> list[str]:
    return [sys.executable, "-m", "perstack", "run", *args]


@asynccontextmanager
async def running(
    folder: Path,
    url: str,
    *args: str,
    seen: Callable[[Any], None] = lambda _: None,
    **env: str,
) -> AsyncGenerator[Runtime]:
    """`perstack run ARGS` in `folder`, dead at the end of the block."""
    errors = folder.with_suffix(".stderr")
    with errors.open("wb") as stderr:
        process = await anyio.open_process(
            command(*args), cwd=folder, env=environment(folder, url, **env), stderr=stderr
        )
    runtime = Runtime(process, errors, seen)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runtime.read)
            try:
                yield runtime
            finally:
                runtime.signal(signal.SIGKILL)
                with anyio.CancelScope(shield=True):
                    await runtime.ended()
    finally:
        with anyio.CancelScope(shield=True):
            await process.aclose()


def logged(folder: Path) -> dict[str, list[Any]]:
    """The whole lines of every log in a workspace, by run id."""
    logs: dict[str, list[Any]] = {}
    for path in folder.glob("perstack/jobs/*/runs/*/events.jsonl"):
        *whole, _torn = path.read_bytes().split(b"\n")
        logs[path.parent.name] = [json.loads(line) for line in whole]
    return logs
