"""`perstack.lock`: its text to data, checked against its own sums."""

from __future__ import annotations

import math
import re
from typing import TypeVar, cast

import msgspec
from msgspec.structs import replace

from perstack.config.checks import kind_of
from perstack.config.findings import quoted
from perstack.config.load import checked_project
from perstack.config.source import decoded
from perstack.config.toml import Shape, parse_toml
from perstack.errors import ConfigurationError, UsageError
from perstack.schema.keys import parse_key
from perstack.schema.lockfile import (
    LOCK_VERSION,
    MAX_LOCK_BYTES,
    LockedExpert,
    LockedTool,
    Lockfile,
    canonical,
    expert_integrity,
    integrity_of,
    sayable,
    tools_integrity,
    without_plain_base,
)
from perstack.schema.message import Json

T = TypeVar("T")

LOCK_SHAPE = Shape(key_parts=32, structure=400_000)

MAX_DEPTH = 100
"""Levels of a tool's schema, and of its annotations."""

_TOO_DEEP = f"something in it is nested deeper than {MAX_DEPTH} levels"
_EDITED = "It was edited, or written by a newer Perstack"
_WAY_OUT = "`perstack install` writes it anew"
_MARK = re.compile(r"^(?:<{7}|={7}|>{7})(?: |\r?$)", re.MULTILINE)
_OF_A_LOCK = ("key", "name", "integrity", "toolIntegrity", "toolDefinitions")


class _Tool(msgspec.Struct, rename="camel"):
    """An entry of `toolDefinitions`. Whatever else stands there is somebody else's."""

    skill_name: str
    name: str
    description: str = ""
    input_schema: Json = {}
    input_schema_json: str | None = None
    annotations: Json = {}
    annotations_json: str | None = None


class _Entry(msgspec.Struct, rename="camel"):
    """What is told of an Expert beside its definition."""

    key: str
    name: str | None = None
    integrity: str | None = None
    tool_integrity: dict[str, str] = {}
    tool_definitions: list[_Tool] = []


class _Document(msgspec.Struct, rename="camel"):
    generated_at: int = 0
    config_path: str = ""
    integrity: str | None = None
    experts: dict[str, Json] = {}


def parse_lock(source: bytes, origin: str) -> Lockfile:
    """The lock in `source`, which `origin` names in messages. Unknown keys are passed over.

    Raises:
        ConfigurationError: it is no lock, one of another version, or one that was edited.
    """
    try:
        return _parsed(source, origin)
    except ConfigurationError as trouble:
        raise ConfigurationError(f"{trouble.message}\n{_WAY_OUT}") from None
    except RecursionError:
        raise ConfigurationError(f"{origin}: {_TOO_DEEP}\n{_WAY_OUT}") from None


def _parsed(source: bytes, origin: str) -> Lockfile:
    table = _table(decoded(source, origin, MAX_LOCK_BYTES), origin)
    if (version := table.get("version")) is None:
        raise ConfigurationError(f"{origin} is no lock: it has no `version`")
    if version != LOCK_VERSION:
        raise ConfigurationError(
            f"{origin} is of version {ascii(version)[:40]}, and this Perstack reads "
            f"{LOCK_VERSION!r} alone"
        )
    document = _converted(table, _Document, origin)
    lock = Lockfile(
        generated_at=document.generated_at,
        config_path=document.config_path,
        experts={key: _expert(key, each, origin) for key, each in document.experts.items()},
    )
    if document.integrity not in (None, integrity_of(canonical(lock))):
        raise ConfigurationError(f"{origin} does not match its `integrity`. {_EDITED}")
    return lock


def _table(text: str, origin: str) -> Json:
    try:
        return parse_toml(text, origin, LOCK_SHAPE)
    except ConfigurationError:
        if (mark := _MARK.search(text)) is None:
            raise
    line = text.count("\n", 0, mark.start()) + 1
    raise ConfigurationError(f"{origin} holds the marks of a merge conflict (line {line})")


