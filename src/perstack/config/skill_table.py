"""`[experts."key".skills."name"]`: which keys each skill type takes, and the rule for each."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qsl, urlsplit

from perstack.config.addresses import domain_problem, endpoint_problem
from perstack.config.checks import array, boolean, choice, kind_of, mapping, record, text
from perstack.config.provider_table import header_name
from perstack.config.rules import argument, matching, one_line
from perstack.schema.keys import MAX_NAME_LENGTH, NAME_PATTERN
from perstack.schema.tool import DELEGATE_SKILL, FUNCTION_SKILL, UNKNOWN_SKILL
from perstack.schema.variables import is_secret, variable_problem

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
_OWN_HEADERS = frozenset(
    {
        "accept", "accept-encoding", "connection", "content-encoding", "content-length",
        "content-type", "expect", "host", "keep-alive", "last-event-id", "te", "trailer",
        "transfer-encoding", "upgrade",
    }
)  # fmt: skip
_OWN_HEADER_STARTS = ("mcp-", "proxy-", "sec-")
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


def sent_header(value: str) -> str | None:
    """A key of `headersEnv`: a header that says who asks, and frames nothing."""
    if (problem := header_name(value)) is not None:
        return problem
    name = value.lower()
    if name in _OWN_HEADERS or name.startswith(_OWN_HEADER_STARTS):
        return "is a header that this runtime, or what stands on the way, decides"
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
    "mcpSseSkill": {
        **_MCP_SKILL,
        "endpoint": text(),
        "bearerTokenEnv": text(rule=variable_problem),
        "headersEnv": mapping(sent_header, text(rule=variable_problem)),
        "allowLoopback": boolean,
        "trusted": boolean,
    },
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
        place.error("needs packageName or args (`args = []` where the program takes none)")


def _endpoint_and_headers(skill: dict[str, object], place: Place) -> None:
    here = skill.get("allowLoopback") is True
    endpoint = str(skill["endpoint"])
    problem = endpoint_problem(endpoint, allow_loopback=here)
    if problem is not None:
        place.at("endpoint").error(problem)
    elif any(is_secret(name) for name, _ in parse_qsl(urlsplit(endpoint).query)):
        place.at("endpoint").warn(
            "has what looks like a key in its query, which is written into each run's log; "
            "use bearerTokenEnv or headersEnv where the server takes a header"
        )
    names = list(cast("dict[str, str]", skill.get("headersEnv", {})))
    lowered = [name.lower() for name in names]
    if "bearerTokenEnv" in skill and "authorization" in lowered:
        place.error("has both bearerTokenEnv and an Authorization header; give one of them")
    for name in names:
        if lowered.count(name.lower()) > 1:
            place.at("headersEnv").error(f"has {name!r} more than once, in other letters")
            return


_SKILL_CHECKS: dict[str, Check] = {
    "mcpStdioSkill": record(SKILL_FIELDS["mcpStdioSkill"], ("command",), _package_or_args),
    "mcpSseSkill": record(SKILL_FIELDS["mcpSseSkill"], ("endpoint",), _endpoint_and_headers),
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
