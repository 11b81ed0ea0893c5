"""What a transport over HTTP has to know of a message that it sends."""

from __future__ import annotations

import msgspec
from msgspec import Raw

INITIALIZE = "initialize"
INITIALIZED = "notifications/initialized"
CANCELLED = "notifications/cancelled"
CALL = "tools/call"
DISCOVER = "server/discover"
OPENING = frozenset({INITIALIZE, DISCOVER})


class SentParams(msgspec.Struct, rename="camel"):
    """Of the parameters of a message, what is looked at."""

    name: str = ""
    arguments: Raw = Raw()
    request_id: int | None = None


class Sent(msgspec.Struct):
    """The head of a message of ours."""

    method: str | None = None
    id: int | str | None = None
    params: SentParams = msgspec.field(default_factory=SentParams)


read_sent = msgspec.json.Decoder(Sent).decode
