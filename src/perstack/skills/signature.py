"""What a plain function takes, as a JSON Schema, and its arguments checked against it."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, TypeAlias, cast, get_origin, get_type_hints

import msgspec

from perstack.errors import UsageError, words_of
from perstack.schema.message import Json

_SECTION = re.compile(r"^(Args|Arguments|Parameters|Returns|Yields|Raises|Examples?|Notes?):\s*$")
_ARGUMENT = re.compile(r"^(\w+)(?:\s*\([^)]*\))?:\s*(.*)$")

_CONSTANTS = frozenset({bool, int, float, str, bytes, tuple})

Field: TypeAlias = "tuple[str, Any] | tuple[str, Any, Any]"


class Signature:
    """The parameters of `function`, each with a type and maybe a default.

    Types are those msgspec knows: plain ones, containers, enums, literals, dataclasses,
    TypedDicts, Structs; and classes with `model_json_schema` and `model_validate`, as
    pydantic's models have. A parameter is described by a string in
    `Annotated[T, "..."]`, by `msgspec.Meta`, or by the docstring's Args section.

    Raises:
        UsageError: a parameter has no type, one without a schema, or cannot be named in JSON.
    """

    def __init__(self, function: Callable[..., object], name: str) -> None:
        self._name = name
        self.description, told = _described(inspect.getdoc(function) or "")
        fields = tuple(self._fields(function, told))
        self._arguments = msgspec.defstruct(
            "Arguments", fields, kw_only=True, forbid_unknown_fields=True
        )
        self.schema: Json = self._schema()

    def check(self, args: Json) -> dict[str, object]:
        """`args` as the values the function takes.

        Raises:
            msgspec.ValidationError: they do not fit; its words say what and where.
        """
        checked = msgspec.convert(args, self._arguments, dec_hook=_decoded)
        return {name: getattr(checked, name) for name in self._arguments.__struct_fields__}

    def _fields(self, function: Callable[..., object], told: Mapping[str, str]) -> Iterable[Field]:
        try:
            hints = get_type_hints(_annotated(function), include_extras=True)
            parameters = inspect.signature(function).parameters.values()
        except Exception as error:
            raise UsageError(
                f"The tool {self._name} has types that cannot be read: {words_of(error)}"
            ) from error
        for parameter in parameters:
            place = f"The parameter {parameter.name!r} of the tool {self._name}"
            if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                raise UsageError(f"{place} has no name in JSON: make it an ordinary parameter")
            if parameter.name not in hints:
                raise UsageError(
                    f"{place} has no type: annotate it, so that a model knows its form"
                )
            hint = _with_description(hints[parameter.name], told.get(parameter.name, ""))
            if parameter.default is parameter.empty:
                yield (parameter.name, hint)
            else:
                yield (parameter.name, hint, _default(parameter.default))

    def _schema(self) -> Json:
        """One object with its definitions beside it, without a title."""
        try:
            (top,), definitions = msgspec.json.schema_components(
                [self._arguments], schema_hook=_schema_of, ref_template="#/$defs/{name}"
            )
            msgspec.json.encode([top, definitions])
        except Exception as error:
            raise UsageError(
                f"The tool {self._name} takes what has no JSON Schema: {words_of(error)}"
            ) from error
        schema = cast("Json", definitions.pop(str(top["$ref"]).rpartition("/")[2]))
        schema.pop("title", None)
        hoisted: Json = {}
        _hoist(schema, hoisted)
        _hoist(definitions, hoisted)
        if definitions or hoisted:
            schema["$defs"] = definitions | hoisted
        return schema


def _annotated(function: Callable[..., object]) -> Callable[..., object]:
    """Where the annotations of `function` stand: a partial's, and an object's, elsewhere."""
    while isinstance(function, functools.partial):
        function = cast("Callable[..., object]", function.func)
    if inspect.isroutine(function):
        return function
    return cast("Callable[..., object]", type(function).__call__)


def _default(value: Any) -> Any:
    """A default as msgspec takes it: one that could change is shared, as Python does it."""
    if value is None or type(value) in _CONSTANTS:
        return msgspec.field(default=value)
    return msgspec.field(default_factory=lambda: value)


def _with_description(hint: object, description: str) -> object:
    """`hint` with its words where JSON Schema has them."""
    if get_origin(hint) is Annotated:
        kind, *extras = cast("Any", hint).__origin__, *cast("Any", hint).__metadata__
        words = next((extra for extra in extras if isinstance(extra, str)), "")
        kept = [extra for extra in extras if isinstance(extra, msgspec.Meta)]
        has_words = any(extra.description for extra in kept)
        if (text := words or description) and not has_words:
            kept.append(msgspec.Meta(description=text))
        for extra in kept:
            kind = Annotated[kind, extra]
        return kind
    return (
        Annotated[cast("Any", hint), msgspec.Meta(description=description)] if description else hint
    )


def _described(doc: str) -> tuple[str, dict[str, str]]:
    """A docstring's words before its sections, and what its Args section says of each parameter."""
    words: list[str] = []
    arguments: dict[str, str] = {}
    section = name = ""
    indent = 0
    for line in doc.splitlines():
        if found := _SECTION.match(line):
            section, name, indent = found[1], "", 0
        elif not section:
            words.append(line)
        elif section in ("Args", "Arguments", "Parameters") and line.strip():
            depth = len(line) - len(line.lstrip())
            indent = indent or depth
            begins = _ARGUMENT.match(line.strip()) if depth == indent else None
            if begins:
                name = begins[1]
                arguments[name] = begins[2]
            elif name:
                arguments[name] = f"{arguments[name]} {line.strip()}".strip()
    return "\n".join(words).strip(), arguments


def _schema_of(kind: type) -> Json:
    """The schema of a class that brings its own."""
    own = getattr(kind, "model_json_schema", None)
    if own is None:
        raise NotImplementedError(f"{kind!r} is none of the types a tool can take")
    return cast("Json", own())


def _decoded(kind: type, value: object) -> object:
    """`value` as an instance of a class that brings its own check."""
    try:
        return cast("Any", kind).model_validate(value)
    except ValueError as error:
        raise msgspec.ValidationError(str(error)) from error


def _hoist(value: object, found: Json) -> None:
    """Move definitions that a class brought to where its references look for them."""
    if isinstance(value, dict):
        table = cast("Json", value)
        if isinstance(own := table.pop("$defs", None), dict):
            found |= cast("Json", own)
        for each in table.values():
            _hoist(each, found)
    elif isinstance(value, list):
        for each in cast("list[object]", value):
            _hoist(each, found)
