"""`perstack install`: every Expert of a project, and the tools its skills offer, into a lock."""

from __future__ import annotations

from collections import deque
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import anyio
from msgspec.structs import replace

from perstack.assembly.base_skill import own_tools
from perstack.assembly.experts import Experts
from perstack.assembly.lock import lock_path
from perstack.assembly.tools import check_requirements, servers_of, surroundings
from perstack.errors import ConfigurationError, PerstackError, UsageError
from perstack.runtime.environment import now_ms
from perstack.schema.event import SkillReported, SkillStarting
from perstack.schema.lockfile import (
    LockedExpert,
    LockedTool,
    Lockfile,
    declaration,
    without_plain_base,
)
from perstack.schema.tool import BASE_SKILL
from perstack.skills.mcp.skills import McpSkills

if TYPE_CHECKING:
    from collections.abc import Callable

    from perstack.config.project import Project
    from perstack.config.request import RunRequest
    from perstack.schema.event import RuntimeEvent
    from perstack.schema.expert import Expert
    from perstack.schema.skill import McpSseSkill, McpStdioSkill

SERVERS_AT_ONCE = 8

_Same: TypeAlias = tuple[bool, bytes]


class Survey(NamedTuple):
    """A lock as it would be written now, where, and what a person should know of it."""

    lock: Lockfile
    path: Path
    warnings: tuple[str, ...]


async def survey(request: RunRequest, on_start: Callable[[str, str], None]) -> Survey:
    """The Experts of the project with all delegates, and what their skills offer.

    Each MCP skill's server is started once, and ended again. A declaration that
    several Experts share is started for the first of them. `on_start` gets an Expert's
    name and that of a skill that is being started.

    Raises:
        UsageError, ConfigurationError: as `place_of` does.
        ConfigurationError: a delegate is unknown, a variable is missing, a server does
            not start. `problems` holds all of these.
    """
    project, path = place_of(request)
    experts, problems = _experts(project, request)
    listing = _Listing(request, on_start)
    for expert in experts.values():
        try:
            check_requirements(expert, request)
        except ConfigurationError as trouble:
            problems.append(" ".join((str(trouble.args[0]), "; ".join(trouble.problems))).strip())
        else:
            listing.want(expert)
    await listing.take()
    problems += listing.problems
    if problems:
        raise ConfigurationError(
            f"{project.origin} cannot be locked as it is:",
            tuple(problem.replace("\n", "\n    ") for problem in problems),
        )
    locked = {
        name: LockedExpert(expert=expert, tools=listing.tools_of(expert))
        for name, expert in sorted(experts.items())
    }
    name = PurePath(project.path or "").name
    lock = Lockfile(generated_at=now_ms(), config_path=name, experts=locked)
    return Survey(lock, path, tuple(listing.warnings))


def place_of(request: RunRequest) -> tuple[Project, Path]:
    """The project to lock, and where its lock is to stand.

    Raises:
        UsageError: the project is at an address.
        ConfigurationError: there is none.
    """
    project = request.project
    if project is None:
        raise ConfigurationError(
            "There is no perstack.toml here or in a folder above. "
            "Write one, or name one with --config"
        )
    if project.path is None:
        raise UsageError(
            f"--config: a lock stands beside its file, and {project.origin} is an address. "
            "Save it in a folder, and name that file"
        )
    return project, lock_path(project.path)


def _experts(project: Project, request: RunRequest) -> tuple[dict[str, Expert], list[str]]:
    """All Experts by name, and what is wrong with those that are left out."""
    resolver = Experts(request)  # what is locked already has no say
    found: dict[str, Expert] = {}
    problems: list[str] = []
    waiting = deque((name, "") for name in project.experts)
    asked: set[str] = set()
    while waiting:
        key, asker = waiting.popleft()
        if key in asked:
            continue
        asked.add(key)
        try:
            expert = resolver.expert(key)
        except PerstackError as trouble:
            who = f"{asker} has a delegate that cannot be had. " if asker else ""
            problems.append(who + trouble.message)
            continue
        found[expert.name] = without_plain_base(replace(expert, key=expert.name))
        waiting.extend((delegate, expert.name) for delegate in expert.delegates)
    return found, problems


class _Listing:
    """The tools of all skills, each declaration listed once."""

    def __init__(self, request: RunRequest, on_start: Callable[[str, str], None]) -> None:
        self.problems: list[str] = []
        self.warnings: list[str] = []
        self._request = request
        self._on_start = on_start
        self._wanted: dict[_Same, tuple[str, str, McpStdioSkill | McpSseSkill]] = {}
        self._tools: dict[_Same, tuple[LockedTool, ...]] = {}

    def want(self, expert: Expert) -> None:
        """List this Expert's skills."""
        for name, skill in servers_of(expert).items():
            self._wanted.setdefault(_same(name, skill), (expert.name, name, skill))

    async def take(self) -> None:
        """Start the servers, and ask each for its tools."""
        turns = anyio.CapacityLimiter(SERVERS_AT_ONCE)
        async with anyio.create_task_group() as tasks:
            for same, wanted in self._wanted.items():
                tasks.start_soon(self._list, same, *wanted, turns)
        self.problems.sort()
        self.warnings.sort()

    def tools_of(self, expert: Expert) -> dict[str, tuple[LockedTool, ...]]:
        """What the base skill and each MCP skill of the Expert offer, by skill."""
        servers = servers_of(expert)
        listed = {name: self._tools[_same(name, skill)] for name, skill in servers.items()}
        base = (*_own_tools(expert), *listed.pop(BASE_SKILL, ()))
        return {BASE_SKILL: base, **listed}

    async def _list(
        self,
        same: _Same,
        expert: str,
        name: str,
        skill: McpStdioSkill | McpSseSkill,
        turns: anyio.CapacityLimiter,
    ) -> None:
        async def note(event: RuntimeEvent) -> None:
            if isinstance(event, SkillStarting):
                self._on_start(expert, name)
            if isinstance(event, SkillReported) and event.source == "runtime":
                self.warnings.append(f"{expert}: the skill {name}: {event.message}")

        around = surroundings(self._request, note)
        opened = McpSkills({name: skill}, around, taken=(), opened=(name,))
        async with turns, opened:
            server = opened.skills[name]
            if server.problem:
                self.problems.append(f"{expert}: the skill {name} did not start. {server.problem}")
                return
            self._tools[same] = tuple(
                LockedTool(
                    name=tool.name,
                    description=tool.description,
                    input_schema=tool.input_schema,
                    annotations=tool.annotations,
                )
                for tool in server.offer.tools
            )


def _same(name: str, skill: McpStdioSkill | McpSseSkill) -> _Same:
    """What two skills have in common that offer the same."""
    return name == BASE_SKILL, declaration(skill)


def _own_tools(expert: Expert) -> tuple[LockedTool, ...]:
    """The base tools that run in our process."""
    return tuple(
        LockedTool(name=tool.name, description=tool.description, input_schema=tool.input_schema)
        for tool in own_tools(expert)
    )
