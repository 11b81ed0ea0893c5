"""What came over HTTP, on its way to whoever asked, with each refusal told in words."""

from __future__ import annotations

from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

import anyio
import msgspec

from perstack.net import Unreachable
from perstack.net.redaction import Redaction
from perstack.skills.mcp.http_stream import JSON, form_of
from perstack.skills.mcp.protocol import (
    LOST,
    METHOD_NOT_FOUND,
    TURNED_AWAY,
    Message,
    Problem,
    Unreadable,
    decode,
    error_answer,
)

if TYPE_CHECKING:
    from perstack.net.site import Answer
    from perstack.skills.mcp.address import Address
    from perstack.skills.mcp.http_inbox import Inbox

FORGOTTEN = "The server has ended the session."

_MAX_BODY = 64 * 1024
_MAX_WORDS = 300
_BODY_SECONDS = 5.0
_DENIED = frozenset({401, 403})
_UNSURE = 500
"""From this status on, something may have been done."""
_SESSION_CODES = frozenset({-32600, -32000, -32001})

_message = msgspec.json.Decoder(Message)


class Refusal(NamedTuple):
    """Why a request was not served. `is_protocol`: the server said so in JSON-RPC."""

    status: int
    problem: Problem
    is_protocol: bool = False

    @property
    def is_denial(self) -> bool:
        """Whether it is about who asks, and not about what is asked."""
        return self.status in _DENIED

    @property
    def is_about_the_session(self) -> bool:
        """Whether the server does not know the session that was named.

        It should say so with 404. Many say it with 400, and words.
        """
        status, problem, is_protocol = self
        if status == 404:
            return not (is_protocol and problem.code == METHOD_NOT_FOUND)
        says_so = "session" in problem.message.lower() and problem.code in _SESSION_CODES
        return status == 400 and is_protocol and says_so


class Delivery:
    """Puts messages into `inbox`. `turn` is for who puts a long one together.

    What is told here of an answer's status holds no header's value. Messages are given on
    as they are: their secrets are hidden where they are read.
    """

    def __init__(self, inbox: Inbox, address: Address) -> None:
        self.turn = anyio.Lock()
        self._inbox = inbox
        self._variables = tuple(dict.fromkeys(address.variables.values()))
        self._redaction = Redaction((*address.headers.values(), *address.secrets.values()))

    async def give(self, message: bytes, number: int | None = None) -> bool:
        """Give a message on. True where it answers the request `number`."""
        await self._inbox.put(message)
        return number is not None and _is_answer(message, number)

    def hidden(self, text: str) -> str:
        """`text` without secrets, in whatever letters a server put them."""
        return self._redaction.hidden(text)

    async def refuse(self, number: int, problem: Problem) -> None:
        """Answer the request `number` in the server's place."""
        await self.give(error_answer(number, problem))

    async def refusal(self, answer: Answer) -> Refusal:
        """What an answer means whose status is no success."""
        status = answer.status
        if status in _DENIED:
            return Refusal(status, Problem(TURNED_AWAY, self._denial(status)))
        body = await _beginning(answer)
        problem = _problem(body)
        if problem is not None:
            return Refusal(status, problem, is_protocol=True)
        said = ""
        if form_of(answer) in {JSON, "text/plain"}:
            said = self._redaction.line(body.decode("utf-8", "replace"), _MAX_WORDS)
        words = f"The server answered with HTTP status {_named(status)}."
        code = LOST if status >= _UNSURE else TURNED_AWAY
        return Refusal(status, Problem(code, f"{words}\nIt said: {said}" if said else words))

    def _denial(self, status: int) -> str:
        names = " and ".join(self._variables)
        check = (
            f"Check the value of {names}."
            if names
            else "The skill names no variable for a token: see bearerTokenEnv and headersEnv."
        )
        return f"The server denies access with HTTP status {_named(status)}. {check}"


async def _beginning(answer: Answer) -> bytes:
    """As much of a body as says enough, and comes in time."""
    body = bytearray()
    with suppress(Unreachable), anyio.move_on_after(_BODY_SECONDS):
        async for chunk in answer.chunks():
            body += chunk
            if len(body) > _MAX_BODY:
                break
    return bytes(body[:_MAX_BODY])


def _problem(body: bytes) -> Problem | None:
    """The error of JSON-RPC that a body holds."""
    try:
        message = decode(_message, body, None)
    except Unreadable:
        return None
    return message.problem if message.jsonrpc == "2.0" and message.method is None else None


def _is_answer(data: bytes, number: int) -> bool:
    try:
        message = decode(_message, data, None)
    except Unreadable:
        return False
    return message.id == number and message.is_answer and message.jsonrpc == "2.0"


def _named(status: int) -> str:
    try:
        return f"{status} ({HTTPStatus(status).phrase})"
    except ValueError:
        return str(status)
