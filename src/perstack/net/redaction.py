"""Keeps the key and the user's credentials out of words that a server chose."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator
from functools import cached_property
from urllib.parse import quote

MASK = b"***"
SHORTEST_SECRET = 8
"""Shorter values are not hidden: words would suffer, and no key is that short."""
LONGEST_RUN = 12
"""Characters of a long secret that say too much."""
MAX_TEXT = 64 * 1024
"""Characters of a server's words that are looked at."""


class Redaction:
    """Hides secrets, whole or in part, as they are or encoded.

    Guarantee: of a secret of 24 characters or more, no 12 that stand in a row are left,
    wherever they come from; of a shorter one no half, or no 8 if that is more. The same
    holds for its URL-encoded, hex and base64 forms, in either letter case. Values of
    fewer than 8 characters are left alone.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = frozenset(s for s in secrets if len(s) >= SHORTEST_SECRET)

    def line(self, text: str, limit: int) -> str:
        """`text` without secrets, on one line, of at most `limit` characters and a "…".

        Cut last: half a secret on the edge of what is kept could not be told any more.
        """
        if len(text) > MAX_TEXT:
            text = self.without_end(text[:MAX_TEXT])
        text = text.replace("\0", "")  # UTF-16 read as if it were not
        line = self.hidden(" ".join(text.split()))
        return line if len(line) <= limit else line[:limit] + "…"

    def hidden(self, text: str) -> str:
        """`text` with three asterisks for each stretch of a secret."""
        raw = text.encode(errors="surrogatepass")
        while spans := self._spans(raw.lower()):  # again: a mask may itself complete a run
            raw = b"".join(_without(raw, spans))
        return raw.decode(errors="surrogatepass")

    def without_end(self, text: str) -> str:
        """`text`, which was cut at a limit, without the end, which may be half a secret."""
        longest = max(map(len, self._forms), default=0)
        return text[: max(0, len(text) - longest)]

    @cached_property
    def _forms(self) -> frozenset[bytes]:
        return frozenset(form.lower() for secret in self._secrets for form in _forms(secret))

    @cached_property
    def _runs(self) -> dict[int, set[bytes]]:
        """What must not be said, by its length. Made when a server first complains."""
        runs: dict[int, set[bytes]] = {}
        for form in self._forms:
            size = max(SHORTEST_SECRET, min(LONGEST_RUN, len(form) // 2))
            pieces = {form[at : at + size] for at in range(len(form) - size + 1)}
            runs.setdefault(size, set()).update(pieces)
        return runs

    def _spans(self, raw: bytes) -> list[tuple[int, int]]:
        """Where secrets stand in `raw`, from left to right; stretches that touch are one."""
        found = [
            (at, at + size)
            for size, runs in self._runs.items()
            for at in range(len(raw) - size + 1)
            if raw[at : at + size] in runs
        ]
        spans: list[tuple[int, int]] = []
        for start, end in sorted(found):
            if spans and start <= spans[-1][1]:
                spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
            else:
                spans.append((start, end))
        return spans


def _forms(secret: str) -> Iterator[bytes]:
    raw = secret.encode()
    yield raw
    yield b" ".join(raw.split())  # as it stands once a text is on one line
    yield quote(secret, safe="").encode()
    yield raw.hex().encode()
    for before in range(3):  # bytes that share its first base64 group, as in user:password
        padded = bytes(before) + raw
        for coded in (b64encode(padded), urlsafe_b64encode(padded)):
            yield coded[4 if before else 0 :].rstrip(b"=")


def _without(raw: bytes, spans: list[tuple[int, int]]) -> Iterator[bytes]:
    kept = 0
    for start, end in spans:
        yield raw[kept:start]
        yield MASK
        kept = end
    yield raw[kept:]
