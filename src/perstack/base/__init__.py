"""@perstack/base: the tools every Expert has.

Importing this package loads nothing; its names are loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perstack.base.caps import Caps
    from perstack.base.tools import BaseTools

__all__ = ["BaseTools", "Caps"]


def __getattr__(name: str) -> object:
    if name == "BaseTools":
        from perstack.base.tools import BaseTools

        return BaseTools
    if name == "Caps":
        from perstack.base.caps import Caps

        return Caps
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
