"""The fields of a form, read from a JSON Schema, and the values that are typed into them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

import msgspec

from perstack.tui.words import json_of

Kind: TypeAlias = Literal["text", "number", "integer", "boolean", "choice", "json"]
Object: TypeAlias = dict[str, object]

MOST_FIELDS = 40
MOST_CHOICES = 200
_FARTHEST = 1e300
"""A bound that is farther away bounds nothing that anyone types."""

_KINDS: dict[object, Kind] = {
    "string": "text",
    "number": "number",
    "integer": "integer",
    "boolean": "boolean",
    "array": "json",
    "object": "json",
}
_EXPECTED = {"number": "a number", "integer": "a whole number", "json": "JSON"}


class BadValue(Exception):
    """What was typed is no value of its field. Says why."""


@dataclass(frozen=True, slots=True)
class Field:
    """One property of the object that is asked for.

    `choices` are the values of an enum. `least` and `most` bound a number, or the
    characters of a text.
    """

    name: str
    label: str
    about: str = ""
    kind: Kind = "text"
    choices: tuple[object, ...] = ()
    default: object = None
    is_required: bool = False
    least: float | None = None
    most: float | None = None

    @property
    def expected(self) -> str:
        """What has to be typed, in words; empty for a text."""
        return _EXPECTED.get(self.kind, "")

    def value_of(self, typed: str) -> object:
        """The value that `typed` stands for.

        Raises:
            BadValue: it stands for none.
        """
        match self.kind:
            case "number" | "integer":
                return self._number(typed.strip())
            case "json":
                return self._json(typed)
            case _:
                self._bounded(len(typed), " characters")
                return typed

    def _number(self, typed: str) -> float:
        try:
            value = float(typed)
        except ValueError:
            raise BadValue(f"{self.expected} is needed here") from None
        if not math.isfinite(value) or (self.kind == "integer" and not value.is_integer()):
            raise BadValue(f"{self.expected} is needed here")
        self._bounded(value, "")
        try:
            return int(typed)
        except ValueError:  # written with a point or an exponent
            return int(value) if self.kind == "integer" else value

    def _json(self, typed: str) -> object:
        try:
            return msgspec.json.decode(typed)
        except (msgspec.MsgspecError, RecursionError, UnicodeError):
            raise BadValue("JSON is needed here") from None

    def _bounded(self, size: float, unit: str) -> None:
        if self.least is not None and size < self.least:
            raise BadValue(f"{self.least:g}{unit} at least")
        if self.most is not None and size > self.most:
            raise BadValue(f"{self.most:g}{unit} at most")


def fields_of(schema: object) -> tuple[Field, ...]:
    """The fields of a schema of an object; none where it is no such schema, or a long one."""
    if not isinstance(schema, dict):
        return ()
    told = cast("Object", schema)
    properties = told.get("properties")
    if told.get("type") != "object" or not isinstance(properties, dict):
        return ()
    named = cast("Object", properties)
    required = told.get("required")
    needed = cast("list[object]", required) if isinstance(required, list) else []
    if len(named) > MOST_FIELDS or not all(isinstance(each, dict) for each in named.values()):
        return ()
    return tuple(
        _field(name, cast("Object", about), is_required=name in needed)
        for name, about in named.items()
    )


def _field(name: str, about: Object, *, is_required: bool) -> Field:
    kind = _kind_of(about)
    enum = about.get("enum")
    low, high = ("minLength", "maxLength") if kind == "text" else ("minimum", "maximum")
    return Field(
        name=name,
        label=_words(about.get("title")) or name,
        about=_words(about.get("description")),
        kind=kind,
        choices=tuple(cast("list[object]", enum)) if kind == "choice" else (),
        default=about.get("default"),
        is_required=is_required,
        least=_bound(about.get(low)),
        most=_bound(about.get(high)),
    )


def _kind_of(about: Object) -> Kind:
    enum, kind = about.get("enum"), about.get("type")
    if isinstance(enum, list) and 0 < len(cast("list[object]", enum)) <= MOST_CHOICES:
        return "choice"
    if isinstance(kind, list):
        kind = next((each for each in cast("list[object]", kind) if each != "null"), None)
    return _KINDS.get(kind, "text") if isinstance(kind, str) else "text"


def _words(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _bound(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < _FARTHEST else None


def typed_of(field: Field) -> str:
    """The default of a field, as one would type it."""
    if field.default is None:
        return ""
    return field.default if isinstance(field.default, str) else json_of(field.default)
