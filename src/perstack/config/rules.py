"""Rules for single strings: each gives None, or what is wrong, as the end of a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import re

    from perstack.config.checks import Rule


def some_text(value: str) -> str | None:
    """Not blank."""
    return None if value.strip() else "must not be blank"


def one_line(value: str) -> str | None:
    """Not blank, and nothing that could not be an argument of a program or go in a request."""
    if not value.strip():
        return "must not be blank"
    return None if value.isprintable() else "must not hold line breaks or control characters"


def argument(value: str) -> str | None:
    """What may be an argument of a program: anything but NUL."""
    return "must not hold a NUL character" if "\0" in value else None


def matching(pattern: re.Pattern[str], what: str) -> Rule:
    """A string that is, as a whole, of the pattern."""

    def rule(value: str) -> str | None:
        return None if pattern.fullmatch(value) else f"must be {what}"

    return rule
