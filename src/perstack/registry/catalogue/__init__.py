"""Experts that ship with the package: one `NAME.toml` beside this file for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perstack.schema.expert import Expert


def catalogue_experts() -> dict[str, Expert]:
    """Every Expert of the catalogue by its key, in the order of their names."""
    from importlib import resources

    from perstack.config.load import parse_config

    files = (file for file in resources.files(__name__).iterdir() if file.name.endswith(".toml"))
    experts: dict[str, Expert] = {}
    for file in sorted(files, key=lambda file: file.name):
        origin = f"catalogue/{file.name}"
        experts |= parse_config(file.read_text(encoding="utf-8"), origin).experts
    return experts
