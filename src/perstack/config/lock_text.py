"""A lock as the text of `perstack.lock`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

import msgspec
from msgspec.structs import fields

from perstack.schema.lockfile import (
    LOCK_VERSION,
    PLAIN_BASE,
    canonical,
    expert_integrity,
    integrity_of,
    sayable,
    tools_integrity,
)
from perstack.schema.skill import InteractiveSkill, InteractiveTool
from perstack.schema.tool import BASE_SKILL

if TYPE_CHECKING:
    from perstack.schema.expert import Expert
    from perstack.schema.lockfile import LockedExpert, LockedTool, Lockfile
    from perstack.schema.message import Json
    from perstack.schema.skill import Skill

_HEAD = "# Written by `perstack install`, with sums of its content: change perstack.toml instead.\n"


def lock_text(lock: Lockfile) -> str:
    """The TOML of a lock: the same for the same lock, down to the byte."""
    import tomli_w

    document: Json = {
        "version": LOCK_VERSION,
        "generatedAt": lock.generated_at,
        "configPath": lock.config_path,
        "integrity": integrity_of(canonical(lock)),
        "experts": {key: _entry(locked) for key, locked in lock.experts.items()},
    }
    return _HEAD + tomli_w.dumps(document, indent=2)


def _entry(locked: LockedExpert) -> Json:
    expert = locked.expert
    skills = expert.skills
    if BASE_SKILL not in skills:  # readers of the reference need it said
        skills = {BASE_SKILL: PLAIN_BASE, **skills}
    return {
        **_definition(expert),
        "integrity": expert_integrity(expert),
        "toolIntegrity": {skill: tools_integrity(tools) for skill, tools in locked.tools.items()},
        "skills": {name: _skill(name, skill) for name, skill in skills.items()},
        "toolDefinitions": [
            _tool(skill, tool) for skill, tools in locked.tools.items() for tool in tools
        ],
    }


def _definition(expert: Expert) -> Json:
    """What the Expert says of itself; not its skills."""
    told = cast("Json", msgspec.to_builtins(expert))
    named: Json = {"key": expert.key, "name": expert.name, "version": expert.version}
    lists: Json = {"delegates": expert.delegates, "tags": expert.tags}
    told.pop("skills", None)
    return {**named, **told, **lists}


def _skill(name: str, skill: Skill) -> Json:
    table: Json = {
        "type": skill.__struct_config__.tag,
        "name": name,
        **_with_defaults(skill),
    }
    if isinstance(skill, InteractiveSkill):
        table["tools"] = {
            tool: {"name": tool, **_with_defaults(each)} for tool, each in skill.tools.items()
        }
    return table


def _with_defaults(declared: Skill | InteractiveTool) -> Json:
    """Every field under its name in TOML, whatever its value; but None, which TOML lacks."""
    values: Json = {field.encode_name: getattr(declared, field.name) for field in fields(declared)}
    return {name: value for name, value in values.items() if value is not None}


def _tool(skill: str, tool: LockedTool) -> Json:
    described: Json = {"description": tool.description} if tool.description else {}
    annotations = said("annotations", tool.annotations) if tool.annotations else {}
    return {
        "skillName": skill,
        "name": tool.name,
        **described,
        **said("inputSchema", tool.input_schema),
        **annotations,
    }


def said(name: str, value: Json) -> Json:
    """The keys that hold `value`: `name`, and `nameJson` where TOML cannot say all of it.

    The second is the exact JSON text; the first is then what is left without those parts.
    """
    part = sayable(value)
    text = json.dumps(value, ensure_ascii=False)
    if json.dumps(part, ensure_ascii=False) == text:
        return {name: part}
    return {name: part, f"{name}Json": text}
