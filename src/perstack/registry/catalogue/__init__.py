"""Experts that ship with the package: one `NAME.toml` beside this file for each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perstack.schema.expert import Expert


def catalogue_experts() -> dict[str, Expert]:
    """Every Expert of the catalogue by its key, in the order of their names."""
    from perstack.config.load import parse_config

    experts: dict[str, Expert] = {}
    for file in sorted(Path(__file__).parent.glob("*.toml")):  # `resources` would load zipfile
        origin = f"catalogue/{file.name}"
        experts |= parse_config(file.read_text(encoding="utf-8"), origin).experts
    return experts
