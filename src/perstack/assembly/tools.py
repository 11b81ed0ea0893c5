"""Which tools a run has, and what they need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perstack.assembly.base_skill import has_server, own_names, own_tools
from perstack.errors import ConfigurationError
from perstack.schema.skill import McpSseSkill, McpStdioSkill
from perstack.schema.tool import BASE_SKILL, BASE_TOOLS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

    from perstack.assembly.lock import Lock
    from perstack.config.request import RunRequest
    from perstack.kernel.state import RunState
    from perstack.runtime.environment import OpenToolbox
    from perstack.runtime.hands import Admit
    from perstack.schema.event import RuntimeEvent
    from perstack.schema.expert import Definition, Expert
    from perstack.schema.skill import Skill
    from perstack.skills import ToolSource
    from perstack.skills.functions import FunctionTool
    from perstack.skills.mcp import Note, Surroundings
    from perstack.skills.mcp.skills import McpSkills


def check_requirements(expert: Expert, request: RunRequest) -> None:
    """Every variable that a skill requires is there and may be had, before any model is asked.

    Raises:
        ConfigurationError: naming each skill and variable.
    """
    _check_keys(expert, request)
    _check_count(expert)
    problems = tuple(
        f"skill {name} needs {variable}"
        for name, skill in expert.skills.items()
        for variable in missing_variables(skill, request)
    )
    if problems:
        raise ConfigurationError(
            f"Variables that {expert.key} needs are not set. Export them, or put them in .env:",
            problems,
        )
    _check_headers(expert, request)


def _check_headers(expert: Expert, request: RunRequest) -> None:
    """What remote servers are sent can be sent."""
    for name, skill in expert.skills.items():
        if problem := header_problem(skill, request):
            raise ConfigurationError(f"{expert.key}: skill {name}: {problem}")


def header_problem(skill: Skill, request: RunRequest) -> str:
    """Why a remote server cannot be sent what its skill declares; empty where it can."""
    if isinstance(skill, McpSseSkill):
        from perstack.skills.mcp.address import address_of

        try:
            address_of(skill, request.environ)
        except ConfigurationError as problem:
            return problem.message
    return ""


def missing_variables(skill: Skill, request: RunRequest) -> tuple[str, ...]:
    """The variables that a skill requires and that are not set."""
    return tuple(each for each in _variables(skill) if not request.environ.get(each))


def _variables(skill: Skill) -> tuple[str, ...]:
    """What a skill requires: for its server's environment, or for the headers it is sent."""
    if isinstance(skill, McpStdioSkill):
        return skill.required_env
    if isinstance(skill, McpSseSkill):
        from perstack.skills.mcp.address import variables_of

        return variables_of(skill)
    return ()


def _check_count(expert: Expert) -> None:
    from perstack.runtime.hands import MOST_SERVERS

    count = len(servers_of(expert))
    if count > MOST_SERVERS:
        raise ConfigurationError(
            f"{expert.key} declares {count} MCP skills, and a run starts at most {MOST_SERVERS}. "
            "Spread them over several Experts"
        )


def servers_of(expert: Expert) -> dict[str, McpStdioSkill | McpSseSkill]:
    """The skills whose servers are started or reached. The bundled base skill has none."""
    return {
        name: skill
        for name, skill in expert.skills.items()
        if isinstance(skill, McpStdioSkill | McpSseSkill)
        and (name != BASE_SKILL or has_server(skill))
    }


def started_at_once(expert: Expert, lock: Lock | None) -> int:
    """How many servers a run starts before its model is asked, where it has had no step yet."""
    locked: Collection[str] = lock.tools_of(expert) if lock else ()
    return sum(
        isinstance(skill, McpStdioSkill) and name not in locked and not skill.lazy_init
        for name, skill in servers_of(expert).items()
    )


def _check_keys(expert: Expert, request: RunRequest) -> None:
    problems = tuple(
        f"skill {name} asks for {variable}"
        for name, skill in expert.skills.items()
        for variable in withheld_keys(skill, request)
    )
    if problems:
        raise ConfigurationError(
            f"{expert.key} would hand the key of the model's provider to a skill. Where that is "
            "meant, name the variable with --env NAME (allow_env, from Python):",
            problems,
        )


