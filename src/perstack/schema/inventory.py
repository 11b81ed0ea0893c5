"""What Experts are offered: the document of `perstack skills --json`."""

from __future__ import annotations

from typing import Literal, TypeAlias

from perstack.schema.base import Data
from perstack.schema.message import Json
from perstack.schema.tool import Effect

Kind: TypeAlias = Literal["base", "mcpStdioSkill", "mcpSseSkill", "interactiveSkill", "delegates"]
"""A type of `perstack.toml`, or what every Expert has without a declaration."""


class OfferedTool(Data, omit_defaults=False, kw_only=True):
    """A tool as the model sees it. `tool` is its name at its own place, `name` the model's."""

    name: str
    tool: str
    description: str
    input_schema: Json
    effect: Effect = "unknown"


class LeftOut(Data, omit_defaults=False, kw_only=True):
    """A tool that is not offered. `reason` is the end of a sentence."""

    tool: str
    reason: str


class StartUp(Data, omit_defaults=False, kw_only=True):
    """How long a server took, in ms: until it was a process, answered, and had listed its tools."""

    spawn_ms: float
    handshake_ms: float
    discovery_ms: float
    total_ms: float


class SkillEntry(Data, omit_defaults=False, kw_only=True):
    """A skill, and what it offers.

    `command` is what starts its server, with all arguments; `server` is the name and version
    that the server gives. `is_locked`: a run has its tools from `perstack.lock`. `problem` says
    why it does not work, in one or more lines of which the first is ours, and `advice` what to
    do; both are empty where it works. `missing_env` are variables that it requires and that are
    not set. `notes` are warnings of the server or about its list of tools.
    """

    name: str
    type: Kind
    is_working: bool = True
    is_locked: bool = False
    command: tuple[str, ...] = ()
    endpoint: str | None = None
    server: Json | None = None
    start_up: StartUp | None = None
    missing_env: tuple[str, ...] = ()
    problem: str = ""
    advice: str = ""
    tools: tuple[OfferedTool, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()


class ExpertEntry(Data, omit_defaults=False, kw_only=True):
    """An Expert with its skills: the base skill, its own in their order, and its delegates."""

    key: str
    version: str
    description: str
    skills: tuple[SkillEntry, ...]


class Inventory(Data, omit_defaults=False, kw_only=True):
    """All of it. `config` names the `perstack.toml`; `is_working`: all skills of all Experts work.

    `version` is that of this form: fields are added to it, and none is changed.
    """

    version: int = 1
    config: str | None
    is_working: bool
    warnings: tuple[str, ...]
    experts: tuple[ExpertEntry, ...]
