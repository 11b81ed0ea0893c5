"""`perstack.lock` at a run: which Experts it knows, and which tools it can speak for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from perstack.assembly.base_skill import with_base
from perstack.assembly.tools import servers_of
from perstack.config.experts import answers
from perstack.config.source import read_source, shown_path
from perstack.schema.keys import parse_key
from perstack.schema.lockfile import (
    LOCK_NAME,
    MAX_LOCK_BYTES,
    declaration,
    expert_integrity,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from perstack.config.project import Project
    from perstack.schema.expert import Expert
    from perstack.schema.lockfile import LockedExpert, Lockfile
    from perstack.skills.mcp.changes import Locked


class Lock:
    """What a lock says. `written` are the Experts of the file that it stands beside."""

    def __init__(self, lockfile: Lockfile, written: Mapping[str, Expert]) -> None:
        self._experts = lockfile.experts
        self._written = written

    def expert(self, key: str) -> Expert | None:
        """The Expert that `key` names, as it was locked."""
        wanted = parse_key(key)
        same = [self._experts[key]] if key in self._experts else []
        for locked in (*same, *self._experts.values()):
            if locked.expert.name == wanted.name and answers(locked.expert, wanted):
                return replace(locked.expert, key=key)
        return None

    def tools_of(self, expert: Expert) -> Mapping[str, Locked]:
        """The tools of its MCP skills, by skill.

        A skill that is not among them was not locked, or is declared otherwise now.
        """
        servers = servers_of(expert)
        locked = self._named(expert.name, expert.version) if servers else None
        if locked is None:
            return {}
        from perstack.skills.mcp.changes import Locked
        from perstack.skills.mcp.protocol import ServerTool

        return {
            name: Locked(
                tuple(
                    ServerTool(tool.name, tool.description, tool.input_schema, tool.annotations)
                    for tool in locked.tools[name]
                ),
                is_exact=locked.is_whole,
            )
            for name in servers
            if _has_skill(locked, expert, name)
        }

    def warning(self, project: Project | None, *keys: str) -> str | None:
        """A line where it is older than what its file says of these Experts and their delegates.

        Experts of the project that are written in Python are no matter of the lock.
        """
        if project is None:
            return None
        used = [expert for expert in _used(project, keys) if expert.name in self._written]
        changed = [expert.name for expert in used if self._has_changed(expert)]
        missing = [
            expert.name
            for expert in used
            if servers_of(expert) and self._named(expert.name, expert.version) is None
        ]
        told = [f"{', '.join(changed)} changed since"] if changed else []
        told += [f"{', '.join(missing)} came later"] if missing else []
        if not told:
            return None
        return (
            f"{LOCK_NAME} is older than {Path(project.origin).name}: {', and '.join(told)}. "
            "Skills that it does not know are started as if there were no lock; "
            "`perstack install` brings it up to date"
        )

    def _named(self, name: str, version: str) -> LockedExpert | None:
        """The Expert of this name: of this version, where the lock has several."""
        found = [locked for locked in self._experts.values() if locked.expert.name == name]
        same = [locked for locked in found if locked.expert.version == version]
        return next(iter((*same, *found)), None)

    def _has_changed(self, expert: Expert) -> bool:
        locked = self._named(expert.name, expert.version)
        if locked is None:
            return False
        if locked.is_whole:
            return expert_integrity(locked.expert) != expert_integrity(expert)
        return not all(_has_skill(locked, expert, name) for name in servers_of(expert))


def _has_skill(locked: LockedExpert, expert: Expert, name: str) -> bool:
    """Whether the tools of the Expert's skill are locked, and it is declared as it was then."""
    known = locked.expert.skills.get(name)
    return (
        known is not None
        and name in locked.tools
        and declaration(known) == declaration(expert.skills[name])
    )


def _used(project: Project, keys: Iterable[str]) -> list[Expert]:
    """The project's Experts that a run of one of these may come upon."""
    found: dict[str, Expert] = {}
    waiting = list(keys)
    while waiting:
        name = parse_key(waiting.pop()).name
        if name in project.experts and name not in found:
            found[name] = with_base(project.experts[name], project.perstack_base_skill_command)
            waiting += found[name].delegates
    return list(found.values())


def lock_path(config: str) -> Path:
    """Where the lock of a `perstack.toml` stands: beside it."""
    return Path(config).with_name(LOCK_NAME)


def load_lock(project: Project | None, *, is_kept: bool = True) -> Lock | None:
    """The lock beside the file that was loaded, if there is one.

    With `is_kept`, what it says is kept in the user's cache, to be read quickly next time.

    Raises:
        ConfigurationError: it cannot be read, is of another version, or was edited.
    """
    if project is None or project.path is None:
        return None
    path = lock_path(project.path)
    try:
        source = read_source(path, MAX_LOCK_BYTES)
    except FileNotFoundError:
        return None
    from perstack.assembly.lock_cache import cached, keep

    lockfile = cached(source)
    if lockfile is None:
        from perstack.config.lock import parse_lock

        lockfile = parse_lock(source, shown_path(path))
        if is_kept:
            keep(source, lockfile)
    return Lock(lockfile, project.experts)
