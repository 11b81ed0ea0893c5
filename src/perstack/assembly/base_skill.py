"""The base skill of an Expert: which of its tools run in our process, and who serves the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from perstack.errors import ConfigurationError
from perstack.schema.lockfile import PLAIN_BASE
from perstack.schema.skill import McpSseSkill, McpStdioSkill
from perstack.schema.tool import BASE_SKILL, BASE_TOOLS, OWN_TOOLS

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from perstack.schema.expert import Expert
    from perstack.schema.skill import Skill
    from perstack.schema.tool import ToolDefinition

_BARE = ((BASE_SKILL,), ("-y", BASE_SKILL))
"""Arguments that name the package and no version, as other implementations write them."""


def with_base(expert: Expert, command: Sequence[str] | None) -> Expert:
    """The Expert with its base skill as it is to be had, the same when it is asked again.

    `command` is `perstackBaseSkillCommand`, which takes the place of the program that is
    declared. Without one, `_BARE` arguments are the package.

    Raises:
        ConfigurationError: there is a command, and the Expert has no program to replace.
    """
    base = expert.skills.get(BASE_SKILL, PLAIN_BASE)
    if command:
        if not isinstance(base, McpStdioSkill):
            raise ConfigurationError(
                f"{expert.key}: the file's perstackBaseSkillCommand starts a base skill, and "
                f"the skill {BASE_SKILL} is no program. Leave one of them out"
            )
        base = replace(base, command=command[0], args=tuple(command[1:]), package_name=None)
    elif isinstance(base, McpStdioSkill) and base.args in _BARE:
        base = replace(base, args=(), package_name=BASE_SKILL)
    else:
        return expert
    return replace(expert, skills={**expert.skills, BASE_SKILL: base})


def has_server(base: Skill) -> bool:
    """Whether a base skill that is declared so is served from elsewhere.

    The package without a version is the one in our process; and where only `OWN_TOOLS`
    are left of it, there is nothing to serve.
    """
    if not isinstance(base, McpStdioSkill | McpSseSkill):
        return False
    if isinstance(base, McpStdioSkill) and base.package_name == BASE_SKILL:
        return False
    return not OWN_TOOLS.issuperset({*(base.pick or BASE_TOOLS)} - {*base.omit})


def own_tools(expert: Expert) -> tuple[ToolDefinition, ...]:
    """The base tools that run in our process, as many as the Expert leaves of them."""
    from perstack.base.table import TOOLS

    base = expert.skills.get(BASE_SKILL, PLAIN_BASE)
    names = OWN_TOOLS if has_server(base) else BASE_TOOLS
    definitions = (tool.definition for tool in TOOLS if tool.definition.name in names)
    return tuple(tool for tool in definitions if reason_against(tool.name, base) is None)


def reason_against(name: str, base: Skill) -> str | None:
    """Why the base tool is not offered, as the end of a sentence, if that is so."""
    if not isinstance(base, McpStdioSkill | McpSseSkill):
        return None
    if base.pick and name not in base.pick:
        return "pick does not name it"
    return "omit names it" if name in base.omit else None


def own_names(name: str, skill: Skill) -> Collection[str]:
    """Tools of a skill that no server has a say in: a run's todos and its end are the run's."""
    package = (skill.package_name or "") if isinstance(skill, McpStdioSkill) else ""
    is_base = name == BASE_SKILL or f"{package}@".startswith(f"{BASE_SKILL}@")
    return OWN_TOOLS if is_base else ()
