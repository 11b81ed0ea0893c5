"""Markdown that a model wrote, whole or as it comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markdown_it import MarkdownIt
from textual.widgets import Markdown

from perstack.tui.part import Part
from perstack.views.plain import plain

if TYPE_CHECKING:
    from textual.widgets.markdown import MarkdownStream


def parser() -> MarkdownIt:
    """Markdown without character references, which would bring back what `plain` took away."""
    return MarkdownIt("gfm-like").disable("entity")


class Prose(Part, Markdown):
    """Untrusted Markdown. Links are shown, and open nothing. `whole` is what it was made of.

    `add` only keeps a piece; `flush` shows what is kept. So a screen is drawn as often
    as somebody flushes, however the text was cut.
    """

    def __init__(self, text: str = "", *, classes: str = "") -> None:
        super().__init__(plain(text), classes=classes, parser_factory=parser, open_links=False)
        self.whole = text
        self._kept: list[str] = []
        self._stream: MarkdownStream | None = None

    @property
    def original(self) -> str:
        """What was said; while it comes, as far as it is shown."""
        return self.whole or self.source

    def add(self, piece: str) -> None:
        """Keep a piece of the text."""
        self._kept.append(piece)

    async def flush(self) -> None:
        """Show what was kept."""
        if not self._kept:
            return
        text = "".join(self._kept)
        self._kept.clear()
        if text.endswith("\r"):  # perhaps half of a line end
            text = text[:-1]
            self._kept.append("\r")
        if self._stream is None:
            self._stream = Markdown.get_stream(self)
        await self._stream.write(plain(text))

    async def finish(self) -> None:
        """Show the rest. Nothing more is added."""
        if self._kept[-1:] == ["\r"]:
            self._kept.append("\n")
        await self.flush()
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.stop()
