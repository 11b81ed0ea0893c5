"""The wires that a scripted model server speaks."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from perstack.testing import anthropic_dialect
from perstack.testing.scenario import Conversation, ReplySpec


class Dialect(NamedTuple):
    """One vendor's wire, as a server speaks it. `path` is matched against the whole path."""

    path: str
    conversation: Callable[..., Conversation]
    events: Callable[[ReplySpec], list[bytes]]
    error_event: Callable[[ReplySpec], bytes]
    error_body: Callable[[ReplySpec], bytes]
    content_type: str = "text/event-stream"


DIALECTS = (
    Dialect(
        re.escape(anthropic_dialect.PATH),
        anthropic_dialect.conversation,
        anthropic_dialect.events,
        anthropic_dialect.error_event,
        anthropic_dialect.error_body,
    ),
)
"""A further wire is a further row."""


@cache
def dialect_of(path: str) -> Dialect | None:
    """The wire that is spoken at `path`."""
    return next((each for each in DIALECTS if re.fullmatch(each.path, path)), None)
