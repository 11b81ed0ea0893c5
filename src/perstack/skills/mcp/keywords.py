"""What JSON Schema lets stand behind each of its keywords, in its draft 2020-12.

https://json-schema.org/draft/2020-12/schema
Vendors refuse a whole request for one tool whose schema breaks these rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import cast

from perstack.schema.message import Json

_TYPES = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})

_A_SCHEMA = frozenset(
    {
        "additionalItems", "additionalProperties", "contains", "contentSchema", "else", "if",
        "items", "not", "propertyNames", "then", "unevaluatedItems", "unevaluatedProperties",
    }
)  # fmt: skip
_SOME_SCHEMAS = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_NAMED_SCHEMAS = frozenset(
    {"$defs", "definitions", "dependentSchemas", "patternProperties", "properties"}
)


def misused_keyword(schema: Json) -> tuple[str, str] | None:
    """A keyword of a schema, or of one inside it, with something behind it that may not be there.

    And its place, as a JSON pointer. None in a valid schema. What is unknown is not looked
    at, references are not followed, and no pattern is tried.
    """
    pending: list[tuple[str, object]] = [("", schema)]
    while pending:  # not by recursion: a server may nest as deep as it likes
        place, inner = pending.pop()
        for keyword, value in cast("Json", inner).items() if isinstance(inner, dict) else ():
            is_valid = _RULES.get(keyword)
            if is_valid is not None and not is_valid(value):
                return keyword, place or "/"
            pending.extend(_below(f"{place}/{keyword}", keyword, value))
    return None


def _below(place: str, keyword: str, value: object) -> Iterator[tuple[str, object]]:
    """The schemas right behind a keyword, with their places."""
    if keyword in _A_SCHEMA:
        yield place, value
    elif keyword in _SOME_SCHEMAS:
        for number, inner in enumerate(cast("list[object]", value)):
            yield f"{place}/{number}", inner
    elif keyword in _NAMED_SCHEMAS:
        for name, inner in cast("Json", value).items():
            yield f"{place}/{name}", inner


def _is_schema(value: object) -> bool:
    return isinstance(value, dict | bool)


def _are_schemas(value: object) -> bool:
    return _is_list(value) and value != [] and all(map(_is_schema, _items(value)))


def _are_named_schemas(value: object) -> bool:
    return isinstance(value, dict) and all(map(_is_schema, cast("Json", value).values()))


def _is_type(value: object) -> bool:
    if isinstance(value, str):
        return value in _TYPES
    return _are_names(value) and value != [] and set(_items(value)) <= _TYPES


def _are_names(value: object) -> bool:
    if not _is_list(value) or not all(map(_is_text, _items(value))):
        return False
    return len(set(_items(value))) == len(_items(value))


def _are_lists_of_names(value: object) -> bool:
    return isinstance(value, dict) and all(map(_are_names, cast("Json", value).values()))


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_list(value: object) -> bool:
    return isinstance(value, list)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_positive(value: object) -> bool:
    return _is_number(value) and cast("float", value) > 0


def _is_count(value: object) -> bool:
    return _is_number(value) and cast("float", value) >= 0 and cast("float", value) % 1 == 0


def _items(value: object) -> list[object]:
    return cast("list[object]", value)


_GROUPS: tuple[tuple[Callable[[object], bool], frozenset[str]], ...] = (
    (_is_schema, _A_SCHEMA),
    (_are_schemas, _SOME_SCHEMAS),
    (_are_named_schemas, _NAMED_SCHEMAS),
    (_is_type, frozenset({"type"})),
    (_are_names, frozenset({"required"})),
    (_are_lists_of_names, frozenset({"dependentRequired"})),
    (
        _is_text,
        frozenset(
            {
                "$anchor", "$comment", "$dynamicAnchor", "$dynamicRef", "$id", "$ref", "$schema",
                "contentEncoding", "contentMediaType", "description", "format", "pattern", "title",
            }
        ),
    ),
    (_is_flag, frozenset({"deprecated", "readOnly", "uniqueItems", "writeOnly"})),
    (_is_list, frozenset({"enum", "examples"})),
    (_is_number, frozenset({"exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum"})),
    (_is_positive, frozenset({"multipleOf"})),
    (
        _is_count,
        frozenset(
            {
                "maxContains", "maxItems", "maxLength", "maxProperties",
                "minContains", "minItems", "minLength", "minProperties",
            }
        ),
    ),
)  # fmt: skip
_RULES: Mapping[str, Callable[[object], bool]] = {
    keyword: is_valid for is_valid, keywords in _GROUPS for keyword in keywords
}
