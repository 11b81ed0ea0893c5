"""Servers that are being started, for a person who may have to wait for them."""

from __future__ import annotations

import sys


def tell_start(expert: str, skill: str) -> None:
    """Say on a terminal whose server is being started: its package may have to be fetched."""
    from perstack.views.plain import plain

    if sys.stderr.isatty():
        sys.stderr.write(f"starting {plain(f'{expert}: {skill}', one_line=True)}\n")
