"""The JSON Schema of the events, made from the types that write them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from typing import cast, get_args

import msgspec

from perstack.schema.base import Data
from perstack.schema.checkpoint import Checkpoint
from perstack.schema.event import DisplayEvent, Fact, Recorded, RunEvent, Shown
from perstack.schema.message import Json
from perstack.views.derived import ADDED, Added
from perstack.views.reference import OUR_EVENTS, OURS, ours_of
from perstack.views.wire import Form

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REF = "#/$defs/"
_PYTHON_NAME = re.compile(r"`[a-z]+(_[a-z]+)+`")

HEADER: dict[type[Data], tuple[str, ...]] = {
    RunEvent: ("id", "seq", "timestamp", "jobId", "runId", "expertKey", "stepNumber"),
    Recorded: ("id", "seq", "timestamp", "jobId", "runId"),
    DisplayEvent: ("id", "timestamp", "jobId", "runId", "expertKey", "stepNumber"),
}
"""Fields that every event of a kind has, once it is written."""


def event_types(form: Form) -> tuple[type[Data], ...]:
    """The events that occur in `form`."""
    facts = cast("tuple[type[Data], ...]", get_args(Fact))
    if form == "stored":
        return facts
    shown = cast("tuple[type[Data], ...]", get_args(Shown))
    kept = facts if form == "lean" else tuple(kind for kind in facts if kind not in OUR_EVENTS)
    return (*kept, *shown)


def tag_of(kind: type[Data]) -> str:
    """An event's name on the wire."""
    return cast("str", kind.__struct_config__.tag)


def event_schema(form: Form) -> Json:
    """The schema of one line in `form`: JSON data, draft 2020-12, which refuses unknown fields.

    Each event stands under its wire name in `$defs`.
    """
    kinds = event_types(form)
    definitions = _definitions((*kinds, *ADDED.values()))
    events = {tag_of(kind): _event(kind, form, definitions) for kind in kinds}
    for kind, names in OURS.items() if form == "full" else ():
        if not issubclass(kind, Recorded):
            _drop(definitions[kind.__name__], names)
    if form != "stored":
        _set_messages(definitions[Checkpoint.__name__], form)
    schema: Json = {
        "$schema": DIALECT,
        "title": f"An event of Perstack, {form} form",
        "type": "object",
        "required": ["type"],
        "oneOf": [{"$ref": _REF + tag} for tag in events],
        "$defs": events | _reachable(events, definitions),
    }
    return msgspec.json.decode(msgspec.json.encode(schema))


def _definitions(kinds: Sequence[type[Data]]) -> dict[str, Json]:
    def anything(kind: type) -> Json:
        return {"title": "Any JSON"} if kind is object else {}

    _, components = msgspec.json.schema_components(
        dict.fromkeys(kinds), schema_hook=anything, ref_template=_REF + "{name}"
    )
    for component in components.values():
        _tidy(component)
    return components


def _tidy(component: Json) -> None:
    """Without null where null is never written, and with the docstring as it is read."""
    if isinstance(text := component.get("description"), str):
        component["description"] = _PYTHON_NAME.sub(_wire_name, inspect.cleandoc(text))
    for value in _properties(component).values():
        choices = cast("list[Json]", value.get("anyOf", []))
        if "default" in value and value["default"] is None:
            del value["default"]
            kept = [choice for choice in choices if choice != {"type": "null"}]
            if len(kept) == 1:
                del value["anyOf"]
                value.update(kept[0])
            else:
                value["anyOf"] = kept


def _wire_name(match: re.Match[str]) -> str:
    return re.sub("_([a-z])", lambda letter: letter[1].upper(), match[0])


def _event(kind: type[Data], form: Form, definitions: dict[str, Json]) -> Json:
    """One event with its header and what the form adds, without what it leaves out."""
    schema = definitions.pop(kind.__name__)
    schema["title"] = tag_of(kind)
    header = next(names for base, names in HEADER.items() if issubclass(kind, base))
    _require(schema, header)
    added = ADDED.get(cast("type[Fact]", kind))
    if form != "stored" and added is not None:
        _add(schema, _fields_of(added, form, definitions))
    if form == "full":
        _drop(schema, ours_of(kind))
    return schema


def _fields_of(added: type[Added], form: Form, definitions: dict[str, Json]) -> dict[str, Json]:
    properties = _properties(definitions[added.__name__])
    left_out = {"messages"} if form == "lean" else set[str]()
    return {name: value for name, value in properties.items() if name not in left_out}


def _add(schema: Json, fields: dict[str, Json]) -> None:
    _properties(schema).update(fields)
    _require(schema, tuple(fields))


def _require(schema: Json, names: Sequence[str]) -> None:
    required = cast("list[str]", schema.setdefault("required", []))
    required.extend(name for name in names if name not in required)
    for name in names:
        _properties(schema)[name].pop("default", None)


def _drop(schema: Json, names: Sequence[str]) -> None:
    for name in names:
        _properties(schema).pop(name, None)
    required = cast("list[str]", schema.get("required", []))
    schema["required"] = [name for name in required if name not in names]


def _set_messages(checkpoint: Json, form: Form) -> None:
    """A checkpoint has all its messages in full, and none in lean."""
    if form == "full":
        _require(checkpoint, ("messages",))
    else:
        _drop(checkpoint, ("messages",))


def _properties(schema: Json) -> dict[str, Json]:
    return cast("dict[str, Json]", schema.get("properties", {}))


def _reachable(roots: dict[str, Json], definitions: dict[str, Json]) -> dict[str, Json]:
    """Those of `definitions` that something refers to."""
    found: dict[str, Json] = {}
    waiting: list[object] = list(roots.values())
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            fields = cast("Json", item)
            waiting.extend(fields.values())
            name = str(fields.get("$ref", "")).removeprefix(_REF)
            if name in definitions and name not in found:
                found[name] = definitions[name]
                waiting.append(definitions[name])
        elif isinstance(item, (list, tuple)):
            waiting.extend(cast("Sequence[object]", item))
    return {name: definitions[name] for name in definitions if name in found}
