"""Markdown as blocks of styled text, which know how to fill a width."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat, zip_longest
from typing import TYPE_CHECKING, Protocol

from textual.content import Content

if TYPE_CHECKING:
    from markdown_it.token import Token

BULLETS = "•◦▪"
"""Of lists in lists, by turns."""

CODE = "on $panel"
FAINT = "dim"
QUOTED = "▌ "
STYLES = {"strong": "bold", "em": "italic", "s": "strike", "link": "underline"}
HEADINGS = {"h1": "bold underline $text-primary", "h2": "bold $text-primary"}
SMALLER_HEADING = "bold $text-secondary"
NARROWEST = 4
"""Cells of a table's column that has to make room for others."""


class Block(Protocol):
    """Something that fills a width."""

    def lines(self, width: int) -> list[Content]:
        """Its lines, none of them wider unless there is no room at all."""
        ...


@dataclass(frozen=True, slots=True)
class Running:
    """A running text."""

    content: Content

    def lines(self, width: int) -> list[Content]:
        """Cut between words."""
        return self.content.wrap(width)


@dataclass(frozen=True, slots=True)
class Code:
    """A text whose line ends are its own."""

    content: Content

    def lines(self, width: int) -> list[Content]:
        """Cut where the width ends."""
        folded = [
            part for line in self.content.split(allow_blank=True) for part in line.fold(width)
        ]
        return [_padded(line, width).stylize_before(CODE) for line in folded]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells, the first of which is the heading."""

    rows: list[list[Content]]

    def lines(self, width: int) -> list[Content]:
        """Cells that are too wide are wrapped."""
        widths = self._widths(width)
        heading, *rows = (_row(row, widths) for row in self.rows)
        rule = Content.styled("─┼─".join("─" * each for each in widths), FAINT)
        return [*heading, rule, *(line for row in rows for line in row)]

    def _widths(self, room: int) -> list[int]:
        """What each column needs; where that is too much the widest ones share the rest."""
        columns = zip(*self.rows, strict=True)
        needed = [max([1, *(cell.cell_length for cell in column)]) for column in columns]
        left, widths = room - 3 * (len(needed) - 1), dict[int, int]()
        for number, column in enumerate(sorted(range(len(needed)), key=needed.__getitem__)):
            share = max(left // (len(needed) - number), NARROWEST)
            widths[column] = min(needed[column], share)
            left -= widths[column]
        return [widths[column] for column in range(len(needed))]


def _row(cells: list[Content], widths: list[int]) -> list[Content]:
    wrapped = [cell.wrap(width) for cell, width in zip(cells, widths, strict=True)]
    between = Content.styled(" │ ", FAINT)
    return [
        between.join(_padded(line, width) for line, width in zip(line_of, widths, strict=True))
        for line_of in zip_longest(*wrapped, fillvalue=Content())
    ]


def _padded(line: Content, width: int) -> Content:
    return line.pad_right(max(width - line.cell_length, 0))


@dataclass(frozen=True, slots=True)
class Placed:
    """A block with what stands before its first line, and before the others."""

    block: Block
    first: str
    rest: str

    def lines(self, width: int) -> list[Content]:
        """Those of the block, with their margins."""
        lines = self.block.lines(max(width - len(self.rest), 1))
        margins = chain([self.first], repeat(self.rest))
        return [
            Content.styled(margin, FAINT) + line
            for margin, line in zip(margins, lines, strict=False)
        ]


@dataclass(slots=True)
class Margin:
    """What stands before the lines of a list's item, or of a quotation."""

    first: str
    rest: str

    def take(self) -> str:
        """What stands before the next line."""
        first, self.first = self.first, self.rest
        return first


