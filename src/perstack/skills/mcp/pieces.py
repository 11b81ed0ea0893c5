"""The secrets within a secret: what of a variable's value may be told without the rest."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, cast
from urllib.parse import unquote

from perstack.schema.variables import is_secret

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHORTEST_TOKEN = 20
_USERINFO = re.compile(r"//([^\s/]*)@")
_PAIR = re.compile(r"(?:^|[?&;\s])([\w.-]{1,64}(?: [\w.-]{1,64})?)=([^&;\s]+)")
_TOKEN = re.compile(
    rf"""(?=.*\d)(?=.*[A-Za-z])
         (?: [\w+/=~-]{{{_SHORTEST_TOKEN},}}
         | (?=.*[A-Z])[\w+/=~.-]{{{_SHORTEST_TOKEN},}} )  # else it may be the name of a host""",
    re.VERBOSE | re.ASCII,
)


def pieces_of(value: str) -> Iterator[str]:
    """What of a value is a secret by itself, since programs take the value apart.

    The password of an address, also unquoted; in JSON, in `name=value` pairs and behind a
    scheme as `Bearer`, what is named like a secret or looks like one: 20 letters and digits.
    """
    for name, part in (*_leaves("", value), *_pairs(value)):
        if part != value and (is_secret(name) or _TOKEN.fullmatch(part)):
            yield part
            yield unquote(part)
        for word in part.split() if " " in part.strip() else ():
            if _TOKEN.fullmatch(word):
                yield word
        for secret in _userinfo(part):
            yield secret
            yield unquote(secret)


def _leaves(name: str, text: str) -> Iterator[tuple[str, str]]:
    """The texts in a value that is JSON, each behind the name it has; else the value alone."""
    try:
        pending = [(name, cast("object", json.loads(text)))]
    except (ValueError, RecursionError):
        pending = []
    yield name, text
    while pending:
        name, inner = pending.pop()
        if isinstance(inner, str):
            yield name, inner
            yield from _pairs(inner)
        elif isinstance(inner, dict):
            pending.extend(cast("dict[str, object]", inner).items())
        elif isinstance(inner, list):
            pending.extend((name, item) for item in cast("list[object]", inner))


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    """The values of a query, or of a string for a connection, behind their names."""
    return ((found[1], found[2]) for found in _PAIR.finditer(text))


def _userinfo(addresses: str) -> Iterator[str]:
    """The passwords in the addresses of a value, and what may be one in the place of a user."""
    for found in _USERINFO.findall(addresses):
        user, _, password = found.partition(":")
        yield password
        if len(user) >= _SHORTEST_TOKEN:
            yield user
