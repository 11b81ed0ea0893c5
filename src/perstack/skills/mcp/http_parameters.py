"""What the stateless revision wants to see of a message in the headers of its request.

https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, cast

if TYPE_CHECKING:
    from perstack.schema.message import Json

Path: TypeAlias = tuple[str, ...]

_ANNOTATION = "x-mcp-header"
_PREFIX = "Mcp-Param-"
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
_PLAIN = re.compile(r"(?:[!-~](?:[ -~]*[!-~])?)?")
_CODED = re.compile(r"=\?base64\?.*\?=")
_TYPES = ("string", "integer", "boolean")
_BY_NAME = frozenset(
    {"properties", "patternProperties", "dependentSchemas", "$defs", "definitions"}
)
_NESTED = frozenset(
    {
        "items", "prefixItems", "contains", "unevaluatedItems", "additionalProperties",
        "unevaluatedProperties", "propertyNames", "contentSchema",
        "allOf", "anyOf", "oneOf", "not", "if", "then", "else",
    }
)  # fmt: skip


class _Place(NamedTuple):
    """A schema inside a schema. `path` leads to it by properties alone, if anything does."""

    path: Path | None
    schema: Mapping[str, object]


def mirrored(schema: Json) -> dict[Path, str]:
    """The headers that show a tool's arguments, by where in the arguments each value stands.

    Raises:
        ValueError: an annotation is not as it must be; the tool may not be called.
    """
    found: dict[Path, str] = {}
    taken: set[str] = set()
    for path, inner in _schemas(schema):
        if _ANNOTATION not in inner:
            continue
        name = inner[_ANNOTATION]
        if not path:
            raise ValueError(f"its schema has {_ANNOTATION} where no argument has its place")
        if not isinstance(name, str) or _TOKEN.fullmatch(name) is None:
            raise ValueError(f"its schema has an {_ANNOTATION} that is no header's name")
        if inner.get("type") not in _TYPES:
            raise ValueError(f"its schema has {_ANNOTATION} at an argument that is no plain value")
        if name.lower() in taken:
            raise ValueError(f"its schema has the {_ANNOTATION} {name!r} twice")
        taken.add(name.lower())
        found[path] = _PREFIX + name
    return found


def shown(headers: Mapping[Path, str], args: Mapping[str, object]) -> dict[str, str]:
    """These headers, for the arguments that are there and can be shown."""
    texts = ((header, _text(_at(args, path))) for path, header in headers.items())
    return {header: encoded(text) for header, text in texts if text is not None}


def encoded(text: str) -> str:
    """`text` as the value of a header, wrapped where a header would not hold it as it is."""
    if _PLAIN.fullmatch(text) and not _CODED.fullmatch(text):
        return text
    return f"=?base64?{b64encode(text.encode(errors='replace')).decode()}?="


def _schemas(schema: Json) -> Iterator[_Place]:
    """`schema` and every schema in it; no data, and nothing that a `$ref` names."""
    waiting: list[_Place] = [_Place((), schema)]
    while waiting:
        place = waiting.pop()
        yield place
        for key, value in place.schema.items():
            if key in _BY_NAME and isinstance(value, dict):
                is_direct = key == "properties" and place.path is not None
                for name, inner in cast("dict[str, object]", value).items():
                    path = (*(place.path or ()), name) if is_direct else None
                    waiting.extend(_place(path, inner))
            elif key in _NESTED:
                several = cast("list[object]", value) if isinstance(value, list) else [value]
                for inner in several:
                    waiting.extend(_place(None, inner))


def _place(path: Path | None, value: object) -> tuple[_Place, ...]:
    return (_Place(path, cast("Json", value)),) if isinstance(value, dict) else ()


def _at(args: Mapping[str, object], path: Path) -> object:
    *above, last = path
    for key in above:
        inner = args.get(key)
        if not isinstance(inner, Mapping):
            return None
        args = cast("Mapping[str, object]", inner)
    return args.get(last)


def _text(value: object) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        return None
    try:
        return str(value)
    except ValueError:  # a number of thousands of digits
        return None