@dataclass(slots=True)
class Reader:
    """Reads tokens, and collects blocks. `_is_fresh`: nothing stands above, in what is open."""

    blocks: list[Block] = field(default_factory=list[Block])
    _margins: list[Margin] = field(default_factory=list[Margin])
    _lists: int = 0
    _is_fresh: bool = True
    _style: str = ""
    _rows: list[list[Content]] = field(default_factory=list[list[Content]])

    def read(self, token: Token) -> None:
        """Take one more token."""
        if token.type == "inline":
            self._inline(inline(token.children or (), self._style))
        elif token.nesting > 0:
            self._open(token)
        elif token.nesting < 0:
            self._end(token)
        else:
            self._leave_room()
            self._put(_whole(token))

    def _inline(self, content: Content) -> None:
        if self._rows:
            self._rows[-1].append(content)
        else:
            self._put(Running(content))

    def _open(self, token: Token) -> None:
        match token.type:
            case "heading_open":
                self._leave_room()
                self._style = HEADINGS.get(token.tag, SMALLER_HEADING)
            case "bullet_list_open" | "ordered_list_open":
                if not self._lists:
                    self._leave_room()
                self._lists += 1
            case "list_item_open":
                bullet = BULLETS[(self._lists - 1) % len(BULLETS)]
                mark = f"{token.info}{token.markup} " if token.info else f"{bullet} "
                self._enter(mark, " " * len(mark))
            case "blockquote_open":
                self._leave_room()
                self._enter(QUOTED, QUOTED)
            case "tr_open":
                self._rows.append([])
            case "th_open":
                self._style = "bold"
            case "paragraph_open" | "table_open" if not token.hidden:
                self._leave_room()
            case _:
                pass

    def _end(self, token: Token) -> None:
        match token.type:
            case "bullet_list_close" | "ordered_list_close":
                self._lists -= 1
            case "list_item_close" | "blockquote_close":
                if self._is_fresh:
                    self._put(Running(Content()))
                self._margins.pop()
            case "table_close":
                rows, self._rows = self._rows, []
                self._put(Table(rows))
            case "heading_close" | "th_close":
                self._style = ""
            case _:
                pass

    def _enter(self, first: str, rest: str) -> None:
        self._margins.append(Margin(first, rest))
        self._is_fresh = True

    def _leave_room(self) -> None:
        if not self._is_fresh:
            self._put(Running(Content()))
        self._is_fresh = True

    def _put(self, block: Block) -> None:
        rest = "".join(each.rest for each in self._margins)
        first = "".join(each.take() for each in self._margins)
        self.blocks.append(Placed(block, first, rest))
        self._is_fresh = False


def blocks_of(tokens: Sequence[Token]) -> list[Block]:
    """The blocks of a text that is parsed."""
    reader = Reader()
    for token in tokens:
        reader.read(token)
    return reader.blocks


def _whole(token: Token) -> Block:
    """A block that is one token."""
    match token.type:
        case "fence" | "code_block":
            from textual.highlight import highlight

            language = next(iter(token.info.split()), "text")
            source = token.content.rstrip("\n").expandtabs(4)
            return Code(highlight(source, language=language))
        case "hr":
            return Running(Content.styled("─" * 20, FAINT))
        case _:
            return Running(Content(token.content.rstrip()))


def inline(tokens: Sequence[Token], style: str) -> Content:
    """One running text with its styles. Addresses of links are shown, since nothing opens them."""
    parts: list[tuple[str, str]] = []
    styles = [style]
    address = ""
    for token in tokens:
        what, _, edge = token.type.rpartition("_")
        if edge == "open":
            styles.append(STYLES.get(what, ""))
            if what == "link":
                address = "" if token.info == "auto" else str(token.attrs.get("href", ""))
        elif edge == "close":
            styles.pop()
            if what == "link" and address:
                parts.append((f" ({address})", "dim"))
        elif token.type == "softbreak":
            parts.append((" ", ""))
        elif token.type == "hardbreak":
            parts.append(("\n", ""))
        elif token.type == "code_inline":
            parts.append((token.content, f"$text-warning {CODE}"))
        elif token.type == "image":
            parts.append((f"{token.content} ({token.attrs.get('src', '')})", "dim"))
        else:
            parts.append((token.content, " ".join(filter(None, styles))))
    return Content.assemble(*parts)
