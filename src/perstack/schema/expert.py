"""An Expert: a micro-agent with one role."""

from __future__ import annotations

from perstack.schema.base import Data
from perstack.schema.message import Json
from perstack.schema.skill import Skill


class ExpertRef(Data, kw_only=True):
    """Which Expert: its full key, and the key's parts."""

    key: str
    name: str
    version: str


class Expert(Data, kw_only=True):
    """A definition as it stands in `perstack.toml`, or comes from a registry.

    `key` is how it was asked for and how `delegates` name it. `skills` are by
    name; the base skill is always there and stands here only when narrowed.
    """

    key: str
    name: str
    version: str = "1.0.0"
    min_runtime_version: str | None = None
    description: str = ""
    instruction: str
    delegates: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    skills: dict[str, Skill] = {}
    provider_tools: tuple[str, ...] = ()
    provider_skills: tuple[Json, ...] = ()
    provider_tool_options: Json = {}

    @property
    def ref(self) -> ExpertRef:
        """Its key, name and version alone."""
        return ExpertRef(key=self.key, name=self.name, version=self.version)


class DelegateInfo(Data, kw_only=True):
    """What a delegating Expert knows of a delegate: how to call it and what it is good for."""

    key: str
    tool_name: str
    description: str = ""


class Definition(Data, kw_only=True):
    """Everything about an Expert that a run was started with, resolved and recorded."""

    expert: Expert
    delegates: tuple[DelegateInfo, ...] = ()
