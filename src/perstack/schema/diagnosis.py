"""How a run would be resolved, and what is in its way: the document of `perstack doctor --json`."""

from __future__ import annotations

from typing import Literal, TypeAlias

from perstack.schema.base import Data
from perstack.schema.local_model import LocalServer

Severity: TypeAlias = Literal["problem", "warning"]
"""What stands in the way of a run, and what does not."""

Topic: TypeAlias = Literal["configuration", "variables", "model", "experts", "lock", "jobs"]

Source: TypeAlias = Literal["option", "environment", "file"]
"""Where a variable comes from: `--env`, the process's environment, or an .env file."""

Reason: TypeAlias = Literal["option", "perstack.toml", "environment", "demo", "default"]
"""What chose a provider or model: `environment` is a key that is set, `demo` the lack of one."""

LockState: TypeAlias = Literal["none", "current", "older", "unreadable"]

EngineState: TypeAlias = Literal["answers", "silent", "none", "notAsked"]
"""Of a Docker engine: `silent` has a socket and no answer; `notAsked` could be woken, or is far."""


class Finding(Data, omit_defaults=False, kw_only=True):
    """Something to know. `details` are lines of their own; `advice` of a problem is never empty."""

    severity: Severity
    topic: Topic
    message: str
    details: tuple[str, ...] = ()
    advice: str = ""


class Software(Data, omit_defaults=False, kw_only=True):
    """This package and what it runs on. `extras` are those whose packages are installed."""

    perstack: str
    python: str
    executable: str
    platform: str
    extras: tuple[str, ...]


class Places(Data, omit_defaults=False, kw_only=True):
    """Where things are, by their whole paths; `config` may be a URL. None where there is none.

    `jobs` and `cache` are made when they are needed. `env_files` are those that are read.
    """

    config: str | None
    env_files: tuple[str, ...]
    lock: str | None
    lock_state: LockState
    workspace: str
    jobs: str | None
    cache: str | None


class ModelChoice(Data, omit_defaults=False, kw_only=True):
    """The model that would be asked. `model` is None where none is named and there is no default.

    `key` is the variable that holds the provider's key, None where it is not set or none is
    known. `address` is where a provider is asked that is not at its vendor's own address:
    scheme, host and port.
    """

    provider: str
    provider_by: Reason
    model: str | None
    model_by: Reason
    key: str | None
    address: str | None


class FoundKey(Data, omit_defaults=False, kw_only=True):
    """A variable that is set, and is for a provider. Never its value."""

    name: str
    provider: str
    source: Source


class FoundVariable(Data, omit_defaults=False, kw_only=True):
    """A variable that is named like one of ours. Never its value."""

    name: str
    is_known: bool
    source: Source


class MissingVariable(Data, omit_defaults=False, kw_only=True):
    """A variable that a skill requires and that is not set."""

    skill: str
    name: str


class MissingProgram(Data, omit_defaults=False, kw_only=True):
    """A program that would start a skill's server and is not there."""

    skill: str
    command: str


class ExpertNeeds(Data, omit_defaults=False, kw_only=True):
    """An Expert of the project. `is_ready`: nothing but perhaps the model keeps it from running."""

    key: str
    is_ready: bool
    missing_env: tuple[MissingVariable, ...] = ()
    missing_programs: tuple[MissingProgram, ...] = ()


class Program(Data, omit_defaults=False, kw_only=True):
    """A program that skills are started with. `path` is None where it is not on the PATH."""

    name: str
    path: str | None
    version: str | None = None


class Engine(Data, omit_defaults=False, kw_only=True):
    """A Docker engine. `address` is its socket, or what DOCKER_HOST says."""

    state: EngineState
    address: str | None = None
    version: str | None = None


class Backend(Data, omit_defaults=False, kw_only=True):
    """Something that could fence in commands. `detail` says what was found."""

    name: Literal["bubblewrap", "userNamespaces", "landlock"]
    is_available: bool
    detail: str


class Sandbox(Data, omit_defaults=False, kw_only=True):
    """What could fence in commands here, and which of it this version uses: none yet."""

    used: str | None
    backends: tuple[Backend, ...]


class Diagnosis(Data, omit_defaults=False, kw_only=True):
    """All of it. `is_ready`: there is no problem among the findings.

    `model` is None where the configuration cannot be read, which alone could tell.
    `version` is that of this form: fields are added to it, and none is changed.
    """

    version: int = 1
    is_ready: bool
    software: Software
    places: Places
    model: ModelChoice | None
    keys: tuple[FoundKey, ...]
    variables: tuple[FoundVariable, ...]
    unknown_keys: tuple[str, ...]
    experts: tuple[ExpertNeeds, ...]
    local_servers: tuple[LocalServer, ...]
    programs: tuple[Program, ...]
    docker: Engine
    sandbox: Sandbox
    findings: tuple[Finding, ...]
