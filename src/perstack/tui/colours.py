"""Which colours suit the terminal: a theme of Textual's, by what the environment says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from textual.theme import BUILTIN_THEMES

GREY = replace(BUILTIN_THEMES["textual-dark"], name="grey", panel="#303030")
"""For terminals of 256 colours: the nearest that they have to its slate is a glaring blue."""

_LIGHT = frozenset({"7", *map(str, range(9, 16))})


def theme_for(environment: Mapping[str, str], colours: str | None) -> str | None:
    """The theme's name, or None for Textual's choice. `colours` is rich's word for their number.

    A terminal of sixteen colours shows its own: it has no shades that could stand for others.
    `COLORFGBG`, where a terminal sets it, tells of a light background. `TEXTUAL_THEME` and
    `NO_COLOR` come first.
    """
    if environment.get("TEXTUAL_THEME") or "NO_COLOR" in environment:
        return None
    is_light = environment.get("COLORFGBG", "").rpartition(";")[2] in _LIGHT
    if colours == "standard":
        return "ansi-light" if is_light else "ansi-dark"
    if is_light:
        return "textual-light"
    return GREY.name if colours == "256" else None
