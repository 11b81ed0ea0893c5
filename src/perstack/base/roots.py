"""The open directories of workspaces: one descriptor for all toolboxes of this process."""

from __future__ import annotations

import os
import threading
from typing import NamedTuple

from perstack.base.descent import DIRECTORY


class Ident(NamedTuple):
    """What a directory is, whatever it is called."""

    device: int
    inode: int

    @classmethod
    def of(cls, found: os.stat_result) -> Ident:
        """What was found."""
        return cls(found.st_dev, found.st_ino)


class Root:
    """An open directory. Its descriptor is only worked from: nobody moves it or reads names."""

    def __init__(self, path: str, ident: Ident, fd: int) -> None:
        self.path = path
        self.ident = ident
        self.fd = fd
        self.holders = 0


_ROOTS: dict[tuple[str, Ident], Root] = {}
_LOCK = threading.Lock()


def hold(path: str) -> Root:
    """The directory that stands at `path` now, open until `let_go`. Raises `OSError`.

    Who holds it already shares its descriptor. While it is open nothing else can have
    its inode, so that what was put in its place since is another one.
    """
    fd = os.open(path, DIRECTORY)
    with _LOCK:
        ident = Ident.of(os.fstat(fd))
        root = _ROOTS.get((path, ident))
        if root is None:
            root = _ROOTS[path, ident] = Root(path, ident, fd)
        else:
            os.close(fd)
        root.holders += 1
    return root


def let_go(root: Root) -> None:
    """Close it with its last holder."""
    with _LOCK:
        root.holders -= 1
        if root.holders == 0:
            del _ROOTS[root.path, root.ident]
            os.close(root.fd)
