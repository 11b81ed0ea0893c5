"""From options, `perstack.toml` and the environment to one checked request.

An option wins over the file, and the file over the default.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeAlias

from perstack.config.addresses import base_url_problem
from perstack.config.dotenv import load_env
from perstack.config.findings import did_you_mean, quoted
from perstack.config.load import FILE_NAME, find_config, load_config
from perstack.config.origins import STORAGE_VARIABLE, check_origins
from perstack.config.project import Project
from perstack.config.project_table import RUNTIMES
from perstack.config.remote import fetch_config_here, is_url
from perstack.config.request import RunRequest
from perstack.config.settings import provider_settings, resolve_settings
from perstack.config.source import shown_path
from perstack.config.starting_model import by_key
from perstack.errors import ConfigurationError, UsageError
from perstack.schema.keys import checked_id, parse_key
from perstack.schema.settings import Settings
from perstack.schema.variables import variable_problem

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from perstack.config.request import Options

DEFAULT_ENV_PATHS = (".env", ".env.local")

Stage: TypeAlias = Literal["file", "runtime", "variables", "model", "origins", "registry"]
Tell: TypeAlias = "Callable[[Stage, ConfigurationError], None]"
"""Hears what is wrong in a file or variable, and in which part of it all."""


def resolve(
    options: Options, cwd: Path, environ: Mapping[str, str], tell: Tell | None = None
) -> RunRequest:
    """The request that `options` make in the folder `cwd`.

    Reads `perstack.toml` and .env files, and nothing else. A `--config` URL is
    fetched, which waits for the network in this thread. Where there is somebody to
    `tell`, what is wrong in files and variables is told in place of being raised, and the
    request is made without it: it shows how things stand, and is none to run. Its model
    is "" where none is named.

    Raises:
        UsageError: an option is wrong, or does not go with another.
        ConfigurationError: a file or a variable is wrong.
    """
    _check_combination(options)
    _check_names(options)
    workspace = _workspace(options.workspace, cwd)
    project: Project | None = None
    with _told(tell, "file"):
        project = _project(options.config, cwd)
    file = project if project is not None else Project(origin=FILE_NAME)
    warnings = [f"{file.origin}: {line}" for line in (*file.warnings, *_sent_away(file))]
    runtime = "local"
    with _told(tell, "runtime"):
        runtime = _runtime(options.runtime, file)
    merged, passed = dict(environ), frozenset[str]()
    with _told(tell, "variables"):
        merged, passed = _environment(options, file, cwd, environ, warnings)
    settings = Settings(provider=provider_settings(options.provider, file), model="")
    with _told(tell, "model"):
        settings = resolve_settings(options, file)
    names_model = _names_model(options, file)
    chosen_by: str | None = None
    if not names_model:
        settings, chosen_by = by_key(settings, merged)
    if not options.env_path:
        known = environ.keys() | passed
        with _told(tell, "origins"):
            check_origins(settings.provider.provider_name, merged, known, warnings)
    api_base_url: str | None = None
    with _told(tell, "registry"):
        api_base_url = _api_base_url(merged, file)
    return RunRequest(
        expert_key=options.expert_key,
        query=options.query,
        project=project,
        settings=settings,
        workspace=workspace,
        environ=MappingProxyType(merged),
        passed_env=passed,
        storage_path=_storage_path(merged, cwd),
        api_base_url=api_base_url,
        base_skill_command=file.perstack_base_skill_command,
        job_id=options.job_id,
        continue_latest=options.continue_latest,
        continue_job=options.continue_job,
        resume_from=options.resume_from,
        interactive=options.interactive,
        runtime=runtime,
        gives_max_steps=options.max_steps is not None,
        names_model=names_model,
        chosen_by=chosen_by,
        verbose=options.verbose,
        warnings=tuple(warnings),
    )


@contextmanager
def _told(tell: Tell | None, stage: Stage) -> Generator[None]:
    try:
        yield
    except ConfigurationError as problem:
        if tell is None:
            raise
        tell(stage, problem)


def _names_model(options: Options, file: Project) -> bool:
    named = (options.provider, options.model, file.provider, file.model)
    return any(given is not None for given in named)


def _check_combination(options: Options) -> None:
    """Which options go together."""
    continues = options.continue_latest or options.continue_job is not None
    if options.continue_latest and options.continue_job is not None:
        raise UsageError("--continue and --continue-job exclude each other; give one of them")
    if continues and options.job_id is not None:
        raise UsageError("--job-id names a new job; it does not go with --continue")
    if options.resume_from is not None and not continues:
        raise UsageError("--resume-from needs --continue or --continue-job: a job to resume in")
    if options.interactive and not continues:
        raise UsageError("-i answers a job's call; it needs --continue or --continue-job")
    if options.interactive and options.query is None:
        raise UsageError("-i needs the answer, in the place of QUERY")
    if options.requires_query and options.query is None and not continues:
        raise UsageError("QUERY is missing: say what to do, or '-' to read it from standard input")


def _check_names(options: Options) -> None:
    """Keys, ids and texts on their own."""
    if options.expert_key is not None:
        parse_key(options.expert_key)
    if options.job_id is not None:
        checked_id(options.job_id, "job id (--job-id)")
    if options.continue_job is not None:
        checked_id(options.continue_job, "job id (--continue-job)")
    if options.resume_from is not None:
        checked_id(options.resume_from, "checkpoint id (--resume-from)")
    if options.query is not None:
        if not options.query.strip():
            raise UsageError("QUERY is empty")
        try:
            options.query.encode()
        except UnicodeEncodeError:
            raise UsageError("QUERY is not valid UTF-8") from None


def _workspace(option: str | None, cwd: Path) -> Path:
    try:
        workspace = Path(os.path.realpath(cwd / (option or ""), strict=True))
        is_folder = workspace.is_dir()
    except (OSError, ValueError):
        is_folder = False
        workspace = cwd
    if option == "" or not is_folder:
        shown = quoted(option) if option is not None else "the working directory"
        raise UsageError(f"--workspace: {shown} is not a folder that exists")
    return workspace


def _project(option: str | None, cwd: Path) -> Project | None:
    if option is not None:
        return fetch_config_here(option) if is_url(option) else load_config(cwd / option)
    path = find_config(cwd)
    return load_config(path) if path is not None else None


def _sent_away(file: Project) -> list[str]:
    """Where a file from the web has credentials sent."""
    if not is_url(file.origin):
        return []
    places = {
        "provider.setting.baseUrl": file.provider.base_url if file.provider else None,
        "perstackApiBaseUrl": file.perstack_api_base_url,
    }
    return [
        f"{key}: requests, and the key with them, go to {url}" for key, url in places.items() if url
    ]


def _runtime(option: str | None, file: Project) -> str:
    name = option if option is not None else file.runtime or "local"
    if name == "local":
        return name
    source = f"{file.origin}: runtime" if option is None else "--runtime"
    fail = ConfigurationError if option is None else UsageError
    if name not in RUNTIMES:
        raise fail(f"{source}: {quoted(name)} is no runtime{did_you_mean(name, RUNTIMES)}")
    when = "not in this version yet" if name == "docker" else "not in this version"
    raise fail(f"{source}: {name} is {when}; use --runtime local")


def _environment(
    options: Options,
    file: Project,
    cwd: Path,
    environ: Mapping[str, str],
    warnings: list[str],
) -> tuple[dict[str, str], frozenset[str]]:
    """All variables, and the names of those given with `--env`."""
    if options.env_path:
        paths = [cwd / path for path in options.env_path]
        merged = load_env(paths, environ, required=True, warn=warnings.append)
    else:
        paths = _default_env_paths(file, cwd, warnings)
        merged = load_env(paths, environ, warn=warnings.append)
    passed: set[str] = set()
    for option in options.env:
        name, equals, value = option.partition("=")
        if (problem := variable_problem(name)) is not None:
            raise UsageError(f"--env takes NAME or NAME=VALUE; the name {problem}")
        if not equals and name not in merged:
            raise UsageError(f"--env {name}: there is no such variable in the environment")
        if any(character in value for character in "\0\n\r"):
            raise UsageError(f"--env {name}: the value holds a line break or a NUL character")
        if equals:
            merged[name] = value
        passed.add(name)
    return merged, frozenset(passed)


def _default_env_paths(file: Project, cwd: Path, warnings: list[str]) -> list[Path]:
    """The .env files to read where the command line names none."""
    if file.env_path is not None and is_url(file.origin):
        # A file from the web does not say which of this machine's secrets are read.
        warnings.append(f"{file.origin}: envPath is ignored; use --env-path")
    elif file.env_path is not None:
        paths = [cwd / path for path in file.env_path]
        warnings += [
            f"{file.origin}: envPath: {shown_path(path)} does not exist"
            for path in paths
            if not os.path.lexists(path)
        ]
        return paths
    return [cwd / path for path in DEFAULT_ENV_PATHS]


def _storage_path(environ: Mapping[str, str], cwd: Path) -> Path | None:
    named = environ.get(STORAGE_VARIABLE)
    return Path(os.path.abspath(cwd / named)) if named else None  # noqa: PTH100 - links stay


def _api_base_url(environ: Mapping[str, str], file: Project) -> str | None:
    named = environ.get("PERSTACK_API_BASE_URL")
    if not named:
        return file.perstack_api_base_url
    if (problem := base_url_problem(named, "anywhere")) is not None:
        raise ConfigurationError(f"PERSTACK_API_BASE_URL {problem}")
    return named
