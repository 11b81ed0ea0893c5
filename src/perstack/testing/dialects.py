"""The wires that a scripted model server speaks."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from perstack.testing import (
    anthropic_dialect,
    bedrock_dialect,
    chat_dialect,
    gemini_dialect,
    responses_dialect,
)
from perstack.testing.scenario import Conversation, ReplySpec


def _as_it_is(event: bytes) -> bytes:
    return event


class Dialect(NamedTuple):
    """One vendor's wire, as a server speaks it. `path` is matched against the whole path.

    `frame` makes of an event, once nothing in it changes any more, what goes out.
    """

    path: str
    conversation: Callable[..., Conversation]
    events: Callable[[ReplySpec], list[bytes]]
    error_event: Callable[[ReplySpec], bytes]
    error_body: Callable[[ReplySpec], bytes]
    content_type: str = "text/event-stream"
    frame: Callable[[bytes], bytes] = _as_it_is


DIALECTS = (
    Dialect(
        re.escape(anthropic_dialect.PATH),
        anthropic_dialect.conversation,
        anthropic_dialect.events,
        anthropic_dialect.error_event,
        anthropic_dialect.error_body,
    ),
    Dialect(
        bedrock_dialect.PATH,
        bedrock_dialect.conversation,
        bedrock_dialect.events,
        bedrock_dialect.error_event,
        bedrock_dialect.error_body,
        bedrock_dialect.CONTENT_TYPE,
        bedrock_dialect.frame,
    ),
    Dialect(
        chat_dialect.PATH,
        chat_dialect.conversation,
        chat_dialect.events,
        chat_dialect.error_event,
        chat_dialect.error_body,
    ),
    Dialect(
        gemini_dialect.PATH,
        gemini_dialect.conversation,
        gemini_dialect.events,
        gemini_dialect.error_event,
        gemini_dialect.error_body,
        frame=gemini_dialect.frame,
    ),
    Dialect(
        responses_dialect.PATH,
        responses_dialect.conversation,
        responses_dialect.events,
        responses_dialect.error_event,
        responses_dialect.error_body,
    ),
)
"""A further wire is a further row."""


@cache
def dialect_of(path: str) -> Dialect | None:
    """The wire that is spoken at `path`."""
    return next((each for each in DIALECTS if re.fullmatch(each.path, path)), None)