def _keys(request: RunRequest) -> set[str]:
    """Variables that hold keys of models' providers, set or not."""
    from perstack.config.origins import ACCESS

    keys = {key for access in ACCESS.values() for key in access.keys}
    if request.settings.provider.provider_name not in ACCESS:  # another vendor is behind it
        keys |= {name for name in request.environ if name.endswith("_API_KEY")}
    return keys | {"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}


def withheld_keys(skill: Skill, request: RunRequest) -> tuple[str, ...]:
    """What a skill requires of the model's key, which is for the model alone.

    A person may say otherwise, by its name.
    """
    from perstack.config.origins import ACCESS

    access = ACCESS.get(request.settings.provider.provider_name)
    kept = set(access.keys if access else ()) - request.passed_env
    return tuple(variable for variable in _variables(skill) if variable in kept)


def _nothing() -> None:
    """There is nothing to do meanwhile."""


def toolboxes(
    request: RunRequest,
    functions: Mapping[str, Sequence[FunctionTool]],
    lock: Lock | None = None,
    meanwhile: Callable[[], None] = _nothing,
) -> OpenToolbox:
    """How a run's tools are opened: base tools, functions, MCP skills, delegates and questions.

    `functions` are by Expert name. The skills that the `lock` has as they are declared are
    not started before they are called. `meanwhile` is called when a run's servers have been
    started and nothing has come of them yet.
    """

    def open_toolbox(
        definition: Definition,
        state: Callable[[], RunState],
        *,
        note: Callable[[RuntimeEvent], Awaitable[None]],
        admit: Admit,
        may_ask: bool,
    ) -> ToolSource:
        from perstack.base import BaseTools
        from perstack.skills.delegates import delegate_tools
        from perstack.skills.interactive import interactive_tools
        from perstack.skills.toolbox import Toolbox

        base = BaseTools(
            workspace=request.workspace,
            todos=lambda: state().todos,
            omit={*BASE_TOOLS} - {tool.name for tool in own_tools(definition.expert)},
            environ=request.environ,
        )
        delegates = delegate_tools(definition)
        questions = interactive_tools(definition.expert)
        sources: list[ToolSource] = [base]
        last: list[ToolSource] = []
        if given := functions.get(definition.expert.name):
            from perstack.skills.functions import FunctionTools

            sources.append(FunctionTools(given))
        if servers := servers_of(definition.expert):
            from perstack.skills.mcp.skills import McpSkills

            others = (*delegates, *questions, *(tool.definition for tool in given or ()))
            last.append(
                McpSkills(
                    servers,
                    surroundings(request, note)._replace(admit=admit, meanwhile=meanwhile),
                    taken=[tool.name for tool in others],
                    locked=lock.tools_of(definition.expert) if lock else {},
                    opened=state().opened_skills,
                    lost=state().lost_skills,
                )
            )
        return Toolbox(sources, [*delegates, *(questions if may_ask else ())], last)

    return open_toolbox


def surroundings(request: RunRequest, note: Note) -> Surroundings:
    """What the servers of a request's skills are started in."""
    from perstack.skills.mcp import Surroundings

    keys = _keys(request)
    return Surroundings(request.workspace, request.environ, note, keys=keys, own=own_names)


def open_skills(
    request: RunRequest, expert: Expert, note: Note, taken: Collection[str]
) -> McpSkills:
    """The MCP skills of an Expert alone, not yet entered, and started whatever a lock says.

    `taken` are names that no tool of theirs may have.
    """
    from perstack.skills.mcp.skills import McpSkills

    servers = servers_of(expert)
    return McpSkills(servers, surroundings(request, note), taken=taken, opened=tuple(servers))


def unbounded_skills(expert: Expert) -> tuple[str, ...]:
    """Names of skills whose servers are started and not held to their `allowed_domains`.

    One that is reached over the network is held to them: they name where it may be.
    """
    return tuple(
        name
        for name, skill in servers_of(expert).items()
        if isinstance(skill, McpStdioSkill) and skill.allowed_domains
    )
