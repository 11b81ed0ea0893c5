"""The headers that MCP adds to each message: revision, session, and what is shown of it."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from perstack.skills.mcp.http_parameters import Path, encoded, mirrored, shown
from perstack.skills.mcp.http_sent import CALL
from perstack.skills.mcp.protocol import STATELESS, Unreadable, decode

if TYPE_CHECKING:
    from perstack.net.site import Answer
    from perstack.skills.mcp.http_sent import Sent
    from perstack.skills.mcp.protocol import ServerTool

VISIBLE = re.compile(r"[!-~]{1,8192}")
"""What a server gave that can be sent back in a header."""

_SESSION = "mcp-session-id"
_PROTOCOL = "mcp-protocol-version"

_arguments = msgspec.json.Decoder(dict[str, object])


class MessageHeaders:
    """What a server has to see again with each message. `session` is its own name for ours."""

    def __init__(self) -> None:
        self.session = ""
        self._protocol = ""
        self._mirrored: dict[str, dict[Path, str]] = {}

    @property
    def is_stateless(self) -> bool:
        """Whether the server keeps nothing of us: a request is called off by hanging up."""
        return self._protocol == STATELESS

    def agree(self, protocol: str) -> None:
        """Speak this revision from the next message on."""
        self._protocol = protocol

    def begin(self, answer: Answer) -> None:
        """Take the session that the answer to `initialize` opens, if it opens one."""
        session = answer.headers.get(_SESSION, "")
        self.session = session if VISIBLE.fullmatch(session) else ""

    def admit(self, tool: ServerTool) -> str | None:
        """Why a tool may not be called. None where it may, and then it is remembered how."""
        if self.is_stateless:
            try:
                self._mirrored[tool.name] = mirrored(tool.input_schema)
            except ValueError as problem:
                return str(problem)
        return None

    def plain(self) -> dict[str, str]:
        """With every message."""
        headers = {_PROTOCOL: self._protocol} if self._protocol else {}
        return headers | {_SESSION: self.session} if self.session else headers

    def of(self, sent: Sent) -> dict[str, str]:
        """With a request, of which the stateless revision wants to see the head as well."""
        if not self.is_stateless:
            return self.plain()
        headers = self.plain() | {"mcp-method": sent.method or ""}
        if sent.method != CALL:
            return headers
        headers["mcp-name"] = encoded(sent.params.name)
        if where := self._mirrored.get(sent.params.name):
            with suppress(Unreadable):
                headers |= shown(where, decode(_arguments, sent.params.arguments))
        return headers
