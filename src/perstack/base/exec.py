"""exec: one program, no shell, gone with everything it started when the call ends."""

from __future__ import annotations

import math
import os
import signal
import stat
import sys
from typing import TYPE_CHECKING

from perstack.base.answer import Refused, answer, printable
from perstack.base.arguments import DEFAULT_TIMEOUT
from perstack.base.environment import MARK, exec_environment
from perstack.base.launch import Launch
from perstack.base.process import run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perstack.base.arguments import Exec
    from perstack.base.caps import Caps
    from perstack.base.paths import Entry, Workspace
    from perstack.base.process import Finished
    from perstack.schema.tool import ToolOutput

SHORTEST = 100
"""The shortest time limit, in ms."""

LONGEST = 30 * 60 * 1000
"""The longest time limit, in ms."""

OURS = "perstack"
"""The one program that is found without PATH: the one this process belongs to."""


async def exec_command(
    workspace: Workspace, caps: Caps, environ: Mapping[str, str], args: Exec
) -> ToolOutput:
    """Run a program and give back what it printed, or how it failed."""
    timeout = clamped_timeout(args.timeout)
    try:
        env = exec_environment(environ, args.env)
        with workspace.directory(args.cwd or ".") as cwd:
            program = _program(workspace, cwd, args.command, env["PATH"])
            launch = Launch(program, (args.command, *args.args), _pinned(cwd), env, MARK)
            try:
                finished = await run(launch, timeout / 1000, caps.output)
            except OSError as error:
                message = f"Command {args.command} could not be started: {error.strerror}."
                raise Refused(message) from error
    except Refused as refused:
        return answer({"error": printable(str(refused))}, is_error=True)
    return _result(finished, args, timeout)


def clamped_timeout(timeout: float) -> int:
    """A time limit in ms between SHORTEST and LONGEST; what is no number is the default."""
    if math.isnan(timeout):
        return DEFAULT_TIMEOUT
    return int(min(max(timeout, SHORTEST), LONGEST))


def _result(finished: Finished, args: Exec, timeout: int) -> ToolOutput:
    shown = {"stdout": finished.stdout} if args.stdout else {}
    if args.stderr:
        shown["stderr"] = finished.stderr
    if finished.code == 0:
        output = "".join(shown.values())
        return answer({"output": output if output.strip() else "The command printed nothing."})
    if finished.code is None:
        error = f"Command timed out after {timeout}ms."
    elif finished.code < 0:
        error = f"Command was ended by {_signal_name(-finished.code)}."
    else:
        error = f"Command exited with status {finished.code}."
    return answer({"error": error, **shown}, is_error=True)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _pinned(cwd: Entry) -> str:
    """A name for the directory that is open, whatever happens to its path."""
    return f"/proc/self/fd/{cwd.fd}" if sys.platform == "linux" else cwd.real


def _program(workspace: Workspace, cwd: Entry, command: str, search: str) -> str:
    """The file to run: found on PATH by its name, or in the workspace by its path.

    A path in a directory of PATH (/bin/sh) counts as found there. Relative
    entries of PATH are passed over: a program is never picked up by accident.
    Our own program is also looked for beside the interpreter, where a virtual
    environment that PATH does not name has it.
    """
    folders = [folder.rstrip("/") for folder in search.split(":") if folder.startswith("/")]
    folder, slash, name = command.rpartition("/")
    if not name or name in {".", ".."}:
        raise Refused(f"{command!r} names no program.")
    if not slash:
        beside = [sys.executable.rpartition("/")[0]] if name == OURS and sys.executable else []
        for one in (*folders, *beside):
            if _is_program(f"{one}/{name}"):
                return f"{one}/{name}"
        raise Refused(f"Command {command} was not found on PATH.")
    if folder in folders:
        if not _is_program(command):
            raise Refused(f"Command {command} is not a program.")
        return command
    path = command if command.startswith("/") else f"{cwd.real}/{command}"
    with workspace.entry(path) as entry:
        if entry.stat() is None:
            raise Refused(f"Command {command} does not exist.")
        if not _is_program(entry.name, entry.fd):
            raise Refused(f"Command {command} is not a program: make it executable.")
        return entry.real


def _is_program(path: str, folder: int | None = None) -> bool:
    try:
        found = os.stat(path, dir_fd=folder)
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and os.access(path, os.X_OK, dir_fd=folder)
