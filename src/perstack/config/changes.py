"""What is different in a `perstack.toml` that was read anew."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from msgspec.structs import fields

from perstack.config.project import Project
from perstack.schema.expert import Expert

if TYPE_CHECKING:
    from perstack.schema.base import Data

_NOT_TOLD = frozenset({"origin", "path", "experts", "warnings", "unknown_keys", "key"})
_NOTHING = Project(origin="")


def project_changes(before: Project | None, now: Project | None) -> str | None:
    """One line that names the Experts and settings which differ; None where none does.

    Names are those of the file.
    """
    old, new = before or _NOTHING, now or _NOTHING
    told = [*_experts(old, new), *_differing(old, new)]
    return "; ".join(told) or None


def _experts(old: Project, new: Project) -> Iterator[str]:
    for name, expert in new.experts.items():
        if name not in old.experts:
            yield f"the Expert {name} is new"
        elif differing := list(_differing(old.experts[name], expert)):
            yield f"the Expert {name}: {', '.join(differing)}"
    for name in old.experts:
        if name not in new.experts:
            yield f"the Expert {name} is gone"


def _differing(old: Data, new: Data) -> Iterator[str]:
    for field in fields(type(old)):
        name = field.name
        if name in _NOT_TOLD or getattr(old, name) == getattr(new, name):
            continue
        if isinstance(old, Expert) and name == "skills":
            yield from _skills(old, new)
        else:
            yield field.encode_name


def _skills(old: Expert, new: Data) -> Iterator[str]:
    now = new.skills if isinstance(new, Expert) else {}
    for name in old.skills | now:
        if old.skills.get(name) != now.get(name):
            yield f"the skill {name}"
