r"""`.env` files: `NAME=value` lines, read without surprises.

The rules: one variable a line, `export ` before it allowed. A bare value ends at
the line's end or at ` #`, and is trimmed. In single quotes everything is literal. In
double quotes `\n`, `\r`, `\t`, `\"`, `\\` and `\$` are escapes, any other backslash
stays, and the value may span lines. Nothing is ever interpolated: `$NAME` is five
characters. A name given twice in a file has its last value.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from perstack.config.source import decoded, read_source, shown_path
from perstack.errors import ConfigurationError
from perstack.schema.variables import MAX_NAME_LENGTH, is_dangerous

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

_BLANK = re.compile(r"(?:[ \t]*+(?:#[^\n]*+)?\n)++|[ \t]++\Z|[ \t]*+#[^\n]*+\Z")
_NAME = re.compile(r"[ \t]*+(?:export[ \t]++)?([A-Za-z_][A-Za-z0-9_]*+)[ \t]*+=[ \t]*+")
_DOUBLE = re.compile(r'"([^"\\]*+(?:\\.[^"\\]*+)*+)"', re.DOTALL)
_SINGLE = re.compile(r"'([^'\n]*+)'")
_BARE = re.compile(r"[^\n]*+")
_COMMENT = re.compile(r"(?:^|[ \t])#.*")
_REST = re.compile(r"[ \t]*+(?:#[^\n]*+)?(?:\n|\Z)")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$"}


def load_env(
    paths: Iterable[Path],
    environ: Mapping[str, str],
    *,
    required: bool = False,
    warn: Callable[[str], None] | None = None,
) -> dict[str, str]:
    """`environ` with what the files add: a variable of the process wins, then the first file.

    A file that is not there is skipped, unless `required`. Variables that could make
    a program load foreign code are left out, and `warn` hears of each.

    Raises:
        ConfigurationError: a file is unreadable or wrong; file and line are named,
            and nothing of the line is repeated, since it may be a secret.
    """
    merged = dict(environ)
    for path in paths:
        try:
            source = read_source(path)
        except FileNotFoundError:
            if required:
                raise ConfigurationError(
                    f"{shown_path(path)} does not exist; it was named by --env-path"
                ) from None
            continue
        for name, value in parse_env(source, shown_path(path)).items():
            if not is_dangerous(name):
                merged.setdefault(name, value)
            elif warn is not None:
                warn(f"{shown_path(path)}: {name} is ignored: it can make programs load code")
    return merged


def parse_env(source: str | bytes, origin: str) -> dict[str, str]:
    """The variables in the text of one file.

    Raises:
        ConfigurationError: it is too large, no UTF-8, or a line is no variable.
    """
    text = decoded(source, origin).replace("\r\n", "\n")
    variables: dict[str, str] = {}
    position = 0
    while position < len(text):
        if blank := _BLANK.match(text, position):
            position = blank.end()
            continue
        found = _NAME.match(text, position)
        if found is None or len(found[1]) > MAX_NAME_LENGTH:
            raise _wrong(text, position, origin, "is no NAME=value")
        value, end = _value(text, found.end(), origin)
        if "\0" in value:
            raise _wrong(text, position, origin, "has a NUL character in its value")
        variables[found[1]] = value
        position = end
    return variables


def _value(text: str, start: int, origin: str) -> tuple[str, int]:
    """The value that begins at `start`, and where the next line begins."""
    quote = text[start : start + 1]
    if quote not in ('"', "'") or not quote:
        bare = _BARE.match(text, start)
        assert bare is not None  # noqa: S101 - the pattern matches anywhere
        return _COMMENT.sub("", bare[0]).strip(), bare.end() + 1
    found = (_DOUBLE if quote == '"' else _SINGLE).match(text, start)
    if found is None:
        raise _wrong(text, start, origin, "opens a quote that nothing closes")
    rest = _REST.match(text, found.end())
    if rest is None:
        raise _wrong(text, found.end(), origin, "has something after the closing quote")
    value = _ESCAPE.sub(_unescaped, found[1]) if quote == '"' else found[1]
    return value, rest.end()


def _unescaped(escape: re.Match[str]) -> str:
    return _ESCAPED.get(escape[1], escape[0])


def _wrong(text: str, position: int, origin: str, what: str) -> ConfigurationError:
    line = text.count("\n", 0, position) + 1
    return ConfigurationError(f"{origin}:{line} {what}")
