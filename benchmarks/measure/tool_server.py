"""An MCP server with ten tools of the usual size, named after its argument; it does nothing."""

from __future__ import annotations

import json
import sys

TOOLS = 10
TEXT = "Does something useful, with care, and says what came of it. " * 4
KINDS = {name: {"type": "string", "description": TEXT[:60]} for name in ("path", "from", "to")}
SCHEMA = {
    "type": "object",
    "properties": KINDS,
    "required": ["path"],
    "additionalProperties": False,
}

tools = [
    {"name": f"tool{number}of{sys.argv[1]}", "description": TEXT, "inputSchema": SCHEMA}
    for number in range(TOOLS)
]
about = {"name": "tools", "version": "1"}
results = {
    "initialize": {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": about},
    "tools/list": {"tools": tools},
}
for line in sys.stdin:
    message = json.loads(line)
    if "id" in message:
        answer = {"jsonrpc": "2.0", "id": message["id"], "result": results[message["method"]]}
        sys.stdout.write(f"{json.dumps(answer)}\n")
        sys.stdout.flush()
