"""Run as a program: takes a terminal, then lets an Expert's command try to type into it.

Arguments: the terminal's path, the workspace. Prints the tool's answer as JSON text.
"""

import os
import sys
from pathlib import Path

import anyio

from perstack.base import BaseTools

ATTACK = """
import fcntl, os, termios
typed = []
for fd in (0, 1, 2):
    try:
        fcntl.ioctl(fd, termios.TIOCSTI, b"x")
        typed.append(fd)
    except OSError:
        pass
try:
    fd = os.open("/dev/tty", os.O_RDWR)
    typed.append("opened")
    fcntl.ioctl(fd, termios.TIOCSTI, b"x")
    typed.append("tty")
except OSError:
    pass
print(typed)
"""


async def attack(workspace: Path) -> str:
    tools = BaseTools(workspace=workspace, todos=lambda: (), environ=dict(os.environ))
    async with tools:
        args = {
            "command": sys.executable,
            "args": ["-c", ATTACK],
            "env": {},
            "cwd": ".",
            "stdout": True,
            "stderr": True,
        }
        output = await tools.call("exec", args)
    return "".join(getattr(part, "text", "") for part in output.contents)


if __name__ == "__main__":
    os.setsid()
    terminal = os.open(sys.argv[1], os.O_RDWR)  # the leader's first terminal is its own
    os.close(os.open("/dev/tty", os.O_RDWR))  # raises where it is not
    sys.stdout.write(anyio.run(attack, Path(sys.argv[2])))
    os.close(terminal)
