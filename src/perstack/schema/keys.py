"""Keys and ids, and the one place that says which are well formed.

Patterns and lengths are those of the reference implementation's formats.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from perstack.errors import UsageError

NAME_PATTERN = re.compile(r"(@[a-z0-9][a-z0-9_-]*/)?[a-z0-9][a-z0-9_-]*")
TAG_PATTERN = re.compile(r"[a-z0-9][a-z0-9_-]*")
VERSION_PATTERN = re.compile(
    r"(0|[1-9][0-9]{0,17})\.(0|[1-9][0-9]{0,17})\.(0|[1-9][0-9]{0,17})"
    r"(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?"
)
ID_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")

MAX_NAME_LENGTH = 255
MAX_KEY_LENGTH = 511


class ExpertKey(NamedTuple):
    """A parsed key: `name`, `name@version` or `name@tag`."""

    name: str
    version: str | None = None
    tag: str | None = None

    @property
    def tool_name(self) -> str:
        """The name a delegate's tool goes by: the last segment of the key's name."""
        return self.name.rpartition("/")[2]


def parse_key(text: str) -> ExpertKey:
    """The parts of an Expert key.

    Raises:
        UsageError: the key is not `name`, `name@version` or `name@tag`.
    """
    if len(text) <= MAX_KEY_LENGTH:
        at = text.find("@", 1)
        name, rest = (text, None) if at < 0 else (text[:at], text[at + 1 :])
        if len(name) <= MAX_NAME_LENGTH and NAME_PATTERN.fullmatch(name):
            if rest is None:
                return ExpertKey(name)
            if VERSION_PATTERN.fullmatch(rest):
                return ExpertKey(name, version=rest)
            if TAG_PATTERN.fullmatch(rest):
                return ExpertKey(name, tag=rest)
    shown = ascii(text if len(text) <= 80 else text[:80] + "…")
    message = (
        f"{shown} is not an Expert key. A key is a name in lower-case letters, digits, '-' and "
        "'_', with an optional '@scope/' before it and '@version' or '@tag' after it"
    )
    raise UsageError(message)


def is_id(text: str) -> bool:
    """Whether `text` may stand as a job, run or checkpoint id (and so as a folder's name)."""
    return ID_PATTERN.fullmatch(text) is not None


def checked_id(text: str, what: str) -> str:
    """`text` itself, when it is a well-formed id.

    Raises:
        UsageError: it is not; the message names `what` ("job id", "checkpoint id").
    """
    if is_id(text):
        return text
    shown = ascii(text if len(text) <= 80 else text[:80] + "…")
    message = (
        f"{shown} is not a {what}. An id has 1 to 128 letters, digits, '-' and '_', "
        "and starts with a letter or digit"
    )
    raise UsageError(message)
