"""Where jobs are kept, which is where no tool reaches them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from perstack.errors import ConfigurationError

if TYPE_CHECKING:
    from perstack.config.request import RunRequest


def jobs_path(request: RunRequest) -> Path:
    """The request's: `perstack/` in its workspace, or PERSTACK_STORAGE_PATH.

    Raises:
        ConfigurationError: it lies in the workspace, where tools could reach it.
    """
    path = request.storage_path or request.workspace / "perstack"
    check_place(path, request.workspace, "PERSTACK_STORAGE_PATH")
    return path


def check_place(path: Path, workspace: Path, told: str) -> None:
    """Jobs are kept where no tool reaches them. `told` is what named `path`.

    Raises:
        ConfigurationError: it lies in the workspace.
    """
    real = Path(os.path.realpath(path))  # which leaves links that lead nowhere as they are
    if path != workspace / "perstack" and real.is_relative_to(workspace):
        raise ConfigurationError(
            f"{told} is {path}, inside the workspace {workspace}: tools "
            "could reach it there. Name a folder outside, or leave it out to use perstack/"
        )
