"""The programs that skills are started with."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from select import select
from signal import SIGKILL
from subprocess import DEVNULL, PIPE, Popen
from typing import TYPE_CHECKING

from perstack.base.environment import DEFAULT_PATH, absolute_path
from perstack.schema.diagnosis import Program

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMES = ("node", "npx", "uv", "uvx", "docker", "python3")
SECONDS = 1.0
MAX_PIECES = 3

_VERSION = re.compile(rb"v([0-9]+\.[0-9]+\.[0-9]+)\s")


def found_programs(environ: Mapping[str, str]) -> tuple[Program, ...]:
    """Where each is. Only node is asked for its version: it has to be new enough for servers."""
    folders = absolute_path(environ.get("PATH", DEFAULT_PATH))
    paths = {name: shutil.which(name, path=folders) if folders else None for name in NAMES}
    version = _version(paths["node"], folders) if paths["node"] else None
    return tuple(
        Program(name=name, path=path, version=version if name == "node" else None)
        for name, path in paths.items()
    )


def _version(program: str, folders: str) -> str | None:
    """What it says of itself; nothing of the environment but the PATH is shown to it."""
    try:
        process = Popen(
            [program, "--version"],
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=DEVNULL,
            env={"PATH": folders},
            start_new_session=True,
        )
    except OSError:
        return None
    with process:
        assert process.stdout is not None  # noqa: S101 - it was asked for
        told = _line(process.stdout.fileno())
        with suppress(ProcessLookupError):
            os.killpg(process.pid, SIGKILL)
    found = _VERSION.fullmatch(told)
    return found[1].decode() if found else None


def _line(descriptor: int) -> bytes:
    """What comes up to the first line's end, in a few pieces at most."""
    told = b""
    for _ in range(MAX_PIECES):
        ready, _, _ = select([descriptor], [], [], SECONDS)
        piece = os.read(descriptor, 256) if ready else b""
        told += piece
        if not piece or b"\n" in piece:
            break
    return told
