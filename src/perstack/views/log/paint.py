"""A few colours for a terminal."""

from __future__ import annotations

from typing import Literal, TypeAlias

Style: TypeAlias = Literal["plain", "dim", "bold", "good", "bad", "odd", "call", "said"]

CODES: dict[Style, str] = {
    "dim": "2",
    "bold": "1",
    "good": "32",
    "bad": "31",
    "odd": "33",
    "call": "36",
    "said": "1;34",
}
"""Each style's SGR parameters: the sixteen colours of every terminal, light or dark."""


class Paint:
    """Puts text into a style, or leaves it alone where there are no colours.

    The text must be safe to print already: what looks like a colour in it is not ours.
    """

    def __init__(self, *, has_colours: bool) -> None:
        self.has_colours = has_colours

    def __call__(self, text: str, style: Style) -> str:
        """`text` in `style`."""
        code = CODES.get(style)
        return f"\x1b[{code}m{text}\x1b[0m" if self.has_colours and code and text else text
