"""Line: the messages of one client, between two descriptors and the protocol."""

from __future__ import annotations

import math
import select
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Self

import anyio
from mcp.shared.message import ServerMessageMetadata, SessionMessage  # noqa: TID253 - wrapped here
from mcp.types import jsonrpc  # noqa: TID253 - as above

from perstack.base.caps import MIB
from perstack.base.messages import LONGEST_LINE, NoMessage, encode_message, parse_message
from perstack.base.room import Room
from perstack.base.stdio import read_lines, write_line
from perstack.errors import UsageError

if TYPE_CHECKING:
    from types import TracebackType

    from anyio.streams.memory import MemoryObjectSendStream

MOST_AT_ONCE = 256
"""Requests without an answer; the next one is not read before one of them is answered."""

MOST_ASKED = 64 * MIB
"""Bytes of the requests without an answer; with more than that, the next one waits as well."""

PAUSE = 0.5
"""Seconds between two looks whether a client that waits for a place is still there."""

LAST_WORDS = 1.0
"""Seconds that requests may still take, and that answers may wait to be read, at the end."""

Id = str | int | None


class Said(NamedTuple):
    """A line that waits to be written, and the request it answers, if any."""

    line: bytes
    answers: Id


class Answers:
    """Where the protocol puts what it says: encoded at once, and in `room` until it is written.

    Never waits: the requests are what is held back, not their answers.
    """

    def __init__(self, room: Room) -> None:
        self.room = room
        self._into, self.said = anyio.create_memory_object_stream[Said](math.inf)

    async def send(self, item: SessionMessage, /) -> None:
        """Put a message behind the others. Not even a cancelled one is put there in part."""
        message = item.message
        is_answer = isinstance(message, (jsonrpc.JSONRPCResponse, jsonrpc.JSONRPCError))
        said = Said(encode_message(message), message.id if is_answer else None)
        self._into.send_nowait(said)
        self.room.put(len(said.line))

    async def aclose(self) -> None:
        """Say no more."""
        await self._into.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.aclose()


class Line:
    """The messages of one client, a line each. Its answers are in `room` until they are written."""

    def __init__(self, stdin: int, stdout: int, room: Room) -> None:
        self.answers = Answers(room)
        self._stdin = stdin
        self._stdout = stdout
        self._writing = anyio.Lock()
        self._places = anyio.Semaphore(MOST_AT_ONCE)
        self._asked = Room(MOST_ASKED)
        self._weights: dict[Id, list[int]] = {}
        self._hangup = select.poll()
        self._hangup.register(stdin, 0)

    async def read(self, into: MemoryObjectSendStream[SessionMessage | Exception]) -> None:
        """Hand on what the client says until it ends; then what it asked may still be answered."""
        async with into, aclosing(read_lines(self._stdin, LONGEST_LINE)) as lines:
            async for line in lines:
                if line is not None and not line.strip():
                    continue
                try:
                    message, weight = parse_message(line)
                except NoMessage as problem:
                    await self._write(encode_message(problem.answer))
                    continue
                metadata = None
                if isinstance(message, jsonrpc.JSONRPCRequest):
                    if not await self._has_place(weight):
                        return
                    self._weights.setdefault(message.id, []).append(weight)
                    settle = partial(self._settle, message.id)
                    metadata = ServerMessageMetadata(on_request_unanswered=settle)
                await into.send(SessionMessage(message, metadata))
            with anyio.move_on_after(LAST_WORDS):
                for _ in range(MOST_AT_ONCE):
                    await self._places.acquire()

    async def write(self) -> None:
        """Write what the protocol says, until it has no more to say."""
        async with self.answers.said as outgoing:
            async for said in outgoing:
                await self._write(said.line)
                self.answers.room.take(len(said.line))
                if said.answers is not None:
                    await self._settle(said.answers)

    async def _has_place(self, weight: int) -> bool:
        """Wait until one more request may be unanswered; False when the client leaves first."""
        while True:
            with anyio.move_on_after(PAUSE):
                await self._asked.wait(1)
                await self._places.acquire()
                self._asked.put(weight)
                return True
            if self._hangup.poll(0):
                return False

    async def _settle(self, request: Id) -> None:
        """A request has its answer, or needs none any more."""
        weights = self._weights[request]
        self._asked.take(weights.pop())
        if not weights:
            del self._weights[request]
        self._places.release()

    async def _write(self, line: bytes) -> None:
        async with self._writing:
            try:
                await write_line(self._stdout, line)
            except ConnectionError:
                raise
            except OSError as error:
                raise UsageError(f"Standard output cannot be written: {error.strerror}") from error
