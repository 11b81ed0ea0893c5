"""What a lock says, kept in a form that is read quickly.

One file for each content of a lock, in `perstack/locks/` of the user's cache folder
(`XDG_CACHE_HOME`, else `~/.cache`). It is not believed: what was kept must have the sum
that stands at the head of the lock itself. So whoever can write there, a command of an
Expert say, can make a run slower and nothing else. A lock without a sum is not kept.
Nothing that goes wrong here is an error; the lock is parsed then.
"""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import suppress
from pathlib import Path

import msgspec

from perstack._version import __version__
from perstack.config.source import read_source
from perstack.errors import ConfigurationError
from perstack.schema.lockfile import Lockfile, canonical, integrity_of

MAX_KEPT = 64
"""Entries; those that were written first go first."""

_MAX_BYTES = 64 * 1024 * 1024
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_SUM = re.compile(rb'^integrity = "(sha256-[A-Za-z0-9+/=]{44})"$', re.MULTILINE)
_ENTRY = re.compile(r"[0-9a-f]{64}|\.[0-9a-f]{64}\.[0-9]+")
"""A name of an entry, and of one that was being written when its process was killed."""


def cached(source: bytes) -> Lockfile | None:
    """What the lock of this text says, where it was kept."""
    wanted = _sum_of(source)
    path = _path(source)
    if wanted is None or path is None:
        return None
    try:
        data = read_source(path, _MAX_BYTES)
        return msgspec.json.decode(data, type=Lockfile) if integrity_of(data) == wanted else None
    except (FileNotFoundError, ConfigurationError, msgspec.MsgspecError):
        return None


def keep(source: bytes, lockfile: Lockfile) -> None:
    """Keep what the lock of this text says, whole or not at all."""
    path = _path(source)
    if path is None or _sum_of(source) is None:
        return
    with suppress(OSError):
        for folder in (path.parents[2], path.parents[1], path.parent):
            folder.mkdir(mode=0o700, exist_ok=True)  # but no home that is not there
        _write(path, canonical(lockfile))
        _drop_oldest(path.parent)


def _write(path: Path, data: bytes) -> None:
    """Put an entry at `path`. What could not be written whole, on a full disk say, is no more."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(fresh, _NEW, 0o600), "wb") as file:
            file.write(data)
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise


def _sum_of(source: bytes) -> str | None:
    """The sum of the whole, as it stands before the first table."""
    found = _SUM.search(source.partition(b"\n[")[0])
    return found[1].decode() if found else None


def cache_folder() -> Path | None:
    """Where entries are kept; None where nothing says which folder is for caches.

    The process's own environment says where: a .env file has no say in where we write.
    """
    for variable, below in (("XDG_CACHE_HOME", ""), ("HOME", ".cache")):
        given = os.environ.get(variable, "")
        if given.startswith("/"):
            return Path(given, below, "perstack", "locks")
    return None


def _path(source: bytes) -> Path | None:
    """Where the entry for this text is, for this version of Perstack."""
    name = hashlib.sha256(b"%s\n%s" % (__version__.encode(), source)).hexdigest()
    folder = cache_folder()
    return folder / name if folder is not None else None


def _drop_oldest(folder: Path) -> None:
    """Let the oldest entries go. Whatever else lies there is not ours."""
    paths = [path for path in folder.iterdir() if _ENTRY.fullmatch(path.name)]
    if len(paths) > MAX_KEPT:
        paths.sort(key=lambda path: path.lstat().st_mtime_ns)
        for path in paths[:-MAX_KEPT]:
            with suppress(OSError):  # a folder that somebody put there
                path.unlink()
