"""What the Experts of a project need, and whether their lock, workspace and jobs are in order."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from perstack.assembly.doctor.advice import sentence
from perstack.assembly.experts import Experts
from perstack.assembly.jobs_path import jobs_path
from perstack.assembly.lock import load_lock
from perstack.assembly.tools import check_requirements, missing_variables, servers_of
from perstack.config.source import shown_path
from perstack.errors import ConfigurationError, PerstackError
from perstack.schema.diagnosis import (
    ExpertNeeds,
    Finding,
    MissingProgram,
    MissingVariable,
)
from perstack.schema.skill import McpStdioSkill
from perstack.schema.tool import BASE_SKILL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perstack.assembly.lock import Lock
    from perstack.config.request import RunRequest
    from perstack.schema.diagnosis import LockState
    from perstack.schema.expert import Expert

MAX_EXPERTS = 200
"""Experts that are looked at. A file may hold thousands."""


def read_lock(request: RunRequest, found: list[Finding]) -> tuple[LockState, Lock | None]:
    """The lock of the project, and how it stands to it."""
    try:
        lock = load_lock(request.project, is_kept=False)
    except ConfigurationError as problem:
        found.append(
            Finding(
                severity="problem",
                topic="lock",
                message=str(problem.args[0]).partition("\n")[0],
                details=problem.problems,
                advice="Bring it back from version control, or take it away and write it anew "
                "with `perstack install`.",
            )
        )
        return "unreadable", None
    if lock is None or request.project is None:
        return "none", None
    warnings = [lock.warning(request.project, key) for key in _looked_at(request)]
    told = list(dict.fromkeys(filter(None, warnings)))
    found += [
        Finding(
            severity="warning",
            topic="lock",
            message=line.partition(". ")[0],
            advice="Bring it up to date with `perstack install`.",
        )
        for line in told
    ]
    return ("older" if told else "current"), lock


def expert_needs(
    request: RunRequest, lock: Lock | None, found: list[Finding]
) -> tuple[ExpertNeeds, ...]:
    """What each Expert of the project lacks."""
    experts = Experts(request, lock)
    if request.project is not None and len(request.project.experts) > MAX_EXPERTS:
        found.append(
            Finding(
                severity="warning",
                topic="experts",
                message=f"Only the first {MAX_EXPERTS} of {len(request.project.experts)} Experts "
                "were looked at",
            )
        )
    return tuple(_needs(key, request, experts, found) for key in _looked_at(request))


def _looked_at(request: RunRequest) -> list[str]:
    return list(request.project.experts)[:MAX_EXPERTS] if request.project is not None else []


def _needs(key: str, request: RunRequest, experts: Experts, found: list[Finding]) -> ExpertNeeds:
    assert request.project is not None  # noqa: S101 - the key is from it
    expert = _resolved(request.project.experts[key], experts)
    variables = tuple(
        MissingVariable(skill=name, name=variable)
        for name, skill in expert.skills.items()
        for variable in missing_variables(skill, request)
    )
    programs = tuple(_missing_programs(expert, request))
    problems = [
        *(_no_variable(key, missing) for missing in variables),
        *(_no_program(key, missing, request) for missing in programs),
        *_refusals(key, expert, request, experts, {missing.skill for missing in variables}),
    ]
    found += problems
    found += _lost_delegates(expert, experts)
    return ExpertNeeds(
        key=key, is_ready=not problems, missing_env=variables, missing_programs=programs
    )


def _resolved(declared: Expert, experts: Experts) -> Expert:
    """The Expert as a run has it; as it is declared where none would."""
    try:
        return experts.expert(declared.key)
    except PerstackError:
        return declared


def _missing_programs(expert: Expert, request: RunRequest) -> Iterator[MissingProgram]:
    from perstack.skills.mcp.command import is_installed

    workspace = str(request.workspace)
    for name, skill in servers_of(expert).items():
        if isinstance(skill, McpStdioSkill) and not is_installed(skill, workspace, request.environ):
            yield MissingProgram(skill=name, command=skill.command)


def _refusals(
    key: str, expert: Expert, request: RunRequest, experts: Experts, left_out: set[str]
) -> Iterator[Finding]:
    """What else a run of the Expert would be refused for, those skills left out."""
    skills = {name: skill for name, skill in expert.skills.items() if name not in left_out}
    try:
        experts.expert(key)
        check_requirements(replace(expert, skills=skills), request)
    except PerstackError as problem:
        details = problem.problems if isinstance(problem, ConfigurationError) else ()
        message, _, advice = str(problem.args[0]).rstrip(":").partition(". ")
        yield Finding(
            severity="problem",
            topic="experts",
            message=message.rstrip("."),
            details=details,
            advice=sentence(advice)
            or f"Correct {key} in the configuration, or the variables that it names.",
        )


def _no_variable(key: str, missing: MissingVariable) -> Finding:
    return Finding(
        severity="problem",
        topic="experts",
        message=f"{key}: the skill {missing.skill} needs {missing.name}, which is not set",
        advice=f"Export {missing.name}, or put it in .env.",
    )


def _no_program(key: str, missing: MissingProgram, request: RunRequest) -> Finding:
    from perstack.skills.mcp.command import program_name

    is_ours = missing.skill == BASE_SKILL and request.base_skill_command
    declared = "perstackBaseSkillCommand" if is_ours else "the skill's `command`"
    source = {"npx": "Node.js", "node": "Node.js", "npm": "Node.js", "uvx": "uv"}.get(
        program_name(missing.command)
    )
    return Finding(
        severity="problem",
        topic="experts",
        message=f"{key}: the skill {missing.skill} is started with {missing.command}, "
        "which is not there",
        advice=f"Install {source}, which it comes with."
        if source
        else f"Install it, or correct {declared}.",
    )


def _lost_delegates(expert: Expert, experts: Experts) -> Iterator[Finding]:
    for delegate in expert.delegates:
        try:
            experts.expert(delegate)
        except PerstackError as problem:
            yield Finding(
                severity="warning",
                topic="experts",
                message=f"{expert.key}: its delegate {delegate}: {problem.message}",
                advice=f"Define it, or take it from the delegates of {expert.key}.",
            )


def jobs_place(request: RunRequest, found: list[Finding]) -> str | None:
    """Where jobs are kept; None where they may not be kept where they are to be."""
    try:
        path = jobs_path(request)
    except ConfigurationError as problem:
        message, _, advice = problem.message.partition(". ")
        found.append(
            Finding(severity="problem", topic="jobs", message=message, advice=sentence(advice))
        )
        return None
    if (why := _unwritable(path)) is not None:
        found.append(
            Finding(
                severity="problem",
                topic="jobs",
                message=f"Jobs cannot be kept in {shown_path(path)}: {why}",
                advice="Make it a folder of yours, or name another one with --workspace or "
                "PERSTACK_STORAGE_PATH.",
            )
        )
    return str(path)


def _unwritable(path: Path) -> str | None:
    """Why no job could be begun below a path, as far as looking tells."""
    for place in (path, path / "jobs"):
        name = "it" if place == path else shown_path(place)
        try:
            if not stat.S_ISDIR(place.lstat().st_mode):
                return f"{name} is a link or a file where a real folder must be"
        except FileNotFoundError:
            return _unmade(place)
        except OSError as trouble:
            return trouble.strerror or type(trouble).__name__
        if not os.access(place, os.R_OK | os.W_OK | os.X_OK):
            return f"{name} may not be read and written"
    return None


def _unmade(path: Path) -> str | None:
    """Why a folder that is not there could not be made."""
    folder = next(place for place in path.parents if place.exists())
    if not folder.is_dir():
        return f"{shown_path(folder)} is no folder"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"nothing may be written in {shown_path(folder)}"
    return None


def found_env_files(paths: tuple[str, ...], cwd: Path) -> tuple[str, ...]:
    """The .env files that are there, by their whole paths."""
    places = (os.path.abspath(cwd / path) for path in paths)  # noqa: PTH100 - links stay
    return tuple(place for place in places if os.path.lexists(place))
