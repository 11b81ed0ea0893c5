"""What one `perstack.toml` says."""

from __future__ import annotations

from perstack.schema.base import Data
from perstack.schema.expert import Expert
from perstack.schema.settings import (
    ProviderSettings,
    ReasoningBudget,
)


class Project(Data, kw_only=True):
    """A checked configuration file. What the file does not say is None.

    `origin` names the file or URL, and `path` is where the file lies, by its whole path;
    None where there is none. `warnings` are lines for a person, each with its
    key path; `unknown_keys` are the paths of those that are about unknown keys.
    `experts` are by name. `timeout` is ms.
    """

    origin: str
    path: str | None = None
    model: str | None = None
    reasoning_budget: ReasoningBudget | None = None
    runtime: str | None = None
    max_steps: int | None = None
    max_retries: int | None = None
    timeout: int | None = None
    env_path: tuple[str, ...] | None = None
    perstack_api_base_url: str | None = None
    perstack_base_skill_command: tuple[str, ...] | None = None
    provider: ProviderSettings | None = None
    experts: dict[str, Expert] = {}
    warnings: tuple[str, ...] = ()
    unknown_keys: tuple[str, ...] = ()
