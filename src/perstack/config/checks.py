"""Checks of plain values, each finding all there is to find.

A check takes a value and its place, reports what is wrong there, and returns the
value cleaned: unknown keys left out, the rest as it came. After a report the
returned value means nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias, cast

from perstack.config.findings import MAX_REPORTS, Place, did_you_mean, quoted

MAX_JSON_DEPTH = 32
MAX_JSON_INTEGER = 2**53


Check: TypeAlias = Callable[[object, Place], object]
Rule: TypeAlias = Callable[[str], str | None]
"""What is wrong with a string, as the end of a sentence that begins with its key."""


def kind_of(value: object) -> str:
    """What TOML calls a value like this, with its article."""
    for kind, name in _KINDS:
        if isinstance(value, kind):
            return name
    return "a date or time"


_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "a boolean"),
    (int, "an integer"),
    (float, "a float"),
    (str, "a string"),
    (list, "an array"),
    (dict, "a table"),
)


def text(limit: int | None = None, rule: Rule | None = None) -> Check:
    """A string of at most `limit` characters that `rule` has nothing against."""

    def check(value: object, place: Place) -> object:
        if not isinstance(value, str):
            place.error(f"must be a string, not {kind_of(value)}")
        elif limit is not None and len(value) > limit:
            place.error(f"has {len(value)} characters; at most {limit} are allowed")
        elif rule is not None and (problem := rule(value)) is not None:
            place.error(problem)
        return value

    return check


def integer(low: int, high: int) -> Check:
    """A whole number between `low` and `high`, both allowed."""

    def check(value: object, place: Place) -> object:
        if isinstance(value, bool) or not isinstance(value, int):
            place.error(f"must be an integer, not {kind_of(value)}")
        elif not low <= value <= high:
            place.error(f"must be between {low} and {high}")
        return value

    return check


def anything(value: object, _place: Place) -> object:
    """Whatever it is. Somebody else checks it."""
    return value


def boolean(value: object, place: Place) -> object:
    """`true` or `false`."""
    if not isinstance(value, bool):
        place.error(f"must be true or false, not {kind_of(value)}")
    return value


def choice(words: Iterable[str]) -> Check:
    """One of `words`."""
    known = tuple(words)

    def rule(value: str) -> str | None:
        if value in known:
            return None
        return f"is {quoted(value)}, which is none of {', '.join(known)}" + did_you_mean(
            value, known
        )

    return text(rule=rule)


def array(item: Check, limit: int | None = None) -> Check:
    """An array of at most `limit` items that each pass `item`."""

    def check(value: object, place: Place) -> object:
        if not isinstance(value, list):
            place.error(f"must be an array, not {kind_of(value)}")
            return value
        items = cast("list[object]", value)
        if limit is not None and len(items) > limit:
            place.error(f"has {len(items)} items; at most {limit} are allowed")
        return [item(each, place.item(index)) for index, each in enumerate(items)]

    return check


def mapping(key: Rule, value: Check, *, quote: bool = False) -> Check:
    """A table whose keys pass `key` and whose values all pass the one check `value`."""

    def check(table: object, place: Place) -> object:
        if not isinstance(table, dict):
            place.error(f"must be a table, not {kind_of(table)}")
            return table
        cleaned: dict[str, object] = {}
        for name, each in cast("dict[str, object]", table).items():
            there = place.named(name) if quote else place.at(name)
            problem = key(name)
            if problem is not None:
                there.error(problem)
            cleaned[name] = value(each, there)
        return cleaned

    return check


def record(
    fields: Mapping[str, Check],
    required: Iterable[str] = (),
    also: Callable[[dict[str, object], Place], None] | None = None,
) -> Check:
    """A table of known keys. Unknown ones are warned about and left out.

    `also` sees the cleaned table and reports what no single key can show. It is
    asked only where every key on its own is right.
    """
    needed = tuple(required)

    def check(value: object, place: Place) -> object:
        if not isinstance(value, dict):
            place.error(f"must be a table, not {kind_of(value)}")
            return value
        table = cast("dict[str, object]", value)
        before = len(place.findings.errors) + place.findings.left_out
        cleaned: dict[str, object] = {}
        for name, each in table.items():
            if name in fields:
                cleaned[name] = fields[name](each, place.at(name))
            else:
                _warn_of_unknown(name, fields, place)
        for name in needed:
            if name not in table:
                place.at(name).error("is required")
        if also is not None and len(place.findings.errors) + place.findings.left_out == before:
            also(cleaned, place)
        return cleaned

    return check


def _warn_of_unknown(name: str, fields: Mapping[str, Check], place: Place) -> None:
    there = place.at(name)
    if len(place.findings.warnings) < MAX_REPORTS:  # the search for the nearest is slow
        place.findings.unknown_keys.append(there.path)
        there.warn("is not a known key and is ignored" + did_you_mean(name, fields))
    else:
        place.findings.left_out += 1


def json_table(value: object, place: Place) -> object:
    """A table of anything that JSON can hold, so no dates, no NaN and no infinities."""
    if isinstance(value, dict):
        _find_non_json(cast("object", value), place, 0)
    else:
        place.error(f"must be a table, not {kind_of(value)}")
    return cast("object", value)


def _find_non_json(value: object, place: Place, depth: int) -> None:
    if depth > MAX_JSON_DEPTH:
        place.error(f"is nested deeper than {MAX_JSON_DEPTH} levels")
    elif isinstance(value, dict):
        for name, each in cast("dict[str, object]", value).items():
            _find_non_json(each, place.at(name), depth + 1)
    elif isinstance(value, list):
        for index, each in enumerate(cast("list[object]", value)):
            _find_non_json(each, place.item(index), depth + 1)
    elif isinstance(value, float) and not math.isfinite(value):
        place.error("must be a finite number")
    elif isinstance(value, int) and abs(value) > MAX_JSON_INTEGER:
        place.error("is too large a number")
    elif not isinstance(value, str | int | float):
        place.error(f"must be something JSON can hold, not {kind_of(value)}")
