"""`[experts."key".skills."name"]`: which keys each skill type takes, and the rule for each."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from perstack.config.addresses import domain_problem, endpoint_problem
from perstack.config.checks import array, boolean, choice, kind_of, mapping, record, text
from perstack.config.rules import argument, matching, one_line
from perstack.schema.keys import MAX_NAME_LENGTH, NAME_PATTERN
from perstack.schema.tool import DELEGATE_SKILL, FUNCTION_SKILL, UNKNOWN_SKILL
from perstack.schema.variables import variable_problem

if TYPE_CHECKING:
    from perstack.config.checks import Check
    from perstack.config.findings import Place

_TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SKILL_NAME = re.compile(NAME_PATTERN.pattern, re.IGNORECASE)
_PACKAGE = re.compile(
    r"(?:@[A-Za-z0-9][A-Za-z0-9._-]*/)?[A-Za-z0-9][A-Za-z0-9._-]*"
    r"(?:\[[A-Za-z0-9][A-Za-z0-9,._-]*\])?"
    r"(?:(?:@|==)[~^]?[A-Za-z0-9][A-Za-z0-9._+-]*)?"
)
_ARCHIVE = re.compile(r".*\.(?:tgz|tar|tar\.[a-z0-9]+|whl|zip|git)", re.IGNORECASE)


def skill_name(value: str) -> str | None:
    """A key of `skills`."""
    if value in (DELEGATE_SKILL, FUNCTION_SKILL, UNKNOWN_SKILL):
        return "is a reserved name"
    if len(value) <= MAX_NAME_LENGTH and _SKILL_NAME.fullmatch(value):
        return None
    return (
        "is not a skill's name: letters, digits, '-' and '_', "
        f"with an optional '@scope/' before it, at most {MAX_NAME_LENGTH} characters"
    )


def package_name(value: str) -> str | None:
    """A package of a registry, with an optional version. Nothing a runner reads as more.

    Options, paths, URLs, repositories and archives are refused.
    """
    if len(value) <= MAX_NAME_LENGTH and _PACKAGE.fullmatch(value) and not _ARCHIVE.match(value):
        return None
    return (
        "must be the name of a published package, with an optional @version "
        "(no options, paths, URLs or archives)"
    )


def json_schema(value: str) -> str | None:
    """The JSON text of an object, which describes an object."""
    import msgspec

    try:
        schema = cast("object", msgspec.json.decode(value))
    except (msgspec.DecodeError, RecursionError):
        return "must be the JSON text of a schema, and is not JSON"
    if not isinstance(schema, dict):
        return "must be the JSON text of an object"
    if cast("dict[str, object]", schema).get("type", "object") != "object":
        return 'must describe an object: {"type": "object", …}'
    return None


_NAMES: Check = array(text(256, one_line))
_COMMON_SKILL: dict[str, Check] = {
    "type": text(),
    "description": text(2048),
    "rule": text(20_480),
}
_MCP_SKILL: dict[str, Check] = {
    **_COMMON_SKILL,
    "pick": _NAMES,
    "omit": _NAMES,
    "allowedDomains": array(text(rule=domain_problem)),
}

INTERACTIVE_TOOL_FIELDS: dict[str, Check] = {
    "description": text(2048),
    "inputJsonSchema": text(65_536, json_schema),
}

SKILL_FIELDS: dict[str, dict[str, Check]] = {
    "mcpStdioSkill": {
        **_MCP_SKILL,
        "command": text(4096, one_line),
        "packageName": text(rule=package_name),
        "args": array(text(rule=argument)),
        "requiredEnv": array(text(rule=variable_problem)),
        "lazyInit": boolean,
        "trusted": boolean,
    },
    "mcpSseSkill": {**_MCP_SKILL, "endpoint": text(rule=endpoint_problem)},
    "interactiveSkill": {
        **_COMMON_SKILL,
        "tools": mapping(
            matching(_TOOL_NAME, "1 to 64 letters, digits, '-' and '_'"),
            record(INTERACTIVE_TOOL_FIELDS, ("inputJsonSchema",)),
        ),
    },
}
"""Each skill type's own keys."""


def _package_or_args(skill: dict[str, object], place: Place) -> None:
    if "packageName" in skill and skill.get("args"):
        place.error("has both packageName and args; give one of them")
    elif "packageName" not in skill and "args" not in skill:
        place.error("needs packageName or args, which may be empty")


_SKILL_CHECKS: dict[str, Check] = {
    "mcpStdioSkill": record(SKILL_FIELDS["mcpStdioSkill"], ("command",), _package_or_args),
    "mcpSseSkill": record(SKILL_FIELDS["mcpSseSkill"], ("endpoint",)),
    "interactiveSkill": record(SKILL_FIELDS["interactiveSkill"], ("tools",)),
}


def _skill(value: object, place: Place) -> object:
    if not isinstance(value, dict):
        place.error(f"must be a table, not {kind_of(value)}")
        return value
    kind = cast("dict[str, object]", value).get("type")
    if isinstance(kind, str) and kind in _SKILL_CHECKS:
        return _SKILL_CHECKS[kind](cast("object", value), place)
    if kind is None:
        place.at("type").error(f"is required: one of {', '.join(SKILL_FIELDS)}")
    else:
        choice(SKILL_FIELDS)(kind, place.at("type"))
    return cast("object", value)


SKILLS: Check = mapping(skill_name, _skill)
