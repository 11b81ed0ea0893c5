"""What each Expert is offered: its skills are opened as for a run, and no model is asked."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from msgspec.structs import replace

from perstack.assembly.experts import Experts
from perstack.assembly.lock import load_lock
from perstack.assembly.skill_entries import (
    as_locked,
    base_entry,
    delegates_entry,
    question_entries,
    server_entry,
    withheld_entries,
)
from perstack.assembly.tools import check_requirements, open_skills, servers_of
from perstack.errors import ConfigurationError
from perstack.schema.event import SkillConnected, SkillReported, SkillStarting
from perstack.schema.inventory import ExpertEntry, Inventory
from perstack.schema.skill import McpStdioSkill
from perstack.schema.tool import BASE_SKILL
from perstack.skills.delegates import delegate_tools
from perstack.skills.interactive import interactive_tools

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from perstack.config.request import RunRequest
    from perstack.schema.event import RuntimeEvent
    from perstack.schema.expert import Definition
    from perstack.schema.inventory import SkillEntry
    from perstack.schema.skill import McpSseSkill
    from perstack.skills.mcp.changes import Locked

MAX_NOTES = 20
"""Warnings of one server that are passed on."""

_GRAVE = frozenset({"warning", "error", "critical", "alert", "emergency"})


async def take_inventory(request: RunRequest, on_start: Callable[[str, str], None]) -> Inventory:
    """The Expert that the request names, or all of the project.

    The servers of one Expert are started side by side, as in a run, and ended before those
    of the next. `on_start` gets an Expert's key and the name of a skill that is being started.

    Raises:
        UnknownExpert: there is no such Expert.
        ConfigurationError: there is no project, or an Expert that cannot be run at all.
    """
    lock = load_lock(request.project)
    experts = Experts(request, lock)
    keys = _wanted(request)
    older = lock.warning(request.project, *keys) if lock else None
    entries: list[ExpertEntry] = []
    for key in keys:
        definition = experts.definition(key)
        expert = definition.expert
        locked: Mapping[str, Locked] = lock.tools_of(expert) if lock else {}
        skills = await _skills(definition, request, locked, _Heard(key, on_start))
        if definition.delegates:
            skills.append(delegates_entry(definition, experts))
        entries.append(
            ExpertEntry(
                key=expert.key,
                version=expert.version,
                description=expert.description.strip(),
                skills=tuple(skills),
            )
        )
    return Inventory(
        config=request.project.origin if request.project is not None else None,
        is_working=all(skill.is_working for entry in entries for skill in entry.skills),
        warnings=(*request.warnings, *([older] if older else ())),
        experts=tuple(entries),
    )


def _wanted(request: RunRequest) -> tuple[str, ...]:
    if request.expert_key is not None:
        return (request.expert_key,)
    if request.project is None:
        raise ConfigurationError(
            "There is no perstack.toml here or in a folder above. Write one, name one with "
            "--config, or name an Expert that ships with Perstack"
        )
    if not request.project.experts:
        raise ConfigurationError(f"{request.project.origin} defines no Expert")
    return tuple(request.project.experts)


class _Heard:
    """What was told of the servers of one Expert while they were started."""

    def __init__(self, expert: str, on_start: Callable[[str, str], None]) -> None:
        self.connected: dict[str, SkillConnected] = {}
        self.notes: defaultdict[str, list[str]] = defaultdict(list)
        self._expert = expert
        self._on_start = on_start

    async def note(self, event: RuntimeEvent) -> None:
        match event:
            case SkillStarting():
                self._on_start(self._expert, event.skill_name)
            case SkillConnected():
                self.connected[event.skill_name] = event
            case SkillReported(source="server") if event.level in _GRAVE:
                self.notes[event.skill_name].append(event.message)
            case _:  # what the runtime reports is in the entries
                pass


async def _skills(
    definition: Definition, request: RunRequest, locked: Mapping[str, Locked], heard: _Heard
) -> list[SkillEntry]:
    """The base skill, and then the declared ones in their order."""
    expert = definition.expert
    found = question_entries(expert) | withheld_entries(expert, request)
    servers = {
        name: _at_once(skill) if name in locked else skill
        for name, skill in servers_of(expert).items()
        if name not in found
    }
    startable = replace(expert, skills={**servers})
    check_requirements(startable, request)
    others = (*delegate_tools(definition), *interactive_tools(expert))
    taken = [tool.name for tool in others]
    async with open_skills(request, startable, heard.note, taken) as opened:
        for name, skill in servers.items():
            entry = server_entry(name, skill, opened, heard.connected.get(name))
            entry = replace(entry, notes=tuple(heard.notes[name][:MAX_NOTES]))
            if name in locked:
                entry = as_locked(entry, locked[name], opened.skills[name].offer.tools)
            found[name] = entry
    base = found.pop(BASE_SKILL) if BASE_SKILL in servers_of(expert) else None
    others = [found[name] for name in expert.skills if name in found]
    return [base_entry(expert, base), *others]


def _at_once(skill: McpStdioSkill | McpSseSkill) -> McpStdioSkill | McpSseSkill:
    """A skill that no tool opens: where it is locked, a run has its own from the start."""
    return replace(skill, lazy_init=False) if isinstance(skill, McpStdioSkill) else skill
