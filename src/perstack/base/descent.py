"""Going from one open directory to the next, with one descriptor and never through a link."""

from __future__ import annotations

import contextlib
import os

DIRECTORY = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
"""Flags that open a directory to work from; reading its names needs another open."""


class Descent:
    """Where one stands beneath a directory, and the names on the way there.

    `fd` belongs to whoever made the descent; `top` stays the caller's.
    """

    def __init__(self, top: int) -> None:
        self._top = top
        self.fd = os.dup(top)
        self.names: list[str] = []

    def close(self) -> None:
        """Let go of where one stands."""
        os.close(self.fd)

    def restart(self) -> None:
        """Go back to where it began."""
        self._move(os.dup(self._top))
        self.names.clear()

    def down(self, name: str, *, make: bool = False) -> None:
        """Go into a directory, making it first where `make` allows."""
        if make:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, dir_fd=self.fd)
        self._move(os.open(name, DIRECTORY | os.O_NOFOLLOW, dir_fd=self.fd))
        self.names.append(name)

    def up(self) -> None:
        """Go to the directory above, wherever that is by now."""
        self._move(os.open("..", DIRECTORY, dir_fd=self.fd))
        if self.names:
            self.names.pop()

    def _move(self, fd: int) -> None:
        os.close(self.fd)
        self.fd = fd
