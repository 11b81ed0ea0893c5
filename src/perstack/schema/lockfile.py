"""perstack.lock: each Expert as it was installed, and the tools its skills offered then."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import msgspec
from msgspec.structs import replace

from perstack.schema.base import Data
from perstack.schema.digest import content_of
from perstack.schema.expert import Expert
from perstack.schema.message import Json
from perstack.schema.skill import McpStdioSkill, Skill
from perstack.schema.tool import BASE_SKILL

if TYPE_CHECKING:
    from collections.abc import Sequence

LOCK_NAME = "perstack.lock"
LOCK_VERSION = "1"
MAX_LOCK_BYTES = 16 * 1024 * 1024

PLAIN_BASE = McpStdioSkill(command="npx", package_name=BASE_SKILL)
"""The base skill as it is declared where nothing of it is narrowed."""

_MAX_INTEGER = 2**53 - 1
_MAX_DEPTH = 16
_MAX_NAME = 200
_NOTHING = object()


class LockedTool(Data, kw_only=True):
    """A tool as its server described it. `annotations` (ours) are what it says of its effects."""

    name: str
    description: str = ""
    input_schema: Json
    annotations: Json = {}


class LockedExpert(Data, kw_only=True):
    """One Expert. `tools` are by skill, in the server's order, narrowed by `pick` and `omit`.

    A skill that offers nothing stands there with no tools. `is_whole` is False for what
    the reference implementation wrote: it keeps less of a tool, and no sums.
    """

    expert: Expert
    tools: dict[str, tuple[LockedTool, ...]] = {}
    is_whole: bool = True


class Lockfile(Data, kw_only=True):
    """A whole lock. `generated_at` is ms since 1970, `experts` are by key."""

    generated_at: int
    config_path: str
    experts: dict[str, LockedExpert] = {}


def canonical(lock: Lockfile) -> bytes:
    """The one JSON text of a lock, from which it can be had back: keys sorted, no defaults."""
    experts = {key: _entry(locked) for key, locked in lock.experts.items()}
    return _sorted({**msgspec.to_builtins(lock), "experts": experts})


def _entry(locked: LockedExpert) -> Json:
    definition = {**content_of(locked.expert), "key": locked.expert.key}
    return {**msgspec.to_builtins(locked), "expert": definition}


def integrity_of(data: bytes) -> str:
    """A sum in the form of Subresource Integrity: `sha256-` and base64."""
    import base64
    import hashlib

    return f"sha256-{base64.b64encode(hashlib.sha256(data).digest()).decode()}"


def expert_integrity(expert: Expert) -> str:
    """The sum of a definition, whichever key it was asked for by.

    A base skill that is declared and not narrowed is as one that is left out.
    """
    return integrity_of(_sorted(content_of(without_plain_base(expert))))


def tools_integrity(tools: Sequence[LockedTool]) -> str:
    """The sum of one skill's tools, in their order."""
    return integrity_of(_sorted(list(tools)))


def _sorted(value: object) -> bytes:
    return msgspec.json.encode(value, order="sorted")


def without_plain_base(expert: Expert) -> Expert:
    """The same Expert, its base skill undeclared where nothing of it is narrowed."""
    if expert.skills.get(BASE_SKILL) != PLAIN_BASE:
        return expert
    skills = {name: skill for name, skill in expert.skills.items() if name != BASE_SKILL}
    return replace(expert, skills=skills)


def declaration(skill: Skill) -> bytes:
    """What of a skill decides which tools it has: two that have this in common have the same."""
    told: Json = {
        "description": None,
        "rule": None,
        "allowed_domains": (),
        "lazy_init": False,
        "trusted": False,
    }
    aside = {name: value for name, value in told.items() if name in skill.__struct_fields__}
    return _sorted(replace(skill, **aside))


def sayable(value: Json) -> Json:
    """What TOML, and readers of it in JavaScript, can say of a JSON object.

    TOML has no null, and our own reader no end of nesting; JavaScript has no integer
    beyond 53 bits. What cannot be said is left out.
    """
    return cast("Json", _sayable(value, 0))


def _sayable(value: object, depth: int) -> object:
    if value is None or (isinstance(value, int) and abs(value) > _MAX_INTEGER):
        return _NOTHING
    if not isinstance(value, dict | list):
        return value
    if depth > _MAX_DEPTH:
        return _NOTHING
    if isinstance(value, list):
        items = (_sayable(item, depth + 1) for item in cast("list[object]", value))
        return [item for item in items if item is not _NOTHING]
    parts = {
        key: _sayable(each, depth + 1)
        for key, each in cast("Json", value).items()
        if len(key) <= _MAX_NAME
    }
    return {key: part for key, part in parts.items() if part is not _NOTHING}
