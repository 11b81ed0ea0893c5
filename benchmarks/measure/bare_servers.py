"""What any client of MCP servers over stdio has to wait for: nothing but the protocol.

    python bare_servers.py COMMANDS

COMMANDS is a JSON list of commands, each a list of words. All are started at once, shaken
hands with and asked for their tools. Printed is a JSON list: for each, in order, the seconds
from before the first was started until its tools had come. Then their inputs are closed, and
they are ended like Perstack ends them. Standard library only.
"""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time

HELLO = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "bare", "version": "1"},
}
STEPS = (
    [{"id": 1, "method": "initialize", "params": HELLO}],
    [{"method": "notifications/initialized"}, {"id": 2, "method": "tools/list", "params": {}}],
)
"""What is sent at first, and after the first answer; after the second it is ready."""
PATIENCE = 1.5
"""Seconds for a server to end by itself, once its input is closed."""


class Server:
    """One server on its way."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._data = b""
        self._step = 0
        self._send()

    def is_ready(self, data: bytes) -> bool:
        """Take what it printed; whether that was its list of tools."""
        self._data += data
        *lines, self._data = self._data.split(b"\n")
        for line in lines:
            if json.loads(line).get("id") == self._step + 1:
                self._step += 1
                if self._step == len(STEPS):
                    return True
                self._send()
        return False

    def end(self) -> None:
        """Close its input, and end it where that is not enough."""
        if self.process.stdin:
            self.process.stdin.close()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def _send(self) -> None:
        if self.process.stdin:
            for message in STEPS[self._step]:
                self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
            self.process.stdin.flush()


def main() -> None:
    """Start all, and print when each was ready."""
    began = time.perf_counter()
    servers = [Server(command) for command in json.loads(sys.argv[1])]
    ready: dict[int, float] = {}
    with selectors.DefaultSelector() as waiting:
        for number, server in enumerate(servers):
            waiting.register(server.process.stdout or 0, selectors.EVENT_READ, number)
        while len(ready) < len(servers):
            for key, _ in waiting.select():
                data = os.read(key.fd, 65536)
                if not data:
                    sys.exit(f"{servers[key.data].process.args} ended")
                if servers[key.data].is_ready(data):
                    ready[key.data] = time.perf_counter() - began
                    waiting.unregister(key.fileobj)
    for server in servers:
        server.end()
    sys.stdout.write(json.dumps([ready[number] for number in range(len(servers))]))


if __name__ == "__main__":
    main()
