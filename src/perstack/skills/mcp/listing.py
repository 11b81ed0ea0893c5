"""The tools of one server, taken page by page, within bounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import msgspec
from msgspec import Raw

from perstack.schema.message import Json
from perstack.skills.mcp import MAX_TOOL_BYTES, MAX_TOOLS, MAX_TOOLS_BYTES
from perstack.skills.mcp.crowd import MAX_VALUES, values_in
from perstack.skills.mcp.protocol import ServerTool, ToolEntry, Unreadable, decode
from perstack.skills.mcp.redaction import NOTHING, Redaction

MAX_ENTRIES = 2 * MAX_TOOLS
"""Entries that are looked at, tools or not."""

_entry = msgspec.json.Decoder(ToolEntry)


class Listing:
    """Tools within the caps. Of what is left out `say` gets (level, text), a reason once.

    They are without the secrets of `redaction`; one with a secret in its name is left out,
    since it could not be called by another.
    """

    def __init__(self, say: Callable[[str, str], None], redaction: Redaction = NOTHING) -> None:
        self._say = say
        self._redaction = redaction
        self._said: set[str] = set()
        self._tools: list[ServerTool] = []
        self._size = 0
        self._entries = 0
        self._values = 0

    @property
    def tools(self) -> tuple[ServerTool, ...]:
        """What was taken, in the server's order."""
        return tuple(self._tools)

    def add(self, entries: Sequence[Raw]) -> bool:
        """Take a page; False where there is room for no more."""
        for entry in entries:
            self._entries += 1
            size = len(memoryview(entry))
            if size > MAX_TOOL_BYTES:
                self._warn(f"Tools of more than {MAX_TOOL_BYTES >> 10} KiB were left out.")
                continue
            self._size += size
            self._values += values_in(entry)
            if self._is_full:
                self._warn(f"Only the first {len(self._tools)} tools were taken.")
                return False
            self._take(entry)
        return True

    @property
    def _is_full(self) -> bool:
        return (
            len(self._tools) == MAX_TOOLS
            or self._entries > MAX_ENTRIES
            or self._size > MAX_TOOLS_BYTES
            or self._values > MAX_VALUES
        )

    def _take(self, entry: Raw) -> None:
        try:
            tool = decode(_entry, entry)
        except Unreadable:
            self._warn("What is no tool in the list of tools was left out.")
            return
        if self._redaction.hidden(tool.name) != tool.name:
            self._warn("A tool whose name holds the value of a variable was left out.")
            return
        self._tools.append(
            ServerTool(
                tool.name,
                self._redaction.hidden(tool.description or ""),
                self._without_secrets(tool.input_schema or {"type": "object"}),
                self._without_secrets(tool.annotations or {}),
            )
        )

    def _without_secrets(self, table: Json) -> Json:
        return cast("Json", self._redaction.data(table))

    def _warn(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._say("warning", text)
