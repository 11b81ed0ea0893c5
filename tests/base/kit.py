"""Opening the base tools on a directory, and calling them as the runtime does."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import anyio

from perstack.base import BaseTools
from perstack.schema.message import TextPart

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from perstack.base import Caps
    from perstack.schema.tool import Todo, ToolOutput

PLAIN = {"PATH": os.environ["PATH"], "HOME": "/nowhere"}
MODES = ("openat2", "walk")


class Said(NamedTuple):
    """A tool's answer: its JSON, and whether it failed."""

    data: dict[str, Any]
    is_error: bool
    output: ToolOutput

    @property
    def message(self) -> str:
        return self.data.get("message") or self.data["error"]


class Calls:
    """The tools, with arguments by keyword; `first_line` stands for `from`."""

    def __init__(self, tools: BaseTools) -> None:
        self.tools = tools

    async def __call__(self, tool: str, /, **args: object) -> Said:
        if "first_line" in args:
            args["from"] = args.pop("first_line")
        output = await self.tools.call(tool, args)
        part = output.contents[0]
        data = json.loads(part.text) if isinstance(part, TextPart) else {}
        return Said(data, output.is_error, output)

    async def exec(self, command: str, *args: str, **more: object) -> Said:
        plain = {"env": {}, "cwd": ".", "stdout": True, "stderr": True}
        return await self("exec", **{"command": command, "args": list(args), **plain, **more})

    async def sh(self, script: str, **more: object) -> Said:
        return await self.exec("sh", "-c", script, **more)


@contextlib.asynccontextmanager
async def calls_in(
    workspace: Path,
    *,
    mode: str = "openat2",
    todos: tuple[Todo, ...] = (),
    environ: Mapping[str, str] = PLAIN,
    caps: Caps | None = None,
    pick: tuple[str, ...] = (),
    omit: tuple[str, ...] = (),
) -> AsyncIterator[Calls]:
    tools = BaseTools(
        workspace=workspace,
        todos=lambda: todos,
        environ=environ,
        caps=caps,
        pick=pick,
        omit=omit,
        openat2=None if mode == "openat2" else False,
    )
    async with tools:
        yield Calls(tools)


class Told:
    """A named pipe through which a command tells this test something."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def __aenter__(self) -> Self:
        os.mkfifo(self._path)
        self._fd = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK)
        return self

    async def __aexit__(self, *_: object) -> None:
        os.close(self._fd)

    async def line(self) -> str:
        """The next line, once it is written."""
        with anyio.fail_after(10):
            await anyio.wait_readable(self._fd)
        return os.read(self._fd, 4096).decode().strip()


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def tree(top: Path) -> dict[str, object]:
    """Everything beneath a directory: names, links and contents."""
    found: dict[str, object] = {}
    for folder, folders, files in os.walk(top):
        for name in folders + files:
            path = Path(folder, name)
            key = str(path.relative_to(top))
            if path.is_symlink():
                found[key] = ("link", str(path.readlink()))
            elif path.is_file():
                found[key] = (path.stat().st_mode, path.read_bytes())
            else:
                found[key] = path.lstat().st_mode
    return found


def is_alive(pid: int) -> bool:
    """Whether the process still runs; one that ended but was not reaped does not."""
    try:
        status = Path("/proc", str(pid), "stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"


def path_calls(path: str) -> list[tuple[str, dict[str, object]]]:
    """One call of each tool that takes a path."""
    return [
        ("getFileInfo", {"path": path}),
        ("readTextFile", {"path": path}),
        ("readImageFile", {"path": path}),
        ("readPdfFile", {"path": path}),
        ("writeTextFile", {"path": path, "text": "planted"}),
        ("appendTextFile", {"path": path, "text": "planted"}),
        ("editTextFile", {"path": path, "oldText": "canary", "newText": "planted"}),
        ("moveFile", {"source": path, "destination": "taken"}),
        ("moveFile", {"source": "mine.txt", "destination": path}),
        ("deleteFile", {"path": path}),
        ("listDirectory", {"path": path}),
        ("createDirectory", {"path": path}),
        ("deleteDirectory", {"path": path, "recursive": True}),
    ]
