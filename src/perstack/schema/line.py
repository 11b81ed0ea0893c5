"""JSON as the lines of logs and of standard output hold it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

# As UTF-8, and the same set that `views.plain` escapes: DEL and C1, which are controls, as
# some terminals take them; what is invisible, or reorders or ends a line.
_KINDS = {
    b"\x7f": rb"\x7f",
    b"\xc2": rb"\xc2[\x80-\x9f\xad]",
    b"\xd8": rb"\xd8\x9c",
    b"\xe1": rb"\xe1\xa0\x8e",
    b"\xe2": rb"\xe2(?:\x80[\x8b\x8e\x8f\xa8-\xae]|\x81[\xa0-\xaf])",
    b"\xef": rb"\xef(?:\xbb\xbf|\xbf[\xb9-\xbb])",
    b"\xf3": rb"\xf3\xa0[\x80\x81][\x80-\xbf]",
}
_UNSAFE = re.compile(b"(?:" + b"|".join(_KINDS.values()) + b")+")
_TELLING = [(lead, re.compile(kind).search) for lead, kind in _KINDS.items()]
_encode = msgspec.json.Encoder().encode


def json_line(value: object) -> bytes:
    r"""`value` as one line of JSON, without a newline, which is harmless as it is on a terminal.

    What moves the cursor, hides text or reorders it stands as an escape (`\u009b`), which
    every reader of JSON takes for the character itself.
    """
    line = _encode(value)
    for lead, search in _TELLING[:1] if line.isascii() else _TELLING:
        if lead in line and search(line):  # the first is fast, and false for most lines
            return _UNSAFE.sub(_escaped, line)
    return line


def json_document(value: object) -> bytes:
    """`value` as JSON of several lines, as harmless as `json_line`.

    A name of a file may be no Unicode. What is none in it stands as a backslash and a number.
    """
    try:
        line = json_line(value)
    except UnicodeEncodeError:
        line = json_line(_spelled(msgspec.to_builtins(value)))
    return msgspec.json.format(line, indent=2)


def _spelled(value: object) -> object:
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, dict):
        table = cast("dict[str, object]", value)
        return {name: _spelled(each) for name, each in table.items()}
    if isinstance(value, list | tuple):
        return [_spelled(each) for each in cast("Iterable[object]", value)]
    return value


class _Escapes(dict[int, str]):
    """What stands for each character, made when it is first met."""

    def __missing__(self, code: int) -> str:
        units = chr(code).encode("utf-16-be").hex()
        self[code] = "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
        return self[code]


_ESCAPES = _Escapes()


def _escaped(match: re.Match[bytes]) -> bytes:
    return match[0].decode().translate(_ESCAPES).encode()
