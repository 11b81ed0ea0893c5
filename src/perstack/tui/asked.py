"""What a question asks, read from its call: told arguments, offered answers, or a form.

A model and the author of a schema may have written anything here. What cannot be read as
an offer or a form is told as it stands, and any text is an answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, cast

import msgspec

from perstack.tui.fields import Field, fields_of
from perstack.tui.words import json_of

if TYPE_CHECKING:
    from perstack.schema.message import Json
    from perstack.schema.tool import ToolCall

Object: TypeAlias = dict[str, object]

MOST_CHOICES = 100
DEEPEST = 4

_OFFERS = ("choices", "options", "answers", "suggestions", "candidates")
"""Names of the list that is an offer where there are several; else it is the first."""

_FORMS = ("form", "schema", "answerSchema", "inputSchema", "requestedSchema")
_NAMES = ("label", "title", "value")


@dataclass(frozen=True, slots=True)
class Detail:
    """One argument: what it is called, what its schema says of it, and what it says itself."""

    label: str
    about: str
    value: str


@dataclass(frozen=True, slots=True)
class Offered:
    """An answer that is offered: how it is shown, and the text that it stands for."""

    shown: str
    about: str
    text: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as a person reads it. There are `choices`, or `fields`, or neither."""

    details: tuple[Detail, ...]
    choices: tuple[Offered, ...] = ()
    offer: str = ""
    fields: tuple[Field, ...] = ()


def asked_of(call: ToolCall, schema: str = "") -> Asked:
    """What a call asks. `schema` is the JSON Schema of its arguments, as JSON text."""
    properties = _properties_of(schema)
    args = {name: call.args[name] for name in properties if name in call.args}
    args |= call.args
    details = {name: _detail(name, value, properties.get(name)) for name, value in args.items()}
    form, fields = _form_in(args)
    offer, choices = ("", ()) if fields else _offer_in(args)
    told = tuple(
        detail
        for name, detail in details.items()
        if name not in ({form} if fields else {offer} if choices else ())
    )
    return Asked(told, choices, details[offer].label if choices else "", fields)


def _properties_of(schema: str) -> Object:
    try:
        read = msgspec.json.decode(schema)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return {}
    properties = cast("Object", read).get("properties") if isinstance(read, dict) else None
    return cast("Object", properties) if isinstance(properties, dict) else {}


def _detail(name: str, value: object, schema: object) -> Detail:
    told = cast("Object", schema) if isinstance(schema, dict) else {}
    title, about = told.get("title"), told.get("description")
    return Detail(
        label=title if isinstance(title, str) and title.strip() else name,
        about=about if isinstance(about, str) else "",
        value=readable(value),
    )


def readable(value: object, depth: int = 0) -> str:
    """A value in words: text as it stands, lists and objects one line for each member."""
    match value:
        case str():
            return value
        case bool():
            return "yes" if value else "no"
        case None:
            return "none"
        case list() | dict() if depth < DEEPEST:
            return "".join(_lines(cast("list[object] | Object", value), depth)) or "none"
        case _:
            return json_of(value)


def _lines(value: list[object] | Object, depth: int) -> Iterator[str]:
    members = (
        ((f"{name}: ", member) for name, member in value.items())
        if isinstance(value, dict)
        else (("- ", member) for member in value)
    )
    for before, member in members:
        yield f"\n{'  ' * (depth + 1)}{before}{readable(member, depth + 1)}"


def _form_in(args: Json) -> tuple[str, tuple[Field, ...]]:
    for name in _FORMS:
        if name in args and (fields := fields_of(args[name])):
            return name, fields
    return "", ()


def _offer_in(args: Json) -> tuple[str, tuple[Offered, ...]]:
    for name in (*_OFFERS, *args):
        if name in args and (choices := _choices_of(args[name])):
            return name, choices
    return "", ()


def _choices_of(value: object) -> tuple[Offered, ...]:
    if not isinstance(value, list):
        return ()
    choices = [_choice_of(each) for each in cast("list[object]", value)[:MOST_CHOICES]]
    read = tuple(choice for choice in choices if choice is not None)
    return read if len(read) == len(choices) else ()


def _choice_of(value: object) -> Offered | None:
    if isinstance(value, str):
        return Offered(value, "", value) if value.strip() else None
    if not isinstance(value, dict):
        return None
    told = cast("Object", value)
    words = [word for name in _NAMES if isinstance(word := told.get(name), str) and word.strip()]
    if not words:
        return None
    meant, about = told.get("value"), told.get("description")
    is_meant = isinstance(meant, str) and meant.strip()
    return Offered(
        shown=words[0],
        about=about if isinstance(about, str) else "",
        text=str(meant) if is_meant else words[0],
    )
