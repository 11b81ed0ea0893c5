"""A server of our own as a process: messages over its pipes, one to a line."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

import anyio
import anyio.lowlevel

from perstack.base.environment import MARK
from perstack.base.launch import Launch, Streams
from perstack.base.lifeline import LIFELINE
from perstack.base.tree import Tree
from perstack.skills.mcp import Patience, ServerGone
from perstack.skills.mcp.lines import Complaints, Messages
from perstack.skills.mcp.redaction import NOTHING, Redaction

if TYPE_CHECKING:
    from perstack.skills.mcp.command import Command
    from perstack.skills.mcp.protocol import ServerTool

_BLOCK = 64 * 1024
_PIPE_MAX = 1024 * 1024
_LINGER = 0.5
"""Seconds between the end of a server's output and its own, at most."""
_PAUSE = 0.01
_LAST = 1000
"""Characters of what it printed last that go into a reason."""
_KILLED = 5.0
"""Seconds to wait for a killed process to be gone."""


class StdioTransport:
    """A `Transport` to a server that is started on entering, in a session of its own.

    On leaving, its standard input is closed; half of `stop` seconds later it is asked to
    end, and after all of them it is killed, with everything it started. `on_stderr`
    gets what it prints there, at most 20 lines in a second. No secret of `redaction`
    stands in these lines, nor in the reason of a ServerGone.

    Raises:
        ServerGone: on entering, where it cannot be started.
    """

    bears_questions = False

    def __init__(
        self,
        command: Command,
        on_stderr: Callable[[str], None] | None = None,
        *,
        stop: float = Patience().stop,
        redaction: Redaction = NOTHING,
    ) -> None:
        self._command = command
        self._stop = stop
        self._messages = Messages()
        self._complaints = Complaints(on_stderr, redaction)
        self._sending = anyio.Lock(fast_acquire=True)
        self._unsent = memoryview(b"")
        self._waits: set[anyio.CancelScope] = set()
        self._has_ended = False
        self._rest = _PIPE_MAX  # of its output, once it has ended: what the pipe can still hold

    async def __aenter__(self) -> Self:
        LIFELINE.hold()
        try:
            self._start()
        except (OSError, ValueError) as error:
            await LIFELINE.let_go()
            what = getattr(error, "filename", None) or self._command.argv[0]
            reason = getattr(error, "strerror", None) or error
            raise ServerGone(f"The server could not be started: {what}: {reason}.") from error
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        self._tasks.start_soon(self._drain)
        self._tasks.start_soon(self._watch)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._tasks.cancel_scope.cancel()
            await self._tasks.__aexit__(None, None, None)
        finally:
            with anyio.CancelScope(shield=True):
                await self._end()

    async def send(self, message: bytes) -> None:
        """Send one message, as slowly as it is read.

        Cancelled, it may leave a part behind, which goes ahead of the next message.

        Raises:
            ServerGone: the server does not read any more.
        """
        async with self._sending:
            await self._write(self._unsent)
            await self._write(memoryview(message + b"\n"))

    async def receive(self) -> bytes:
        """The next message.

        Raises:
            ServerGone: there will be none.
        """
        while (message := self._messages.next()) is None:
            await self._until(anyio.wait_readable, self._out)
            data = _read(self._out)
            if self._has_ended:
                self._rest -= len(data or b"")
            if (not data and (data is not None or self._has_ended)) or self._rest < 0:
                raise ServerGone(await self._reason())
            self._messages.add(data or b"")
        return message

    def agree(self, protocol: str) -> None:
        """Every revision is framed alike."""

    def admit(self, tool: ServerTool) -> None:
        """Every tool may be called."""

    def _start(self) -> None:
        """Start it, and keep our ends of its three pipes."""
        with contextlib.ExitStack() as kept, contextlib.ExitStack() as handed:
            theirs, self._in = _pipe(handed, kept)
            self._out, out = _pipe(kept, handed)
            self._err, err = _pipe(kept, handed)
            for fd in (self._in, self._out, self._err):
                os.set_blocking(fd, False)
            program, argv, directory, env = self._command
            launch = Launch(program, argv, directory, env, MARK, is_kept=True)
            self._tree = Tree(launch, os.fstat(self._out).st_ino, Streams(theirs, out, err))
            kept.pop_all()

    async def _write(self, data: memoryview) -> None:
        """Write all of it, and remember what is left of what was begun."""
        while data:
            try:
                sent = os.write(self._in, data)
            except BlockingIOError:
                if self._has_ended:
                    raise ServerGone(await self._reason()) from None
                await self._until(anyio.wait_writable, self._in)
                continue
            except OSError as error:
                raise ServerGone(await self._reason()) from error
            data = self._unsent = data[sent:]

    async def _until(self, is_ready: Callable[[int], Awaitable[None]], fd: int) -> None:
        """Wait for a descriptor, or for the end of the server: others may hold its pipes open."""
        if self._has_ended:
            await anyio.lowlevel.checkpoint()
            return
        with anyio.CancelScope() as scope:
            self._waits.add(scope)
            try:
                await is_ready(fd)
            finally:
                self._waits.discard(scope)

    async def _watch(self) -> None:
        await self._tree.exited()
        self._has_ended = True
        for scope in self._waits:
            scope.cancel()

    async def _drain(self) -> None:
        while True:
            await anyio.wait_readable(self._err)
            data = _read(self._err)
            if data == b"":
                return
            self._complaints.add(data or b"")

    async def _discard(self) -> None:
        """A server that ends may want to finish a message first."""
        while True:
            await anyio.wait_readable(self._out)
            if _read(self._out) == b"":
                return

    async def _reason(self) -> str:
        """Why it is gone: how it ended, and what it printed last."""
        with anyio.move_on_after(_LINGER):
            while self._tree.status() is None:  # noqa: ASYNC110 - `_watch` has the descriptor
                await anyio.sleep(_PAUSE)
        status = self._tree.status()
        if status is None:
            said = "The server hung up."
        elif status < 0:
            said = f"The server was ended by signal {-status}."
        else:
            said = f"The server ended with status {status}."
        self._read_rest()
        last = self._complaints.last[-_LAST:]
        return f"{said} It printed:\n{last}" if last else said

    def _read_rest(self) -> None:
        """What the pipe can still hold, and no more: a writer that got away may never stop."""
        for _ in range(_PIPE_MAX // _BLOCK + 1):
            data = _read(self._err)
            if not data:
                break
            self._complaints.add(data)
        self._complaints.flush()

    async def _end(self) -> None:
        """Make sure that nothing of it is left, and let go of everything."""
        os.close(self._in)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._drain)
                tasks.start_soon(self._discard)
                await self._persuade()
                tasks.cancel_scope.cancel()
            self._read_rest()
        finally:
            self._tree.close()
            os.close(self._out)
            os.close(self._err)
            await LIFELINE.let_go()

    async def _persuade(self) -> None:
        """Wait for it to end by itself, then ask it to, then kill it, and what it started."""
        if not await self._ends_within(self._stop / 2):
            self._tree.signal(signal.SIGTERM)
            await self._ends_within(self._stop / 2)
        self._tree.signal(signal.SIGKILL)
        await self._ends_within(_KILLED)
        await self._tree.end_stragglers()

    async def _ends_within(self, seconds: float) -> bool:
        with anyio.move_on_after(seconds):
            await self._tree.exited()
        return self._tree.has_exited()


def _pipe(first: contextlib.ExitStack, second: contextlib.ExitStack) -> tuple[int, int]:
    """A pipe: the end that is read, closed with `first`, and the other, closed with `second`."""
    read, write = os.pipe()
    first.callback(os.close, read)
    second.callback(os.close, write)
    return read, write


def _read(fd: int) -> bytes | None:
    """What has come; b"" at the end, None where there is nothing yet."""
    try:
        return os.read(fd, _BLOCK)
    except BlockingIOError:
        return None
