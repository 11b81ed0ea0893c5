"""Perstack for Python: run Experts, with every step recorded."""

from perstack._version import __version__

__all__ = ["__version__"]
