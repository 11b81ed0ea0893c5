"""Run as a program: opens a session with the hostile server, prints its processes, and waits."""

import json
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
        sys.stdout.write(json.dumps(result.structured) + "\n")
        sys.stdout.flush()
        await anyio.sleep_forever()


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:])
