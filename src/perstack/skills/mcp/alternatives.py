"""Schemas with alternatives at their top, which vendors refuse, as schemas without."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, cast
from urllib.parse import unquote

from perstack.schema.message import Json

MAX_PARTS = 100
"""Of alternatives and references at the top of one schema."""

_TOP = ("$ref", "allOf", "anyOf", "oneOf", "not", "enum", "const")
_MAX_WORDS = 500
_MAX_DIGITS = 6


class TooMany(Exception):
    """There are more than MAX_PARTS, or they go round in a circle."""


class _Shape(NamedTuple):
    """What an object may have, what it must have, and what else is to be said of that."""

    properties: Json
    required: tuple[str, ...] = ()
    words: str = ""


def without_alternatives(schema: Json) -> Json:
    """A schema that takes all that `schema` takes, and says the rest in words.

    What `allOf` and a reference at the top ask for is drawn in; of `anyOf` and `oneOf`
    everything may be given, and must be what all of them ask for. `not`, `enum` and
    `const` at the top are left to the server, which has the last word anyway.

    Raises:
        TooMany: they are too many to be drawn together.
    """
    if not any(keyword in schema for keyword in _TOP):
        return schema
    shape = _Drawing(schema).shape(schema)
    rest = {keyword: value for keyword, value in schema.items() if keyword not in _TOP}
    if shape.properties:
        rest["properties"] = shape.properties
    if shape.required:
        rest["required"] = list(shape.required)
    if shape.words:
        rest["description"] = f"{schema.get('description', '')} {shape.words}".strip()
    return rest


class _Drawing:
    """One schema, while what stands at its top is drawn together."""

    def __init__(self, whole: Json) -> None:
        self._whole = whole
        self._left = MAX_PARTS

    def shape(self, part: Json) -> _Shape:
        self._left -= 1
        if self._left < 0:
            raise TooMany
        own, needed = part.get("properties"), _list(part.get("required"))
        shape = _Shape(
            cast("Json", own) if isinstance(own, dict) else {},
            tuple(name for name in needed if isinstance(name, str)),
        )
        link = part.get("$ref")
        drawn = [part_at(self._whole, link)] if isinstance(link, str) else []
        for inner in _objects([*drawn, *_list(part.get("allOf"))]):
            shape = _both(shape, self.shape(inner))
        for keyword in ("anyOf", "oneOf"):
            if choices := [self.shape(inner) for inner in _objects(_list(part.get(keyword)))]:
                shape = _both(shape, _either(choices))
        return shape


def part_at(schema: Json, link: str) -> object | None:
    """What `#/a/b` means in a schema; None where there is no such part."""
    place = cast("object", schema)
    for word in unquote(link).split("/")[1:]:
        name = word.replace("~1", "/").replace("~0", "~")
        if isinstance(place, list):
            items = _list(cast("object", place))
            place = items[int(name)] if _is_index(name, len(items)) else None
        else:
            place = cast("Json", place).get(name) if isinstance(place, dict) else None
    return place


def _is_index(word: str, count: int) -> bool:
    return word.isdecimal() and len(word) <= _MAX_DIGITS and int(word) < count


def _list(value: object) -> list[object]:
    """A part that a reference led to is not known to be sound."""
    return cast("list[object]", value) if isinstance(value, list) else []


def _objects(parts: list[object]) -> list[Json]:
    """The parts that an object may be of."""
    tables = [cast("Json", part) for part in parts if isinstance(part, dict)]
    return [part for part in tables if part.get("type", "object") in ("object", ["object"])]


def _both(one: _Shape, other: _Shape) -> _Shape:
    properties = dict(one.properties)
    for name, schema in other.properties.items():
        same = name not in properties or properties[name] == schema
        properties[name] = schema if same else {"allOf": [properties[name], schema]}
    required = dict.fromkeys((*one.required, *other.required))
    return _Shape(properties, tuple(required), f"{one.words} {other.words}".strip()[:_MAX_WORDS])


def _either(choices: list[_Shape]) -> _Shape:
    found: dict[str, list[object]] = {}
    for choice in choices:
        for name, schema in choice.properties.items():
            known = found.setdefault(name, [])
            if schema not in known:
                known.append(schema)
    properties: Json = {
        name: schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
        for name, schemas in found.items()
    }
    always = set[str].intersection(*(set(choice.required) for choice in choices))
    required = tuple(name for name in choices[0].required if name in always)
    return _Shape(properties, required, _words(choices, always))


def _words(choices: Iterable[_Shape], always: set[str]) -> str:
    """Which arguments go together, as a sentence; empty where that makes no difference."""
    sets = dict.fromkeys(
        ", ".join(name for name in choice.required if name not in always) for choice in choices
    )
    told = " or ".join(f"({names or 'nothing'})" for names in sets)
    return f"Needed besides: {told}."[:_MAX_WORDS] if len(sets) > 1 else ""
