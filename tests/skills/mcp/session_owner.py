"""Run as a program: opens a session with the hostile server, prints its processes, and waits.

With FORKS in its environment, a plain fork of it lives on as well, and is printed as "fork".
"""

import json
import os
import signal
import sys

import anyio

from perstack.skills.mcp.command import Command
from perstack.skills.mcp.session import Session
from perstack.skills.mcp.stdio import StdioTransport


async def main(*argv: str) -> None:
    command = Command(argv[0], argv, "/", {})
    async with Session(StdioTransport(command)) as session:
        await session.start()
        result = await session.call("pid", {})
        fork = os.fork() if os.environ.get("FORKS") else None
        while fork == 0:
            signal.pause()
        told = json.loads(json.dumps(result.structured))
        sys.stdout.write(json.dumps({**told, "fork": fork}) + "\n")
        sys.stdout.flush()
        await anyio.sleep_forever()


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:])
