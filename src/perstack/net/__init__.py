"""The outside: addresses that a file or a registry names, hostile until shown otherwise."""

from __future__ import annotations


class Unreachable(Exception):
    """Why nothing can be asked somewhere, or the answer cannot be read.

    Its message names the address, holds no secret, and is for a person and a model.
    """


class Unasked(Unreachable):
    """The same, where nothing was sent: whoever is there has not heard of it."""
