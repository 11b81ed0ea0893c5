"""`perstack.toml`: found, read, checked as a whole, and turned into a Project."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, cast

import msgspec

from perstack.config.findings import Findings, Place
from perstack.config.project import Project
from perstack.config.project_table import PROJECT
from perstack.config.source import decoded, read_source, shown_path
from perstack.config.toml import parse_toml
from perstack.errors import ConfigurationError, InternalError

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE_NAME = "perstack.toml"


def find_config(cwd: Path) -> Path | None:
    """The nearest `perstack.toml`, in `cwd` or above it.

    Whatever bears the name counts, so that a broken link is an error about that
    link and never a silent step up to another project's file.
    """
    start = Path(os.path.abspath(cwd))  # noqa: PTH100 - links in the path stay as they were typed
    for folder in (start, *start.parents):
        candidate = folder / FILE_NAME
        if os.path.lexists(candidate):
            return candidate
    return None


def load_config(path: Path) -> Project:
    """The Project in the file at `path`.

    Raises:
        ConfigurationError: the file is missing, unreadable or wrong. `problems` then
            holds all that is wrong with its content, each with its key path.
    """
    try:
        source = read_source(path)
    except FileNotFoundError:
        raise ConfigurationError(
            f"{shown_path(path)} does not exist. Name a file with --config, "
            f"or write a {FILE_NAME} here"
        ) from None
    project = parse_config(source, shown_path(path))
    return msgspec.structs.replace(project, path=os.path.abspath(path))  # noqa: PTH100 - links stay


def parse_config(source: str | bytes, origin: str) -> Project:
    """The Project in `source`, which `origin` names in messages.

    Raises:
        ConfigurationError: it is too large, no UTF-8, no TOML, or breaks a rule. All
            broken rules are in `problems`, and what was merely warned about after them.
    """
    return checked_project(parse_toml(decoded(source, origin), origin), origin)


def checked_project(table: Mapping[str, object], origin: str) -> Project:
    """The Project in a table as TOML has it, which `origin` names in messages.

    Raises:
        ConfigurationError: as `parse_config` does for what breaks a rule.
    """
    findings = Findings()
    cleaned = PROJECT(table, Place(findings))
    if findings.errors:
        raise _refused(findings, origin)
    raw = _as_data(cast("dict[str, object]", cleaned))
    try:
        project = msgspec.convert(raw, Project)
    except msgspec.ValidationError as trouble:
        raise InternalError(
            f"{origin} passed every check and still does not fit: {trouble}"
        ) from None
    return msgspec.structs.replace(
        project,
        origin=origin,
        warnings=_with_rest(findings.warnings, findings),
        unknown_keys=tuple(findings.unknown_keys),
    )


def _refused(findings: Findings, origin: str) -> ConfigurationError:
    count = len(findings.errors)
    lines = [*findings.errors, *(f"warning: {line}" for line in findings.warnings)]
    return ConfigurationError(
        f"{origin} has {count} problem{'s' if count > 1 else ''}:", _with_rest(lines, findings)
    )


def _with_rest(lines: list[str], findings: Findings) -> tuple[str, ...]:
    rest = (f"and {findings.left_out} more",) if findings.left_out else ()
    return (*lines, *rest)


def _as_data(table: dict[str, object]) -> dict[str, object]:
    """The checked table in the shape of our own data: names inside, settings flat."""
    experts = cast("dict[str, dict[str, object]]", table.get("experts", {}))
    data: dict[str, object] = {
        **table,
        "origin": "",
        "experts": {name: {"key": name, "name": name, **each} for name, each in experts.items()},
    }
    provider = cast("dict[str, object] | None", table.get("provider"))
    if provider is not None:
        setting = cast("dict[str, object]", provider["setting"])
        data["provider"] = {"providerName": provider["providerName"], **setting}
    return data
