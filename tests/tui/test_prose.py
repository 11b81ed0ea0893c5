"""What a model writes is shown as Markdown, however long it is and however it was cut."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from textual.app import App, ComposeResult
from textual.containers import VerticalScroll

import perstack.tui
from perstack.tui.prose import LONG, Piece, Prose
from tui.screen import lines

if TYPE_CHECKING:
    from textual.pilot import Pilot

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

ALL_KINDS = """\
# A heading

A paragraph with **bold**, `code` and
[a link](https://example.com/a).\\
Second line.

- one
- two words that are wrapped because there is no room for all of them here
  - inside

  more of two

7. seven
8. eight

> said
>
> - before

```python
def f():
\treturn 1
```

| name | what |
|---|---|
| a | short |
| b | a cell that is far too long to stand on one line of a table like this |

<b>as it stands</b>

---

![a picture](http://x/y)
"""
SHOWN = """\
A heading

A paragraph with bold, code and a link
(https://example.com/a).
Second line.

• one
• two words that are wrapped because there
  is no room for all of them here
  ◦ inside

  more of two

7. seven
8. eight

▌ said
▌
▌ • before

def f():
    return 1

name │ what
─────┼──────────────────────────────────────
a    │ short
b    │ a cell that is far too long to stand
     │ on one line of a table like this

<b>as it stands</b>

────────────────────

a picture (http://x/y)"""

WORDS = " ".join(f"w{number}" for number in range(3000))
ENDLESS = {
    "paragraph": WORDS,
    "lines": WORDS.replace("9 ", "9\n"),
    "paragraphs": WORDS.replace("99 ", "99\n\n"),
    "fence": "```python\n" + WORDS.replace("9 ", "9\n"),
    "list": "- " + WORDS.replace("9 ", "9\n- "),
    "list in a list": "- a\n  - " + WORDS.replace("9 ", "9\n  - "),
    "numbers": "1. " + WORDS.replace("9 ", "9\n1. "),
    "quotation": "> " + WORDS.replace("9 ", "9\n> "),
    "table": "| a |\n|---|\n| " + WORDS.replace("9 ", "9 |\n| "),
    "no space": WORDS.replace(" ", ""),
}


class Page(App[None]):
    CSS = Path(perstack.tui.__file__).with_name("workbench.tcss").read_text()

    def __init__(self, prose: Prose) -> None:
        super().__init__()
        self._prose = prose

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield self._prose


@asynccontextmanager
async def page(prose: Prose, height: int = 50) -> AsyncGenerator[Pilot[None]]:
    app = Page(prose)
    async with app.run_test(size=(44, height)) as pilot:
        await pilot.pause()
        yield pilot


def shown_by(pilot: Pilot[None]) -> str:
    return "\n".join(line.rstrip() for line in lines(pilot.app)).strip("\n")


def shown_lines(piece: Piece) -> list[str]:
    return [line.rstrip() for line in piece.text(200).splitlines()]


async def test_each_kind_of_block_has_its_form() -> None:
    async with page(Prose(ALL_KINDS)) as pilot:
        assert shown_by(pilot) == SHOWN


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_a_text_that_comes_in_pieces_looks_like_the_whole(size: int) -> None:
    prose = Prose()
    async with page(prose) as pilot:
        for at in range(0, len(ALL_KINDS), size):
            prose.add(ALL_KINDS[at : at + size])
            await prose.flush()
        await prose.finish()
        await pilot.pause()
        assert shown_by(pilot) == SHOWN
    assert prose.source == ALL_KINDS


async def test_half_of_a_line_end_is_waited_for_and_takes_nothing_away() -> None:
    prose = Prose()
    async with page(prose) as pilot:
        prose.add("one\r")
        for _ in range(2):
            await prose.flush()
            await pilot.pause()
            assert shown_by(pilot) == "one"
        await prose.finish()
        assert prose.source == "one\n"


@pytest.mark.parametrize("kind", ENDLESS)
async def test_a_long_text_is_parted_and_nothing_of_it_is_lost(kind: str) -> None:
    text = ENDLESS[kind]
    prose = Prose()
    async with page(prose):
        for at in range(0, len(text), 1000):
            prose.add(text[at : at + 1000])
            await prose.flush()
        await prose.finish()

        pieces = ["\n".join(shown_lines(piece)) for piece in prose.query(Piece)]
        assert prose.source == text
        assert max(map(len, pieces)) < 4 * LONG
        assert [word for word in " ".join(pieces).split() if word in set(WORDS.split())] == (
            WORDS.split() if kind != "no space" else []
        )
        if kind == "no space":
            assert "".join("".join(pieces).split()) == text


async def test_an_address_that_stands_apart_is_shown_wherever_it_is_named() -> None:
    long = " ".join(["word"] * LONG)
    prose = Prose(f"See [the guide][1].\n\n{long}\n\n[1]: https://x/guide\n[two]: https://x/2\n")
    async with page(prose):
        shown = " ".join(line for piece in prose.query(Piece) for line in shown_lines(piece))

    assert "[the guide][1]" in shown
    assert "[1]: https://x/guide [two]: https://x/2" in shown


async def test_a_part_of_a_table_repeats_its_heading_and_one_of_a_list_goes_on_with_it() -> None:
    table, numbers = Prose(ENDLESS["table"]), Prose(ENDLESS["numbers"])
    async with page(table):
        first, *more = (shown_lines(piece) for piece in table.query(Piece))
        assert more
        assert all(lines[0] == "a" for lines in (first, *more))
    async with page(numbers):
        shown = [line for piece in numbers.query(Piece) for line in shown_lines(piece)]
        assert "" not in shown


async def test_a_table_of_a_hundred_columns_and_a_deep_quotation_lose_nothing() -> None:
    cells = [f"c{number}" for number in range(100)]
    row = f"| {' | '.join(cells)} |"
    prose = Prose(f"{row}\n|{'---|' * 100}\n{row}\n\n{'> ' * 60}deep\n")
    async with page(prose, height=200) as pilot:
        shown = "".join("".join(lines(pilot.app)).replace("│", " ").split())
        assert "c99" in shown
        assert "deep" in shown.replace("▌", "")
