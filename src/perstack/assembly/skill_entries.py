"""The entries of an inventory: one for each skill, from its declaration and what came of it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from msgspec.structs import replace

from perstack.assembly.base_skill import own_tools, reason_against
from perstack.assembly.tools import header_problem, missing_variables, servers_of, withheld_keys
from perstack.errors import PerstackError
from perstack.schema.inventory import LeftOut, OfferedTool, SkillEntry, StartUp
from perstack.schema.lockfile import LOCK_NAME, PLAIN_BASE
from perstack.schema.skill import InteractiveSkill, McpSseSkill, McpStdioSkill
from perstack.schema.tool import BASE_SKILL, BASE_TOOLS, DELEGATE_SKILL, OWN_TOOLS
from perstack.skills.delegates import delegate_tools
from perstack.skills.interactive import interactive_tools
from perstack.skills.mcp.changes import changes_of
from perstack.skills.mcp.command import arguments_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from perstack.assembly.experts import Experts
    from perstack.config.request import RunRequest
    from perstack.schema.event import SkillConnected
    from perstack.schema.expert import Definition, Expert
    from perstack.schema.skill import Skill
    from perstack.schema.tool import ToolDefinition
    from perstack.skills.mcp.changes import Locked
    from perstack.skills.mcp.protocol import ServerTool
    from perstack.skills.mcp.skill import McpSkill
    from perstack.skills.mcp.skills import McpSkills

_NONE: Mapping[str, str] = {}

_NEW = f"{LOCK_NAME} does not have it"
_CHANGED = f"it is not the tool that {LOCK_NAME} has, and its calls are refused"
_GONE = f"{LOCK_NAME} has it, and the server does not any more"
_LOCK_IT = "`perstack install --frozen` shows what changed, and `perstack install` locks it anew."


def base_entry(expert: Expert, served: SkillEntry | None) -> SkillEntry:
    """The base tools that the Expert has. `served` are those of a server, if there is one."""
    base = expert.skills.get(BASE_SKILL, PLAIN_BASE)
    names = [name for name in BASE_TOOLS if served is None or name in OWN_TOOLS]
    entry = served or SkillEntry(name=BASE_SKILL, type="base")
    left_out = {left.tool: left.reason for left in entry.left_out}
    left_out |= {name: why for name in names if (why := reason_against(name, base)) is not None}
    if served is None and isinstance(base, McpStdioSkill | McpSseSkill):
        for name in (*base.pick, *base.omit):
            if name not in BASE_TOOLS:
                left_out[name] = "pick or omit names it, and there is no such base tool"
    return replace(
        entry,
        tools=(*_offered(own_tools(expert)), *entry.tools),
        left_out=tuple(LeftOut(tool=name, reason=why) for name, why in left_out.items()),
    )


def question_entries(expert: Expert) -> dict[str, SkillEntry]:
    """The skills whose tools a person answers, by name."""
    questions = interactive_tools(expert)
    return {
        name: SkillEntry(
            name=name,
            type="interactiveSkill",
            tools=_offered(tool for tool in questions if tool.skill_name == name),
        )
        for name, skill in expert.skills.items()
        if isinstance(skill, InteractiveSkill)
    }


def withheld_entries(expert: Expert, request: RunRequest) -> dict[str, SkillEntry]:
    """The skills that no run starts, for what they require, by name."""
    found: dict[str, SkillEntry] = {}
    for name, skill in servers_of(expert).items():
        missing, keys = missing_variables(skill, request), withheld_keys(skill, request)
        unsendable = "" if missing else header_problem(skill, request)
        if not (missing or keys or unsendable):
            continue
        if unsendable:
            problem = unsendable
            advice = "Correct the variable's value, or name another one."
        elif keys:
            problem = f"It asks for {', '.join(keys)}, the key of the model's provider."
            options = " ".join(f"--env {key}" for key in keys)
            advice = f"Where it is meant to have that key, allow it with {options}."
        else:
            problem = f"A variable that it needs is not set: {', '.join(missing)}."
            advice = "Export it, or put it in .env."
        found[name] = replace(
            _declared(name, skill),
            is_working=False,
            missing_env=missing,
            problem=problem,
            advice=advice,
        )
    return found


def server_entry(
    name: str, declared: Skill, opened: McpSkills, connected: SkillConnected | None
) -> SkillEntry:
    """A skill whose server was to be started. `connected` is what it told once it was up."""
    entry = _declared(name, declared)
    skill = opened.skills[name]
    if connected is not None:
        entry = replace(entry, server=connected.server_info, start_up=_start_up(connected))
    if skill.problem:
        return replace(
            entry, is_working=False, problem=skill.problem, advice=_advice(declared, skill)
        )
    own = {name: named.tool for name, named in opened.names.items()}
    tools = _offered((tool for tool in opened.tools() if tool.skill_name == name), own)
    entry = replace(entry, tools=tools, left_out=tuple(skill.offer.left_out))
    if tools:
        return entry
    problem = "The server runs, and none of its tools is offered."
    advice = "Correct pick and omit." if skill.offer.left_out else "It says that it has none."
    return replace(entry, is_working=False, problem=problem, advice=advice)


def as_locked(entry: SkillEntry, locked: Locked, listed: Sequence[ServerTool]) -> SkillEntry:
    """The entry of a skill that is locked, whose server lists these tools now.

    A run goes by the lock: what is not there is not offered, and what is another tool
    now is refused.
    """
    entry = replace(entry, is_locked=True)
    if entry.start_up is None:
        return entry
    before, now = ({tool.name: tool for tool in tools} for tools in (locked.tools, listed))
    refused = changes_of(before, now, is_exact=locked.is_exact)
    left_out = [LeftOut(tool=name, reason=_NEW) for name in now if name not in before]
    left_out += [LeftOut(tool=name, reason=_CHANGED if name in now else _GONE) for name in refused]
    if not left_out:
        return entry
    aside = {left.tool for left in left_out}
    tools = tuple(tool for tool in entry.tools if tool.tool not in aside)
    entry = replace(entry, tools=tools, left_out=(*entry.left_out, *left_out))
    if tools:
        return replace(entry, notes=(*entry.notes, f"It is not as it was locked. {_LOCK_IT}"))
    problem = f"The server runs, and has none of the tools that {LOCK_NAME} says."
    return replace(entry, is_working=False, problem=problem, advice=_LOCK_IT)


def delegates_entry(definition: Definition, experts: Experts) -> SkillEntry:
    """The Experts that it may ask, each a tool."""
    problems: list[str] = []
    for delegate in definition.delegates:
        try:
            experts.expert(delegate.key)
        except PerstackError as problem:
            problems.append(problem.message)
    keys = {delegate.tool_name: delegate.key for delegate in definition.delegates}
    return SkillEntry(
        name=DELEGATE_SKILL,
        type="delegates",
        is_working=not problems,
        problem="\n".join(problems),
        advice="Define the Expert, or take it out of delegates." if problems else "",
        tools=_offered(delegate_tools(definition), keys),
    )


def _declared(name: str, skill: Skill) -> SkillEntry:
    if isinstance(skill, McpStdioSkill):
        command = (skill.command, *arguments_of(skill))
        return SkillEntry(name=name, type="mcpStdioSkill", command=command)
    # What stands behind the question mark may hold a key.
    endpoint = skill.endpoint.partition("?")[0] if isinstance(skill, McpSseSkill) else None
    return SkillEntry(name=name, type="mcpSseSkill", endpoint=endpoint)


def _advice(declared: Skill, skill: McpSkill) -> str:
    """What to do about a server that is not up. A missing program's problem says it already."""
    if not isinstance(declared, McpStdioSkill) or not skill.has_program:
        return ""
    command = shlex.join((declared.command, *arguments_of(declared)))
    return (
        "Try it by hand in the workspace, where it should wait for input and print nothing on "
        f"standard output: {command}"
    )


def _offered(
    tools: Iterable[ToolDefinition], own: Mapping[str, str] = _NONE
) -> tuple[OfferedTool, ...]:
    """The tools. `own` are their names at their own place, where those differ."""
    return tuple(
        OfferedTool(
            name=tool.name,
            tool=own.get(tool.name, tool.name),
            description=tool.description,
            input_schema=tool.input_schema,
            effect=tool.effect,
        )
        for tool in tools
    )


def _start_up(event: SkillConnected) -> StartUp:
    return StartUp(
        spawn_ms=event.spawn_duration_ms or 0.0,
        handshake_ms=event.handshake_duration_ms or 0.0,
        discovery_ms=event.tool_discovery_duration_ms or 0.0,
        total_ms=event.total_duration_ms or 0.0,
    )
