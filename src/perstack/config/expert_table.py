"""`[experts."key"]`: which keys an Expert takes, and the rule for each."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from perstack.config.checks import array, json_table, mapping, record, text
from perstack.config.findings import did_you_mean, quoted
from perstack.config.rules import matching, one_line, some_text
from perstack.config.skill_table import SKILLS
from perstack.errors import UsageError
from perstack.schema.keys import (
    MAX_NAME_LENGTH,
    NAME_PATTERN,
    TAG_PATTERN,
    VERSION_PATTERN,
    parse_key,
)
from perstack.schema.tool import BASE_SKILL, BASE_TOOLS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perstack.config.checks import Check
    from perstack.config.findings import Place

MAX_TOOL_NAME_LENGTH = 64
_RUNTIME_VERSION = re.compile(r"v?[0-9]{1,9}\.[0-9]{1,9}(?:\.[0-9]{1,9})?")


def expert_name(value: str) -> str | None:
    """A key of `[experts]`: a name, without version or tag."""
    if len(value) <= MAX_NAME_LENGTH and NAME_PATTERN.fullmatch(value):
        return None
    try:
        has_version = parse_key(value).name != value
    except UsageError:
        has_version = False
    if has_version:
        return "must be a name alone; the version goes into its `version` key"
    return (
        "is not an Expert's name: lower-case letters, digits, '-' and '_', "
        f"with an optional '@scope/' before it, at most {MAX_NAME_LENGTH} characters"
    )


def delegate_key(value: str) -> str | None:
    """A name, name@version or name@tag."""
    try:
        parse_key(value)
    except UsageError as trouble:
        return trouble.message
    return None


EXPERT_FIELDS: dict[str, Check] = {
    "version": text(255, matching(VERSION_PATTERN, "a version such as 1.0.0")),
    "minRuntimeVersion": text(rule=matching(_RUNTIME_VERSION, "a version such as v1.0")),
    "description": text(2048),
    "instruction": text(20_480, some_text),
    "delegates": array(text(rule=delegate_key)),
    "tags": array(text(255, matching(TAG_PATTERN, "lower-case letters, digits, '-' and '_'")), 8),
    "skills": SKILLS,
    "providerTools": array(text(256, one_line)),
    "providerSkills": array(json_table),
    "providerToolOptions": json_table,
}


def _tool_names(expert: dict[str, object], place: Place) -> Iterator[tuple[str, str, Place]]:
    """Each tool name the file itself gives: the name, who gives it, and where."""
    for index, key in enumerate(cast("list[str]", expert.get("delegates", []))):
        there = place.at("delegates").item(index)
        yield parse_key(key).tool_name, f"the delegate {quoted(key)}", there
    skills = cast("dict[str, dict[str, object]]", expert.get("skills", {}))
    for name, skill in skills.items():
        for tool in cast("dict[str, object]", skill.get("tools", {})):
            there = place.at("skills").at(name).at("tools").at(tool)
            yield tool, f"the skill {quoted(name)}", there


def _base_names(expert: dict[str, object], place: Place) -> None:
    """What narrows the bundled base skill names tools of it. One from elsewhere may have others."""
    skills = cast("dict[str, dict[str, object]]", expert.get("skills", {}))
    base = skills.get(BASE_SKILL, {})
    if base.get("packageName") != BASE_SKILL:
        return
    for key in ("pick", "omit"):
        there = place.at("skills").at(BASE_SKILL).at(key)
        for index, name in enumerate(cast("list[str]", base.get(key, []))):
            if name not in BASE_TOOLS:
                hint = did_you_mean(name, BASE_TOOLS)
                there.item(index).warn(f"is {quoted(name)}, no tool of the base skill{hint}")


def _expert(expert: dict[str, object], place: Place) -> None:
    takers: dict[str, str] = dict.fromkeys(BASE_TOOLS, "the base skill")
    for tool, taker, there in _tool_names(expert, place):
        if tool in takers:
            there.error(
                f"its tool would be called {quoted(tool)}, which is already taken by {takers[tool]}"
            )
        takers.setdefault(tool, taker)
        if len(tool) > MAX_TOOL_NAME_LENGTH:
            there.warn(f"its tool's name is longer than {MAX_TOOL_NAME_LENGTH} characters")
    _base_names(expert, place)
    for key in ("providerTools", "providerSkills", "providerToolOptions"):
        if expert.get(key):
            place.at(key).warn("is not supported in this version and has no effect")


EXPERTS: Check = mapping(expert_name, record(EXPERT_FIELDS, ("instruction",), _expert), quote=True)
