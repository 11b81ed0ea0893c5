"""The folder in which a command is given."""

from __future__ import annotations

from pathlib import Path

from perstack.errors import UsageError


def working_directory() -> Path:
    """Where this process is.

    Raises:
        UsageError: that folder was removed, or may not be looked into.
    """
    try:
        return Path.cwd()
    except OSError:
        raise UsageError("The working directory is not there any more: go to another one") from None
