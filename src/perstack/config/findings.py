"""What is found wrong in a document, where, and what may have been meant."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_REPORTS = 100
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]{1,80}")


@dataclass(slots=True)
class Findings:
    """What a walk over one document found: lines that each begin with a key path."""

    errors: list[str] = field(default_factory=list[str])
    warnings: list[str] = field(default_factory=list[str])
    unknown_keys: list[str] = field(default_factory=list[str])
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a document a value stands."""

    findings: Findings
    path: str = ""

    def at(self, key: str) -> Place:
        """The place of `key` in this table."""
        return self.named(key) if not _BARE_KEY.fullmatch(key) else self._below(key)

    def named(self, key: str) -> Place:
        """The place of `key`, in quotes even where TOML does not need them."""
        return self._below(quoted(key))

    def item(self, index: int) -> Place:
        """The place of an item of this array, counted from 0."""
        return Place(self.findings, f"{self.path}[{index}]")

    def error(self, message: str) -> None:
        """Report what makes the document unusable."""
        self._report(self.findings.errors, message)

    def warn(self, message: str) -> None:
        """Report what is allowed and probably not meant."""
        self._report(self.findings.warnings, message)

    def _below(self, part: str) -> Place:
        return Place(self.findings, f"{self.path}.{part}" if self.path else part)

    def _report(self, lines: list[str], message: str) -> None:
        if len(lines) < MAX_REPORTS:
            lines.append(f"{self.path}: {message}" if self.path else message)
        else:
            self.findings.left_out += 1


def quoted(text: str) -> str:
    """`text` in double quotes, short and on one line whatever it holds."""
    short = text if len(text) <= 80 else text[:80] + "…"
    escaped = short.replace("\\", "\\\\").replace('"', '\\"')
    plain = escaped if escaped.isprintable() else escaped.encode("unicode_escape").decode()
    return f'"{plain}"'


def nearest(word: str, known: Iterable[str], count: int = 1) -> list[str]:
    """The known words that `word` may have been meant as, best first."""
    import difflib

    if len(word) > 80:
        return []
    by_lower = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), by_lower, n=count, cutoff=0.6)
    return [by_lower[name] for name in found]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint to put behind a message, empty when nothing is near."""
    found = nearest(word, known)
    return f"; did you mean {quoted(found[0])}?" if found else ""
