"""Which definition a key names: the project's own first, then those that ship with Perstack."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from perstack.config.findings import nearest, quoted
from perstack.errors import PerstackError, UnknownExpert
from perstack.schema.expert import Definition, DelegateInfo, Expert
from perstack.schema.keys import parse_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from perstack.config.project import Project
    from perstack.schema.keys import ExpertKey


def resolve_expert(key: str, project: Project | None, catalogue: Mapping[str, Expert]) -> Expert:
    """The Expert that `key` names, under that key.

    `name@version` matches a definition of just that version; `name@tag` one that
    bears the tag, and `latest` any. `catalogue` is by name.

    Raises:
        UsageError: `key` is not an Expert key.
        UnknownExpert: no definition answers to it. The message says where it was
            looked for and which names are near.
    """
    wanted = parse_key(key)
    own = project.experts if project is not None else {}
    for source in (own, catalogue):
        found = source.get(wanted.name)
        if found is not None and answers(found, wanted):
            return found if found.key == key else msgspec.structs.replace(found, key=key)
    raise UnknownExpert(_unknown(key, wanted, project, catalogue))


def definition_of(expert: Expert, resolve: Callable[[str], Expert]) -> Definition:
    """`expert` with what it knows of its delegates.

    A delegate that `resolve` does not find stays in without a description: asking it
    is answered when it is asked.
    """
    return Definition(
        expert=expert, delegates=tuple(_delegate(key, resolve) for key in expert.delegates)
    )


def _delegate(key: str, resolve: Callable[[str], Expert]) -> DelegateInfo:
    try:
        description = resolve(key).description
    except PerstackError:
        description = ""
    return DelegateInfo(key=key, tool_name=parse_key(key).tool_name, description=description)


def answers(expert: Expert, wanted: ExpertKey) -> bool:
    """Whether a definition of the right name is of the version, or bears the tag, that is asked."""
    if wanted.version is not None:
        return wanted.version == expert.version
    return wanted.tag in (None, "latest", *expert.tags)


def _unknown(
    key: str, wanted: ExpertKey, project: Project | None, catalogue: Mapping[str, Expert]
) -> str:
    own = project.experts if project is not None else {}
    where = (
        f"Looked in {project.origin} and among the Experts that ship with Perstack"
        if project is not None
        else "Looked among the Experts that ship with Perstack; there is no perstack.toml here"
    )
    same_name = [source[wanted.name] for source in (own, catalogue) if wanted.name in source]
    if same_name:
        versions = ", ".join(f"{expert.name}@{expert.version}" for expert in same_name)
        return f"There is no Expert {quoted(key)}, only {versions}. {where}"
    near = nearest(wanted.name, [*own, *catalogue], 3)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    return f"There is no Expert {quoted(key)}.{hint} {where}"
