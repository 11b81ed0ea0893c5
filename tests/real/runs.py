"""`perstack run` with servers of others, and what came of it."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio
from anyio.streams.buffered import BufferedByteReceiveStream

from cli.process import PERSTACK, QUIET, Ended
from perstack.testing import serve_model
from perstack.testing.model_server import ModelServer
from perstack.testing.scenario import CallSpec, ReplySpec
from real.servers import Servers

if TYPE_CHECKING:
    from anyio.abc import Process

GRACE_SECONDS = 5.0
"""How long what was killed may take to be gone."""


class Answer(NamedTuple):
    """What a tool answered."""

    text: str
    parts: list[dict[str, Any]]
    is_error: bool


class Ran(NamedTuple):
    """A run that has ended."""

    ended: Ended
    model: ModelServer

    @property
    def tools(self) -> dict[str, dict[str, Any]]:
        """What the model was offered at first, by name."""
        offered: Any = self.model.requests[0].json["tools"]
        return {tool["name"]: tool for tool in offered}

    @property
    def answers(self) -> list[Answer]:
        return answers_in(self.ended.events)

    def events(self, kind: str, skill: str = "") -> list[dict[str, Any]]:
        """Those of one type, and of one skill where it is named."""
        of_kind = [event for event in self.ended.events if event["type"] == kind]
        return [event for event in of_kind if not skill or event.get("skillName") == skill]


def call(name: str, /, **args: object) -> ReplySpec:
    """A reply with one call."""
    return ReplySpec(calls=(CallSpec(name=name, args=args),))


def at_once(*replies: ReplySpec) -> ReplySpec:
    """One reply with the calls of several."""
    return ReplySpec(calls=tuple(one for reply in replies for one in reply.calls))


def config(*skills: str) -> str:
    return '[experts.worker]\ninstruction = "Work."\n' + "".join(skills)


def environment(servers: Servers, folder: Path) -> dict[str, str]:
    """That of a run, which has its home there. What it starts bears the folder in `TMPDIR`."""
    scratch = folder / "tmp"
    scratch.mkdir(exist_ok=True)
    return QUIET | servers.environ | {"HOME": str(scratch), "TMPDIR": str(scratch)}


class Running:
    """A run on its way."""

    def __init__(self, process: Process) -> None:
        assert process.stdout is not None
        self.process = process
        self._lines = BufferedByteReceiveStream(process.stdout)

    async def events(self, until: str = "") -> list[dict[str, Any]]:
        """What it tells next: as far as the first event of that type, or all."""
        events: list[dict[str, Any]] = []
        with suppress(anyio.IncompleteRead):
            while not until or not events or events[-1]["type"] != until:
                events.append(json.loads(await self._lines.receive_until(b"\n", 2**24)))
        return events


@asynccontextmanager
async def running(
    folder: Path, servers: Servers, text: str, *replies: ReplySpec
) -> AsyncGenerator[Running]:
    """A run like that of `run`, for the life of a block."""
    (folder / "perstack.toml").write_text(text)
    async with serve_model([*replies, ReplySpec(text="Done.")]) as model:
        process = await anyio.open_process(
            [str(PERSTACK), "run", "worker", "Go"],
            cwd=folder,
            env=environment(servers, folder) | model.variables,
            stderr=subprocess.DEVNULL,
        )
        with anyio.fail_after(120):
            async with process:
                try:
                    yield Running(process)
                finally:
                    with suppress(ProcessLookupError):
                        process.kill()


async def run(
    folder: Path,
    servers: Servers,
    text: str,
    *replies: ReplySpec,
    expert: str = "worker",
    env: dict[str, str] | None = None,
) -> Ran:
    """`perstack run` in `folder` with a model that replies so, and then "Done.", to its end.

    It fails where a process of the run is left.
    """
    (folder / "perstack.toml").write_text(text)
    variables = environment(servers, folder) | (env or {})
    async with serve_model([*replies, ReplySpec(text="Done.")]) as model:
        with anyio.fail_after(120):
            ended = await anyio.run_process(
                [str(PERSTACK), "run", expert, "Go"],
                cwd=folder,
                env=variables | model.variables,
                check=False,
            )
    assert not left_of(folder)
    return Ran(Ended(ended.returncode, ended.stdout.decode(), ended.stderr.decode()), model)


def left_of(folder: Path) -> list[str]:
    """The processes with the folder's `TMPDIR` that do not end: their command lines."""
    left: list[str] = []
    for pid in processes_of(folder):
        with suppress(OSError):
            watch = os.pidfd_open(pid)
            try:
                if not select.select([watch], [], [], GRACE_SECONDS)[0]:
                    words = Path("/proc", str(pid), "cmdline").read_bytes()
                    left.append(words.replace(b"\0", b" ").decode(errors="replace"))
            finally:
                os.close(watch)
    return left


def processes_of(folder: Path) -> list[int]:
    """The processes that have the folder's `TMPDIR`. Only Linux can tell."""
    if sys.platform != "linux":
        return []
    mark = f"TMPDIR={folder / 'tmp'}".encode()
    found: list[int] = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if mark in environ.read_bytes().split(b"\0"):
                found.append(int(environ.parent.name))
    return found


def answers_in(events: list[dict[str, Any]]) -> list[Answer]:
    """What tools answered, in order."""
    results = [event["toolResult"] for event in events if event["type"] == "completeToolCall"]
    return [
        Answer(
            "\n".join(part["text"] for part in result["result"] if "text" in part),
            result["result"],
            bool(result.get("isError")),
        )
        for result in results
    ]
