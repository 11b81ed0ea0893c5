"""A `perstack.toml` read as a run reads it, and every delegate in it looked up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from perstack.assembly.experts import Experts
from perstack.assembly.lock import load_lock
from perstack.assembly.tools import unbounded_skills
from perstack.config.findings import Findings, Place
from perstack.config.load import find_config
from perstack.config.remote import is_url
from perstack.config.resolve import resolve
from perstack.config.source import shown_path
from perstack.errors import ConfigurationError
from perstack.schema.config_report import ConfigReport
from perstack.schema.keys import parse_key
from perstack.schema.skill import InteractiveSkill

if TYPE_CHECKING:
    from pathlib import Path

    from perstack.config.project import Project
    from perstack.config.request import Options, RunRequest
    from perstack.config.resolve import Stage
    from perstack.schema.expert import Expert

_WARNING = "warning: "
"""What begins a line of `ConfigurationError.problems` that is none."""


def check_config(options: Options, cwd: Path) -> ConfigReport:
    """What is wrong with the file that a run with `options` in the folder `cwd` would read.

    `expert_key` narrows the look at delegates to that Expert and those it may come to ask.
    No variable of the environment counts, nothing is started, and no model is asked.

    Raises:
        UsageError: an option is wrong.
        ConfigurationError: there is no file, or no such Expert in it.
    """
    config = options.config if options.config is not None else _found(cwd)
    origin = config if is_url(config) else shown_path(cwd / config)
    told: dict[Stage, ConfigurationError] = {}
    request = resolve(replace(options, config=config), cwd, {}, told.__setitem__)
    if request.project is None:
        return _unusable(origin, told["file"])
    # What an option of a run can set right is no fault of the file's.
    warnings = [*request.project.warnings]
    warnings += [told[stage].message for stage in ("runtime", "model") if stage in told]
    experts, found = _looked_up(request, request.project)
    warnings += found.warnings
    return ConfigReport(
        config=origin,
        is_clean=not found.errors,
        experts=experts,
        problems=tuple(_line(problem, origin) for problem in found.errors),
        warnings=tuple(_line(warning, origin) for warning in warnings),
    )


def _found(cwd: Path) -> str:
    path = find_config(cwd)
    if path is None:
        raise ConfigurationError(
            "There is no perstack.toml here or in a folder above. Write one with `perstack init`, "
            "or name one with --config"
        )
    return str(path)


def _unusable(origin: str, trouble: ConfigurationError) -> ConfigReport:
    """A file that cannot be read, or breaks rules: without them, the headline is the problem."""
    lines = trouble.problems or (trouble.message,)
    warnings = [line for line in lines if line.startswith(_WARNING)]
    return ConfigReport(
        config=origin,
        is_clean=False,
        experts=(),
        problems=tuple(_line(line, origin) for line in lines if line not in warnings),
        warnings=tuple(_line(line.removeprefix(_WARNING), origin) for line in warnings),
    )


def _looked_up(request: RunRequest, project: Project) -> tuple[tuple[str, ...], Findings]:
    """The Experts of the file that were looked at, and what is wrong or odd with each."""
    findings = Findings()
    try:
        experts = Experts(request, load_lock(project, is_kept=False))
    except ConfigurationError as trouble:
        findings.errors.append(trouble.message)
        return (), findings
    if request.expert_key is not None:
        experts.expert(request.expert_key)
    place = Place(findings).at("experts")
    waiting = [request.expert_key] if request.expert_key is not None else [*project.experts]
    looked: dict[str, None] = {}
    while waiting:
        name = parse_key(waiting.pop(0)).name
        if name in looked or name not in project.experts:
            continue
        looked[name] = None
        waiting += _delegates(experts, name, place.named(name))
    return tuple(looked), findings


def _delegates(experts: Experts, name: str, place: Place) -> list[str]:
    """The keys of an Expert's delegates that are found; it tells of the others."""
    try:
        expert = experts.expert(name)
    except ConfigurationError as trouble:
        place.error(trouble.message)
        return []
    for skill in unbounded_skills(expert):
        at = place.at("skills").named(skill).at("allowedDomains")
        at.warn("is not enforced in this version for a server that is started here")
    found: list[str] = []
    for index, key in enumerate(expert.delegates):
        at = place.at("delegates").item(index)
        try:
            _look_at_delegate(experts.expert(key), at)
        except ConfigurationError as trouble:
            at.error(trouble.message)
        else:
            found.append(key)
    return found


def _look_at_delegate(delegate: Expert, place: Place) -> None:
    """Tell of what is allowed, and will not be what was meant."""
    if not delegate.description.strip():
        place.warn(f"{delegate.name} has no description, which is all that is known of it here")
    for name, skill in delegate.skills.items():
        if isinstance(skill, InteractiveSkill):
            place.warn(
                f"the tools of {delegate.name}'s skill {name} wait for a person, and are not "
                "offered to a delegate"
            )


def _line(text: str, origin: str) -> str:
    """One line, which names the file."""
    line = " ".join(text.split("\n"))
    return line if line.startswith(origin) else f"{origin}: {line}"
