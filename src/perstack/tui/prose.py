"""Markdown that a model wrote, whole or as it comes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from textual.containers import Vertical
from textual.content import Content
from textual.visual import Visual
from textual.widgets import Static

from perstack.tui.blocks import blocks_of
from perstack.tui.cuts import NOWHERE, cut_anywhere, cut_between
from perstack.tui.part import Part
from perstack.views.plain import plain

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token
    from textual.app import ComposeResult
    from textual.css.styles import RulesMap
    from textual.selection import Selection
    from textual.strip import Strip
    from textual.style import Style
    from textual.visual import RenderOptions

    from perstack.tui.blocks import Block

LONG = 2000
"""Characters of a piece from which on the next block begins a new one."""

TOO_LONG = 2 * LONG
"""Characters of a piece that is cut wherever it can be, though that may show."""

DEEPEST = 100
"""Quotations and lists in one another that are read; what is deeper is left out."""


_SIGNS = re.compile("[*_`]")


def parser() -> MarkdownIt:
    """Markdown without character references, which would bring back what `plain` took away.

    Addresses stay what they are: nothing opens them, and `sum.py` is none. So do those
    that stand apart (`[1]: https://…`): what names one may be in another piece of the text.
    """
    from markdown_it import MarkdownIt

    options = {"linkify": False, "maxNesting": DEEPEST}
    return MarkdownIt("gfm-like", options).disable(["entity", "linkify", "reference"])


class Filled(Visual):
    """Blocks one below the other, as wide as there is room."""

    def __init__(self, blocks: list[Block], *, is_apart: bool = False) -> None:
        self._blocks = blocks
        self._above = [Content()] if is_apart else []
        self._width = -1
        self._shown = Content()

    def at(self, width: int) -> Content:
        """All of it, with a line end after each line."""
        if width != self._width:
            lines = (line for block in self._blocks for line in block.lines(width))
            folded = (part for line in lines for part in _folded(line, width))
            self._width, self._shown = width, Content("\n").join([*self._above, *folded])
        return self._shown

    def render_strips(
        self, width: int, height: int | None, style: Style, options: RenderOptions
    ) -> list[Strip]:
        """Its lines."""
        return self.at(width).render_strips(width, height, style, options)

    def get_optimal_width(self, rules: RulesMap, container_width: int) -> int:
        """As much as there is."""
        return container_width

    def get_height(self, rules: RulesMap, width: int) -> int:
        """The number of its lines."""
        return self.at(width).plain.count("\n") + 1


def _folded(line: Content, width: int) -> list[Content]:
    return [line] if line.cell_length <= width else line.fold(width)


class Piece(Static):
    """Some blocks of a text. `is_apart`: there is a line above it."""

    def __init__(self, *, is_apart: bool) -> None:
        super().__init__()
        self._is_apart = is_apart
        self._filled = Filled([])

    def show(self, tokens: list[Token]) -> None:
        """Show these blocks in place of those before."""
        self._filled = Filled(blocks_of(tokens), is_apart=self._is_apart)
        self.update(self._filled)
        self.clear_cached_dimensions()  # which an update before the mount would leave

    def text(self, width: int) -> str:
        """What is shown at a width, without its colours."""
        return self._filled.at(width).plain

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """What was marked with the mouse."""
        return selection.extract(self.text(self.content_size.width)), "\n"


class Prose(Part, Vertical):
    """Untrusted Markdown. Links are shown, and open nothing. `whole` is what it was made of.

    `add` only keeps a piece; `flush` shows what is kept. So a screen is drawn as often
    as somebody flushes, however the text was cut. What a draw takes does not grow with
    the text: blocks that are complete are not looked at again.
    """

    def __init__(self, text: str = "", *, classes: str = "") -> None:
        super().__init__(classes=classes)
        self.whole = text
        self._parser = parser()
        self._kept: list[str] = []
        self._done: list[str] = []
        self._again = ""
        self._rest = ""
        self._pieces = [Piece(is_apart=False)]
        self._take(plain(text))

    def compose(self) -> ComposeResult:
        """Its pieces."""
        yield from self._pieces

    @property
    def source(self) -> str:
        """The text so far."""
        return "".join([*self._done, self._rest])

    @property
    def original(self) -> str:
        """What was said; while it comes, as far as it is shown."""
        return self.whole or self.source

    @property
    def shown(self) -> str:
        """All of it, as it was written and without the signs of emphasis."""
        text = plain(self.original)
        return f"{text}\n{_SIGNS.sub('', text)}"

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
        known = len(self._pieces)
        self._take(plain(text))
        if len(self._pieces) > known:
            await self.mount_all(self._pieces[known:])

    async def finish(self) -> None:
        """Show the rest. Nothing more is added."""
        if self._kept[-1:] == ["\r"]:
            self._kept.append("\n")
        await self.flush()

    def _take(self, text: str) -> None:
        if not text:
            return
        tokens: list[Token] = []
        for at in range(0, len(text), LONG):
            self._rest += text[at : at + LONG]
            tokens = self._parsed()
            while len(self._rest) > LONG and self._part(tokens):
                tokens = self._parsed()
        self._pieces[-1].show(tokens)

    def _parsed(self) -> list[Token]:
        return self._parser.parse(self._again + self._rest)

    def _part(self, tokens: list[Token]) -> bool:
        """Whether what is complete could be parted from what is not."""
        whole, known = self._again + self._rest, len(self._again)
        cut = cut_between(tokens, whole)
        if cut.at <= known:
            cut = cut_anywhere(whole) if len(self._rest) > TOO_LONG else NOWHERE
        if cut.at <= known:
            return False
        self._pieces[-1].show(self._parser.parse(whole[: cut.at]))
        self._pieces.append(Piece(is_apart=cut.is_apart))
        self._done.append(whole[known : cut.at])
        self._again, self._rest = cut.again, whole[cut.at :]
        return True
