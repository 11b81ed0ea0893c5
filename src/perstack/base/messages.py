"""Messages as lines of JSON: what is taken for one, what it weighs, and how one is written."""

from __future__ import annotations

import re

import msgspec
from mcp.types import jsonrpc  # noqa: TID253 - this file wraps it

from perstack.base.caps import MIB, Caps

LONGEST_LINE = 2 * Caps().write + MIB
"""Bytes in one message: a text at its cap whose every byte is escaped, and the rest."""

MOST_MARKS = 200_000
"""Strings, commas and opened brackets in one message, those inside its strings not counted."""

_MARK = 64
"""Bytes of memory that one of them stands for, about."""

_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
"""A string, or what is left of one. It fits wherever a quote stands, so no byte is tried twice."""


class NoMessage(Exception):
    """What came in is no message. `answer` says so to who sent it."""

    def __init__(self, code: int, message: str, to: str | int | None = None) -> None:
        super().__init__(message)
        self.answer = jsonrpc.JSONRPCError(
            jsonrpc="2.0", id=to, error=jsonrpc.ErrorData(code=code, message=message)
        )


class _Asked(msgspec.Struct):
    """As much of a request as it takes to answer it."""

    method: str | float | bool | None
    id: str | int


def parse_message(line: bytes | None) -> tuple[jsonrpc.JSONRPCMessage, int]:
    """The message in a line, and the bytes of memory it takes, about; None is too long a line.

    Raises:
        NoMessage: it is none, or too much of one.
    """
    if line is None:
        raise NoMessage(jsonrpc.INVALID_REQUEST, f"A message has at most {LONGEST_LINE} bytes.")
    marks = _marks(line)
    if marks > MOST_MARKS:
        most = f"A message has at most {MOST_MARKS} strings, commas and brackets in all."
        raise NoMessage(jsonrpc.INVALID_REQUEST, most, _asked_by(line))
    try:
        message = jsonrpc.jsonrpc_message_adapter.validate_json(line, by_name=False)
    except ValueError:
        what = "This is no message of JSON-RPC 2.0."
        raise NoMessage(jsonrpc.INVALID_REQUEST, what, _asked_by(line)) from None
    return message, len(line) + _MARK * marks


def encode_message(message: jsonrpc.JSONRPCMessage) -> bytes:
    """The line of a message, without its end."""
    return jsonrpc.jsonrpc_message_adapter.dump_json(message, by_alias=True, exclude_unset=True)


def _asked_by(line: bytes) -> str | int | None:
    """The id of a request that cannot be taken. Raises `NoMessage` where the line is no JSON."""
    try:
        return msgspec.json.decode(line, type=_Asked).id
    except msgspec.ValidationError:  # JSON, and nothing that can be answered by its id
        return None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise NoMessage(jsonrpc.PARSE_ERROR, "This is no JSON.") from None


def _marks(line: bytes) -> int:
    """How many there are, or enough to be too many. Strings are looked for only where it matters.

    Where it does not, a comma or bracket inside a string counts, and the string does not.
    """
    count = _opened(line, 0, len(line))
    if count <= MOST_MARKS and line.count(b'"') <= MOST_MARKS:
        return count
    count = end = 0
    for string in _STRING.finditer(line):
        count += 1 + _opened(line, end, string.start())
        end = string.end()
        if count > MOST_MARKS:
            return count
    return count + _opened(line, end, len(line))


def _opened(line: bytes, start: int, end: int) -> int:
    return sum(line.count(mark, start, end) for mark in (b",", b"[", b"{"))
