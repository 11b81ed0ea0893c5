"""Text from anywhere, made safe to print on a terminal."""

from __future__ import annotations

import re

_UNSAFE = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters, and with them every escape sequence
    "\u00ad\u061c\u180e\u200b\u200e\u200f\u2060-\u206f\ufeff\ufff9-\ufffb"  # invisible, or bidi
    "\u2028-\u202e"  # line and paragraph separators; bidi
    "\ud800-\udfff"  # half of a character
    "\U000e0000-\U000e007f"  # invisible letters
)
_LINES = re.compile(f"[{_UNSAFE}]")
_ONE_LINE = re.compile(f"[{_UNSAFE}\t\n]")
_NAMED = {"\t": r"\t", "\n": r"\n", "\r": r"\r"}
CUT = "…"


def plain(text: str, limit: int | None = None, *, one_line: bool = False) -> str:
    r"""`text` with everything that moves, hides or reorders text shown as an escape (`\x1b`).

    Line ends and tabs stay, unless `one_line`; CRLF becomes LF. The result is valid
    Unicode and has at most `limit` characters, the last one `…` where it was cut (an
    escape is never cut in half). Plain text is left as it is.
    """
    pattern = _ONE_LINE if one_line else _LINES
    head = text if limit is None else text[: 2 * max(limit, 0) + 2]
    shown = pattern.sub(_escaped, head.replace("\r\n", "\n"))
    if limit is None or (len(shown) <= limit and len(head) == len(text)):
        return shown
    return _cut(head.replace("\r\n", "\n"), pattern, limit)


def counted(number: int, one: str, several: str = "") -> str:
    """A number and its noun."""
    return f"{number} {one if number == 1 else several or one + 's'}"


def _cut(text: str, pattern: re.Pattern[str], limit: int) -> str:
    pieces: list[str] = []
    left = limit - len(CUT)
    for character in text:
        piece = pattern.sub(_escaped, character)
        left -= len(piece)
        if left < 0:
            break
        pieces.append(piece)
    return "".join(pieces) + CUT[: max(limit, 0)]


def _escaped(match: re.Match[str]) -> str:
    character = match[0]
    code = ord(character)
    if code > 0xFFFF:
        return f"\\U{code:08x}"
    return _NAMED.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
