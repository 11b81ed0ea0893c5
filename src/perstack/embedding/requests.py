"""From options in Python to the one frozen request that a job is started with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar, cast

import msgspec

from perstack.assembly.lock import load_lock
from perstack.config.findings import did_you_mean, quoted
from perstack.config.load import load_config as load_project
from perstack.config.project import Project
from perstack.config.project_table import (
    MAX_REASONING_TOKENS,
    MAX_RETRIES,
    MAX_STEPS,
    REASONING_LEVELS,
    TIMEOUT_MS,
)
from perstack.config.request import Options as CommandLine
from perstack.config.request import RunRequest
from perstack.config.settings import resolve_settings
from perstack.config.starting_model import by_key
from perstack.embedding.expert import ORIGIN
from perstack.errors import UsageError
from perstack.runtime.environment import new_id
from perstack.schema.keys import checked_id, parse_key
from perstack.schema.settings import PROVIDER_NAMES, ProviderSettings, Settings

if TYPE_CHECKING:
    from perstack.embedding.expert import Cast
    from perstack.embedding.options import JobOptions, RuntimeOptions

MAX_JOBS = 1_000_000

_T = TypeVar("_T")


def load_config(path: str | os.PathLike[str] = "perstack.toml") -> Project:
    """The Experts and settings in the `perstack.toml` at `path`.

    Raises:
        ConfigurationError: it is missing, unreadable or wrong; `problems` holds all of them.
    """
    return load_project(Path(path))


def load_env(*paths: str | os.PathLike[str]) -> dict[str, str]:
    """The process's environment, and what the .env files at `paths` add to it.

    A variable of the process wins, then the first file that names it.

    Raises:
        ConfigurationError: a file is missing, unreadable or wrong.
    """
    from perstack.config import dotenv

    return dotenv.load_env([Path(path) for path in paths], os.environ, required=True)


class Shared:
    """What every request of one runtime has in common, checked once.

    Raises:
        UsageError: an option's value cannot be used.
        ConfigurationError: the file's settings do not go together, or its lock is wrong.
    """

    def __init__(self, options: RuntimeOptions) -> None:
        self.config = options.get("config")
        if not isinstance(cast("object", self.config), Project | None):
            raise UsageError("config takes what load_config returns")
        self.lock = load_lock(self.config)
        self.names_model = bool(options.get("provider") or options.get("model"))
        self.settings = _settings(options, self.config or Project(origin=ORIGIN))
        self.max_jobs = _number("max_jobs", options.get("max_jobs"), (1, MAX_JOBS))
        self.gives_max_steps = options.get("max_steps") is not None
        self.workspace = _workspace(options.get("workspace"))
        env = options.get("env")
        self.environ = MappingProxyType(dict(os.environ if env is None else env))
        self.allowed_env = frozenset(options.get("allow_env", ()))

    def request(self, cast_: Cast, query: str | None, options: JobOptions) -> RunRequest:
        """The request that a job is begun or continued with.

        Raises:
            UsageError: the options do not go together.
        """
        project = cast_.project
        parse_key(cast_.key)
        answer = _check_combination(query, options)
        names_model = self.names_model or (project.provider or project.model) is not None
        settings, chosen_by = self.settings, None
        if not names_model:
            settings, chosen_by = by_key(settings, self.environ)
        storage = self.environ.get("PERSTACK_STORAGE_PATH")
        return RunRequest(
            expert_key=cast_.key,
            query=query if answer is None else answer,
            project=project,
            settings=settings,
            workspace=self.workspace,
            environ=self.environ,
            passed_env=self.allowed_env,
            storage_path=Path(storage).absolute() if storage else None,
            base_skill_command=project.perstack_base_skill_command,
            job_id=options.get("job_id") or (None if options.get("continue_job") else new_id()),
            continue_job=options.get("continue_job"),
            resume_from=options.get("resume_from"),
            interactive=answer is not None,
            names_model=names_model,
            chosen_by=chosen_by,
            gives_max_steps=self.gives_max_steps,
        )


def _check_combination(query: str | None, options: JobOptions) -> str | None:
    """The answer for the questions of a job, where one is given."""
    continues = options.get("continue_job")
    answer = options.get("answer")
    for name in ("job_id", "continue_job", "resume_from"):
        if (given := options.get(name)) is not None:
            checked_id(cast("str", given), name)
    if continues is None and options.get("resume_from") is not None:
        raise UsageError("resume_from needs continue_job: the job whose checkpoint it is")
    if continues is None and answer is not None:
        raise UsageError("answer needs continue_job: the job that asks")
    if continues is not None and options.get("job_id") is not None:
        raise UsageError("job_id names a new job; it does not go with continue_job")
    if answer is not None and query is not None:
        raise UsageError("A query and an answer cannot be given at once")
    if continues is None and query is None:
        raise UsageError("query is missing: say what the Expert is to do")
    if not isinstance(cast("object", query), str | None):
        raise UsageError(f"query must be a text, not {type(query).__name__}")
    if query is not None and not query.strip():
        raise UsageError("query is empty")
    if isinstance(answer, Mapping):
        told = [{"toolCallId": call_id, "text": text} for call_id, text in answer.items()]
        return msgspec.json.encode(told).decode()
    return answer


def _settings(options: RuntimeOptions, file: Project) -> Settings:
    provider = options.get("provider")
    own: ProviderSettings | None = None
    name: str | None = None
    if isinstance(provider, str):
        if provider not in PROVIDER_NAMES:
            hint = did_you_mean(provider, PROVIDER_NAMES)
            known = ", ".join(PROVIDER_NAMES)
            raise UsageError(f"provider: {quoted(provider)} is none of {known}{hint}")
        name = provider
    elif isinstance(provider, ProviderSettings):
        own = provider
        name = provider.provider_name
    model = options.get("model")
    if model is None and provider is not None and name is None:
        model = file.model or type(provider).__name__  # an object of yours needs no model's name
    found = resolve_settings(CommandLine(provider=name, model=model), file)
    budget = options.get("reasoning_budget")
    if isinstance(budget, str) and budget not in REASONING_LEVELS:
        raise UsageError(
            f"reasoning_budget: {quoted(budget)} is none of {', '.join(REASONING_LEVELS)}, "
            "and no number of tokens"
        )
    if isinstance(budget, int):
        budget = _number("reasoning_budget", budget, (0, MAX_REASONING_TOKENS))
    return Settings(
        provider=own or found.provider,
        model=found.model,
        reasoning_budget=_first(budget, found.reasoning_budget),
        max_steps=_first(
            _number("max_steps", options.get("max_steps"), MAX_STEPS), found.max_steps
        ),
        max_retries=_first(
            _number("max_retries", options.get("max_retries"), MAX_RETRIES), found.max_retries
        ),
        timeout=_first(_number("timeout", options.get("timeout"), TIMEOUT_MS), found.timeout),
    )


def _first(option: _T | None, otherwise: _T) -> _T:
    return otherwise if option is None else option


def _number(name: str, given: int | None, allowed: tuple[int, int]) -> int | None:
    low, high = allowed
    if given is not None and (isinstance(given, bool) or not low <= given <= high):
        raise UsageError(f"{name}: {given!r} is no whole number from {low} to {high}")
    return given


def _workspace(given: str | os.PathLike[str] | None) -> Path:
    try:
        workspace = Path(os.path.realpath(given or Path.cwd(), strict=True))
        is_folder = workspace.is_dir()
    except (OSError, ValueError):
        is_folder, workspace = False, Path()
    if not is_folder:
        raise UsageError(f"workspace: {str(given)!r} is not a folder that exists")
    return workspace
