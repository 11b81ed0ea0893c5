"""A workspace, its model and its witness: what a killed run is measured against.

Model and witness live in the test's process and outlast every kill. Both can be told to
hold at a point, so that a kill hits exactly there and no clock decides.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import anyio
import anyio.abc
import pytest

from crash.policy import UNKNOWN, reply_to, role_of, turns_of
from crash.process import PATIENCE, Runtime, logged, running
from perstack.testing import anthropic_dialect

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """\
[experts.solo]
instruction = "You are solo."
[experts.lead]
instruction = "You are lead."
delegates = ["left", "right"]
[experts.left]
description = "Does its part."
instruction = "You are left."
[experts.right]
description = "Does its part."
instruction = "You are right."
"""

WITNESS = """\
#!/usr/bin/env bash
# Tells the witness PORT of JOB what happens, at its pace: `witness do NAME`, `witness ask NAME`.
exec 3<>/dev/tcp/127.0.0.1/PORT || exit 1
echo "$1 JOB $2 $$" >&3
read -r answer <&3 || exit 1
if [ "$1" = do ]; then
    echo done >&3
    read -r answer <&3 || exit 1
fi
echo "$answer"
"""


class World:
    """One job's workspace. Points are named "model:ROLE:TURN:asked", "exec:NAME:done" and so on.

    Attributes:
        effects: how often each effect came about.
        requests: how often the model was asked, by role and turn.
        pids: the processes that spoke to the witness.
    """

    def __init__(self, folder: Path, role: str, ports: Ports) -> None:
        self.folder = folder
        self.role = role
        self.url = f"http://127.0.0.1:{ports.model}/{folder.name}"
        self.effects: Counter[str] = Counter()
        self.requests: Counter[tuple[str, int]] = Counter()
        self.pids: list[int] = []
        self.output: list[Any] = []
        self.kills = 0
        self._target = ""
        self._hit = anyio.Event()
        self._release = anyio.Event()
        folder.mkdir()
        (folder / "perstack.toml").write_text(CONFIG)
        script = WITNESS.replace("PORT", str(ports.witness)).replace("JOB", folder.name)
        (folder / "witness").write_text(script)
        (folder / "witness").chmod(0o755)

    def arm(self, target: str) -> None:
        """Hold at the next point of this name ('*' stands for anything)."""
        self._target = target
        self._hit = anyio.Event()
        self._release = anyio.Event()

    def release(self) -> None:
        """Hang up on whoever is held."""
        self._target = ""
        self._release.set()

    async def holds(self, point: str) -> bool:
        """Come to a point. True when it was held there, and is to hang up."""
        if not self._target or not fnmatchcase(point, self._target):
            return False
        self._target = ""
        self._hit.set()
        await self._release.wait()
        return True

    async def hit(self, runtime: Runtime) -> None:
        """Wait until somebody is held."""

        async def watch() -> None:
            code = await runtime.ended()
            pytest.fail(f"it ended ({code}) before {self._target}: {runtime.errors}")

        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(watch)
                await self._hit.wait()
                tasks.cancel_scope.cancel()

    @asynccontextmanager
    async def runtime(self, *args: str, **env: str) -> AsyncGenerator[Runtime]:
        """`perstack run` here; what it writes to stdout is kept in `output` as well."""
        async with running(
            self.folder, self.url, self.role, *args, seen=self.output.append, **env
        ) as runtime:
            try:
                yield runtime
            finally:
                self.release()

    async def finishes(self) -> str:
        """Carry the job on to its end, with no trouble any more; its final answer."""
        async with self.runtime("--continue") as runtime:
            code = await runtime.ended()
            assert code == 0, runtime.errors
            return str(runtime.lines[-1]["text"])

    def told_unknown(self) -> Counter[str]:
        """How often the model was told that the outcome of a call is unknown, by effect."""
        told: Counter[str] = Counter()
        for log in logged(self.folder).values():
            calls = {
                part["toolCallId"]: part["args"]
                for event in log
                if event["type"] == "callTools"
                for part in event["newMessage"]["contents"]
                if part["type"] == "toolCallPart"
            }
            for event in log:
                if event["type"] == "completeToolCall" and UNKNOWN in json.dumps(event):
                    told[" ".join(calls[event["toolResult"]["id"]]["args"])] += 1
        return told


class Ports:
    """Where the model and the witness of all worlds listen."""

    def __init__(self) -> None:
        self.model = 0
        self.witness = 0
        self.worlds: dict[str, World] = {}

    def world(self, folder: Path, role: str) -> World:
        """A new workspace whose processes speak to these ports."""
        world = self.worlds[folder.name] = World(folder, role, self)
        return world

    async def serve_witness(self, client: anyio.abc.SocketStream) -> None:
        """Count one effect, or say how often it came about."""
        async with client:
            try:
                word, job, name, pid = (await client.receive()).decode().split()
                world = self.worlds[job]
                world.pids.append(int(pid))
                if word == "ask":
                    await client.send(
                        b"%s happened %d times\n" % (name.encode(), world.effects[name])
                    )
                    return
                if await world.holds(f"exec:{name}:about"):
                    return
                await client.send(b"go\n")
                await client.receive()
                world.effects[name] += 1
                if not await world.holds(f"exec:{name}:done"):
                    await client.send(b"did %s\n" % name.encode())
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return

    async def serve_model(self, client: anyio.abc.SocketStream) -> None:
        """Answer every request of a connection."""
        async with client:
            buffer = b""
            try:
                while True:
                    path, body, buffer = await _request(client, buffer)
                    if not await self._answer(client, self.worlds[path.split("/")[1]], body):
                        return
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return

    async def _answer(self, client: anyio.abc.SocketStream, world: World, body: Any) -> bool:
        role, turn = role_of(body), turns_of(body)
        world.requests[role, turn] += 1
        point = f"model:{role}:{turn}"
        if await world.holds(f"{point}:asked"):
            return False
        events = anthropic_dialect.events(reply_to(body))
        pieces = [event.replace(b"{n}", str(turn).encode()) for event in events]
        half = next(at for at, piece in enumerate(pieces) if b"thinking_delta" in piece) + 1
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
        await client.send(head + b"transfer-encoding: chunked\r\n\r\n" + _chunk(pieces[:half]))
        if await world.holds(f"{point}:half"):
            return False
        await client.send(_chunk(pieces[half:-1]))
        if await world.holds(f"{point}:last"):
            return False
        await client.send(_chunk(pieces[-1:]) + b"0\r\n\r\n")
        return True


def _chunk(pieces: list[bytes]) -> bytes:
    whole = b"".join(pieces)
    return b"%x\r\n%b\r\n" % (len(whole), whole)


async def _request(client: anyio.abc.SocketStream, buffer: bytes) -> tuple[str, Any, bytes]:
    """Path and body of the next request, and what was read past it."""
    while (end := buffer.find(b"\r\n\r\n")) < 0:
        buffer += await client.receive()
    first, *lines = buffer[:end].decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(":") for line in lines)}
    size = end + 4 + int(headers["content-length"])
    while len(buffer) < size:
        buffer += await client.receive()
    return first.split(" ")[1], json.loads(buffer[end + 4 : size]), buffer[size:]


@asynccontextmanager
async def open_ports() -> AsyncGenerator[Ports]:
    """A model and a witness, listening."""
    ports = Ports()
    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as model,
        await anyio.create_tcp_listener(local_host="127.0.0.1") as witness,
        anyio.create_task_group() as tasks,
    ):
        ports.model = model.extra(anyio.abc.SocketAttribute.local_port)
        ports.witness = witness.extra(anyio.abc.SocketAttribute.local_port)
        tasks.start_soon(model.serve, ports.serve_model)
        tasks.start_soon(witness.serve, ports.serve_witness)
        try:
            yield ports
        finally:
            tasks.cancel_scope.cancel()
