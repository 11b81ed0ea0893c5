"""Run as a program: an MCP server over stdio that does next to nothing. Standard library only.

    python -I -S trivial_server.py [LOG]

It has one tool, `echo`, which gives back its arguments. LOG gets a line at its start and one
at its end: `start` or `end`, its process id, and the seconds since the epoch.
"""

import json
import os
import sys
import time
from typing import Any

TOOL = {"name": "echo", "description": "Gives back.", "inputSchema": {"type": "object"}}


def note(what: str) -> None:
    """Write a moment down, in one piece: others write to the same file."""
    if len(sys.argv) > 1:
        line = f"{what} {os.getpid()} {time.time():.6f}\n"  # noqa: TID251 - the world's clock
        file = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.write(file, line.encode())
        os.close(file)


def result(method: str, params: dict[str, Any]) -> dict[str, Any]:
    """The answer to a request."""
    if method == "initialize":
        about = {"name": "trivial", "version": "1"}
        return {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": about}
    if method == "tools/list":
        return {"tools": [TOOL]}
    return {"content": [{"type": "text", "text": json.dumps(params.get("arguments"))}]}


note("start")
for line in sys.stdin:
    message = json.loads(line)
    if "id" in message:
        found = result(message["method"], message.get("params", {}))
        answer = {"jsonrpc": "2.0", "id": message["id"], "result": found}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
note("end")
