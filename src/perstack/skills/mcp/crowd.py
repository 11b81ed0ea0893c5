"""How many values a JSON text can hold, told before any of them is made."""

from __future__ import annotations

MAX_VALUES = 100_000
"""Values that a part of a message may hold where they are to be made: about 20 MB of them."""


def is_crowded(data: bytes, most: int = MAX_VALUES) -> bool:
    """Whether a JSON text may hold more than `most` values; one that does is always found.

    A few million values fit below the limit of a message, and would take up to a
    hundred times their bytes. Nothing is parsed for this, so it takes milliseconds.
    """
    if _marks(data) <= most:  # most texts; those in strings are counted too
        return False
    plain = _without_escapes(data)
    if plain.count(b'"') > 4 * most:  # two to a string, and half of the strings may be keys
        return True
    return _marks(_outside_strings(plain)) > most


def values_in(data: bytes) -> int:
    """At least the number of values in a JSON text, and hardly more."""
    return _marks(_outside_strings(_without_escapes(data)))


def _without_escapes(data: bytes) -> bytes:
    return data.replace(rb"\\", b"").replace(rb"\"", b"")


def _outside_strings(data: bytes) -> bytes:
    return b"".join(data.split(b'"')[::2])


def _marks(data: bytes) -> int:
    """Each value but the first follows one of these."""
    return data.count(b",") + data.count(b"[") + data.count(b"{") + 1