def _expert(key: str, table: Json, origin: str) -> LockedExpert:
    where = f"{origin}: experts.{quoted(key)}"
    entry = _converted(table, _Entry, where)
    try:
        name = parse_key(key).name
    except UsageError as trouble:
        raise ConfigurationError(f"{where}: {trouble.message}") from None
    if entry.key != key or entry.name not in (None, name):
        raise ConfigurationError(f"{where}: its `key` and `name` are those of another Expert")
    project = checked_project({"experts": {name: _definition(table)}}, origin)
    expert = without_plain_base(replace(project.experts[name], key=key))
    tools: dict[str, list[LockedTool]] = {skill: [] for skill in entry.tool_integrity}
    for index, tool in enumerate(entry.tool_definitions):
        there = f"{where}.toolDefinitions[{index}]"
        tools.setdefault(tool.skill_name, []).append(_tool(tool, there))
    locked = LockedExpert(
        expert=expert,
        tools={skill: tuple(each) for skill, each in tools.items()},
        is_whole=entry.integrity is not None or bool(entry.tool_integrity),
    )
    if locked.is_whole:
        _check_sums(locked, entry, where)
    return locked


def _definition(table: Json) -> Json:
    """What of an entry stands in `perstack.toml` as well."""
    kept: Json = {name: each for name, each in table.items() if name not in _OF_A_LOCK}
    if isinstance(table.get("skills"), dict):
        skills = cast("Json", table["skills"])
        kept["skills"] = {name: _nameless(skill) for name, skill in skills.items()}
    return kept


def _nameless(value: object) -> object:
    """A skill, or one of its tools, without the name it goes by anyway."""
    if not isinstance(value, dict):
        return value
    table = {name: each for name, each in cast("Json", value).items() if name != "name"}
    if isinstance(table.get("tools"), dict):
        tools = cast("Json", table["tools"])
        table["tools"] = {name: _nameless(tool) for name, tool in tools.items()}
    return table


def _tool(tool: _Tool, where: str) -> LockedTool:
    try:
        return LockedTool(
            name=tool.name,
            description=tool.description,
            input_schema=_heard("inputSchema", tool.input_schema, tool.input_schema_json),
            annotations=_heard("annotations", tool.annotations, tool.annotations_json),
        )
    except ValueError as trouble:
        raise ConfigurationError(f"{where}.{trouble}") from None


def _heard(name: str, part: Json, text: str | None) -> Json:
    """The value that `lock_text.said` put into these two.

    Raises:
        ValueError: they do not belong together, or are no JSON.
    """
    if text is None:
        value = part
    else:
        name += "Json"
        try:
            value = msgspec.json.decode(text, type=dict[str, object])
        except (msgspec.MsgspecError, RecursionError) as trouble:
            raise ValueError(f"{name} is not the JSON of an object: {trouble}") from None
    if (strange := _strange(value, 0)) is not None:
        raise ValueError(f"{name} holds {strange}")
    if text is not None and sayable(value) != part:
        raise ValueError(f"{name} says something else than the table beside it")
    return value


def _strange(value: object, depth: int) -> str | None:
    """What `value` holds that no lock of ours does: of TOML alone, or without bounds."""
    if isinstance(value, dict):
        inner = list(cast("Json", value).values())
    elif isinstance(value, list):
        inner = cast("list[object]", value)
    elif isinstance(value, float) and not math.isfinite(value):
        return "a number that JSON does not have"
    elif value is None or isinstance(value, str | int | float):
        return None
    else:
        return f"{kind_of(value)}, which JSON does not have"
    if depth == MAX_DEPTH:
        return f"more than {MAX_DEPTH} levels"
    found = (_strange(each, depth + 1) for each in inner)
    return next((each for each in found if each is not None), None)


def _check_sums(locked: LockedExpert, entry: _Entry, where: str) -> None:
    if expert_integrity(locked.expert) != entry.integrity:
        raise ConfigurationError(f"{where} does not match its `integrity`. {_EDITED}")
    for skill, tools in locked.tools.items():
        if tools_integrity(tools) != entry.tool_integrity.get(skill):
            raise ConfigurationError(
                f"{where}: the tools of the skill {quoted(skill)} do not match their sum in "
                f"`toolIntegrity`. {_EDITED}"
            )


def _converted(table: Json, kind: type[T], where: str) -> T:
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as trouble:
        raise ConfigurationError(f"{where}: {trouble}") from None
