"""How a run would be resolved here, and what is in its way: looked at, and nothing is changed."""

from __future__ import annotations

import os
import platform
import sys
from typing import TYPE_CHECKING

import anyio

from perstack._version import __version__
from perstack.assembly.doctor.advice import sentence
from perstack.assembly.doctor.docker import docker_engine
from perstack.assembly.doctor.local import local_findings, port_here
from perstack.assembly.doctor.programs import found_programs
from perstack.assembly.doctor.project import (
    expert_needs,
    found_env_files,
    jobs_place,
    read_lock,
)
from perstack.assembly.doctor.sandboxes import sandbox
from perstack.assembly.doctor.variables import found_keys, found_variables, variable_findings
from perstack.assembly.local_models import PORTS, local_servers
from perstack.assembly.lock import lock_path
from perstack.assembly.lock_cache import cache_folder
from perstack.assembly.model_choice import model_choice, model_findings
from perstack.config.load import find_config
from perstack.config.remote import is_url
from perstack.config.resolve import DEFAULT_ENV_PATHS, resolve
from perstack.providers.extras import EXTRAS, is_installed
from perstack.schema.diagnosis import Diagnosis, Finding, Places, Software

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from perstack.assembly.local_models import Search
    from perstack.config.request import Options, RunRequest
    from perstack.config.resolve import Stage
    from perstack.errors import ConfigurationError
    from perstack.schema.diagnosis import Engine, LockState, Topic

_TOPICS: dict[Stage, tuple[Topic, str, str]] = {
    "file": ("configuration", ". ", "Correct it, or name another file with --config."),
    "runtime": ("configuration", "; ", "Leave `runtime` out, or set it to local."),
    "variables": ("variables", "", "Correct it, or take it out."),
    "model": ("model", ": ", "Name a model."),
    "origins": ("variables", ". ", "Export both, or put both into the file."),
    "registry": ("variables", "", "Correct it, or unset it."),
}
"""What a part of the configuration is about; what parts an error's way out from the rest; and
what to do where it says none."""


class Survey:
    """What can be found by looking, and the request that it is about.

    Raises:
        UsageError: an option is wrong.
    """

    def __init__(self, options: Options, cwd: Path, environ: Mapping[str, str]) -> None:
        self.findings: list[Finding] = []
        self._broken: set[Stage] = set()
        self.request = resolve(options, cwd, environ, self._tell)
        request = self.request
        self.findings += [_warning(line) for line in request.warnings]
        self.keys = found_keys(request, environ)
        self.variables = found_variables(request, environ)
        self.findings += variable_findings(self.variables)
        self.model = None
        if "file" not in self._broken:
            self.model = model_choice(options, request)
            if "variables" not in self._broken:
                self.findings += model_findings(request)
        lock_state, lock = read_lock(request, self.findings)
        self.experts = expert_needs(request, lock, self.findings)
        self.places = _places(options, cwd, request, lock_state, self.findings)
        self.sandbox = sandbox(request.environ)
        self.programs = found_programs(request.environ)

    def _tell(self, stage: Stage, problem: ConfigurationError) -> None:
        self._broken.add(stage)
        topic, mark, advice = _TOPICS[stage]
        message = str(problem.args[0])
        if mark and not problem.problems and mark in message:
            message, _, advice = message.rpartition(mark)
        self.findings.append(
            Finding(
                severity="problem",
                topic=topic,
                message=message.rstrip(":"),
                details=problem.problems,
                advice=sentence(advice),
            )
        )


async def diagnose(survey: Survey, ports: Sequence[int] = PORTS) -> Diagnosis:
    """All of it: the survey, and what programs on this machine answer.

    `ports` of the loopback address are looked at for model servers, and the one that a
    run would ask.
    """
    request = survey.request
    chosen = port_here(request) if survey.model is not None else None
    looked_at = (*ports, *(() if chosen is None or chosen in ports else (chosen,)))
    engines: list[Engine] = []
    searches: list[Search] = []

    async def ask_docker() -> None:
        engines.append(await docker_engine(request.environ))

    async def look_for_models() -> None:
        searches.append(await local_servers(looked_at, request.settings.model))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask_docker)
        tasks.start_soon(look_for_models)
    [docker], [search] = engines, searches
    findings = list(survey.findings)
    if survey.model is not None:
        findings += local_findings(request, search)
    return Diagnosis(
        is_ready=all(finding.severity != "problem" for finding in findings),
        software=_software(),
        places=survey.places,
        model=survey.model,
        keys=survey.keys,
        variables=survey.variables,
        unknown_keys=request.project.unknown_keys if request.project is not None else (),
        experts=survey.experts,
        local_servers=search.servers,
        programs=survey.programs,
        docker=docker,
        sandbox=survey.sandbox,
        findings=tuple(findings),
    )


def _warning(line: str) -> Finding:
    is_unknown = "is not a known key" in line
    return Finding(
        severity="warning",
        topic="configuration",
        message=line,
        advice="Correct its name, or take it out." if is_unknown else "",
    )


def _software() -> Software:
    extras = {extra.name: extra.modules for extra in EXTRAS.values()} | {"mcp": ("mcp",)}
    return Software(
        perstack=__version__,
        python=platform.python_version(),
        executable=sys.executable,
        platform=f"{sys.platform} {platform.machine()}",
        extras=tuple(name for name, modules in extras.items() if all(map(is_installed, modules))),
    )


def _places(
    options: Options,
    cwd: Path,
    request: RunRequest,
    lock_state: LockState,
    found: list[Finding],
) -> Places:
    config = options.config
    if config is None:
        nearest = find_config(cwd)
        config = str(nearest) if nearest is not None else None
    elif not is_url(config):
        config = os.path.abspath(cwd / config)  # noqa: PTH100 - links stay
    project = request.project
    told = project.env_path if project is not None else None
    paths = options.env_path or (told if told is not None else DEFAULT_ENV_PATHS)
    has_lock = project is not None and project.path is not None and lock_state != "none"
    cache = cache_folder()
    return Places(
        config=config,
        env_files=found_env_files(tuple(paths), cwd),
        lock=str(lock_path(project.path)) if has_lock and project and project.path else None,
        lock_state=lock_state,
        workspace=str(request.workspace),
        jobs=jobs_place(request, found),
        cache=str(cache) if cache is not None else None,
    )
