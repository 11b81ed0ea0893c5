"""Questions and answers with one server: who asked what, and who waits for it."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Generator
from types import TracebackType
from typing import Self

import anyio
import msgspec
from msgspec import Raw

from perstack.schema.message import Json
from perstack.skills.mcp import MAX_BAD_MESSAGES, ServerGone, ServerRefused, Transport
from perstack.skills.mcp.protocol import (
    MAX_ID,
    MAX_NOTE_BYTES,
    Logged,
    Message,
    Problem,
    Progress,
    Unreadable,
    decode,
    notification,
    number_in,
    reply,
    request,
    size_of,
)
from perstack.skills.mcp.redaction import NOTHING, Redaction
from perstack.skills.mcp.trickle import Trickle

MAX_REPLIES = 64
"""Answers to a server that are on their way at once; what it asks beyond them gets none."""

_COURTESY = 1.0
"""Seconds a notice may take that nobody waits for."""
_MAX_REASON = 4000
_END = 1024
"""Bytes at either end of a message in which its number is looked for."""
_MAX_LEVEL = 20
NO_META: Json = {}

_message = msgspec.json.Decoder(Message)
_logged = msgspec.json.Decoder(Logged)
_progress = msgspec.json.Decoder(Progress)


class _Question:
    """Something asked, and its answer once it is there."""

    def __init__(self) -> None:
        self.answered = anyio.Event()
        self.result: Raw | None = None
        self.problem: Problem | None = None


class Conversation:
    """What is said over a transport, by one task that reads, between entering and leaving.

    Contract: every answer goes to the question of its number. What is no message,
    or answers nothing that was asked, is counted, and beyond MAX_BAD_MESSAGES
    the server is given up: from then on, as after its end, every question
    raises ServerGone with the same reason. Nothing that is said, and no refusal,
    holds a secret of `redaction`.
    """

    def __init__(
        self,
        transport: Transport,
        say: Callable[[str, str], None],
        redaction: Redaction = NOTHING,
    ) -> None:
        self.have_tools_changed = False
        self._transport = transport
        self._level = "info"
        self._redaction = redaction
        self._lines = Trickle(lambda text: say(self._level, text), redaction)
        self._numbers = itertools.count(1)
        self._open: dict[int, _Question] = {}
        self._called_off: set[int] = set()
        self._gone: str | None = None
        self._bad = 0
        self._replies = 0

    async def __aenter__(self) -> Self:
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        self._tasks.start_soon(self._listen)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end("The session with the server was ended.")
        self._tasks.cancel_scope.cancel()
        await self._tasks.__aexit__(None, None, None)
        self._lines.flush()

    @property
    def gone(self) -> str | None:
        """Why the server is gone, once that is known."""
        return self._gone

    @contextlib.contextmanager
    def limit(self, seconds: float, failure: str) -> Generator[None]:
        """Raise TimeoutError, with a sentence for the model, once the time is over."""
        with anyio.move_on_after(seconds) as scope:
            yield
        if scope.cancelled_caught:
            raise TimeoutError(f"The server {failure} within {seconds:g} seconds.")

    async def ask(
        self,
        method: str,
        params: Json,
        meta: Json = NO_META,
        *,
        is_cancellable: bool = True,
        has_progress: bool = False,
    ) -> Raw:
        """The result of one request. Cancelled, it tells the server, where that is allowed.

        Raises:
            ServerGone: there will be no answer.
            ServerRefused: the answer is an error.
        """
        if self._gone is not None:
            raise ServerGone(self._gone)
        number = next(self._numbers)
        if has_progress:
            meta = {**meta, "progressToken": number}
        if meta:
            params = {**params, "_meta": meta}
        question = self._open[number] = _Question()
        try:
            await self._transport.send(request(number, method, params))
            await question.answered.wait()
        except ServerGone as gone:
            self._end(str(gone))
            raise
        except anyio.get_cancelled_exc_class():
            self._called_off.add(number)
            if is_cancellable and self._gone is None:
                self._tasks.start_soon(self._call_off, number)
            raise
        finally:
            del self._open[number]
        if question.problem is not None:
            reason = self._redaction.start(question.problem.message, _MAX_REASON)
            raise ServerRefused(question.problem.code, reason)
        if question.result is None:
            raise ServerGone(self._gone or "The server is gone.")
        return question.result

    async def _listen(self) -> None:
        try:
            while True:
                self._take(await self._transport.receive())
        except ServerGone as gone:
            self._end(str(gone))

    def _end(self, reason: str) -> None:
        """Tell all who wait that no answer will come. The first reason stands."""
        self._gone = self._gone or reason
        for question in self._open.values():
            question.answered.set()

    def _take(self, data: bytes) -> None:
        try:
            message = decode(_message, data, None)
        except Unreadable as problem:
            self._refuse(data, f"An answer came that {problem}.")
            self._count("no message")
            return
        if message.jsonrpc != "2.0":
            self._count("no message of JSON-RPC 2.0")
        elif message.is_answer:
            self._answer(message)
        elif message.method is None:
            self._count("neither a question nor an answer")
        elif message.id is None:
            self._note(message.method, message.params)
        else:
            self._reply(message)

    def _refuse(self, data: bytes, reason: str) -> None:
        """Let nobody wait for an answer that came and cannot be read."""
        question = self._open.get(number_in(data[:_END], data[-_END:]) or 0)
        if question is not None and not question.answered.is_set():
            question.problem = Problem(message=reason)
            question.answered.set()

    def _answer(self, message: Message) -> None:
        number = message.id
        if not isinstance(number, int):
            self._count("an answer to nothing")
        elif number in self._called_off:
            self._called_off.discard(number)
        elif (question := self._open.get(number)) is None or question.answered.is_set():
            self._count("an answer to nothing")
        else:
            question.result, question.problem = message.result, message.problem
            question.answered.set()

    def _note(self, method: str, params: Raw) -> None:
        """Hear a notification. Most are for others than us."""
        if method == "notifications/tools/list_changed":
            self.have_tools_changed = True
        elif method not in {"notifications/message", "notifications/progress"}:
            return
        elif not self._lines.is_open or size_of(params) > MAX_NOTE_BYTES:
            self._lines.leave_out(1)
        elif method == "notifications/message":
            self._log(params)
        else:
            self._progress(params)

    def _log(self, params: Raw) -> None:
        try:
            logged = decode(_logged, params)
        except Unreadable:
            self._count("a note that is none")
            return
        self._level = self._redaction.start(logged.level, _MAX_LEVEL)
        self._lines.add(logged.text)

    def _progress(self, params: Raw) -> None:
        try:
            progress = decode(_progress, params)
        except Unreadable:
            self._count("a note that is none")
            return
        if progress.progress_token in self._open:
            self._level = "progress"
            self._lines.add(progress.text)

    def _reply(self, message: Message) -> None:
        """Answer, beside everything else: the server may not read before it is read itself."""
        if isinstance(message.id, str) and len(message.id) > MAX_ID:
            self._count("a question whose number has no end")
            return
        if self._replies == MAX_REPLIES:
            self._count("more questions than it reads answers")
            return
        self._replies += 1
        self._tasks.start_soon(self._send_reply, reply(message))

    async def _send_reply(self, data: bytes) -> None:
        try:
            with contextlib.suppress(ServerGone):
                await self._transport.send(data)
        finally:
            self._replies -= 1

    async def _call_off(self, number: int) -> None:
        about: Json = {"requestId": number, "reason": "Nobody waits for the answer any more."}
        with contextlib.suppress(ServerGone), anyio.move_on_after(_COURTESY):
            await self._transport.send(notification("notifications/cancelled", about))

    def _count(self, what: str) -> None:
        self._bad += 1
        if self._bad > MAX_BAD_MESSAGES:
            raise ServerGone(
                f"The server was given up after {self._bad} messages that make no sense. "
                f"The last was {what}."
            )
