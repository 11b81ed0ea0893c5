"""The file `perstack.lock`: read to be compared, and replaced as a whole."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec.structs import replace

from perstack.config.lock import parse_lock
from perstack.config.lock_text import lock_text
from perstack.config.source import read_source, reason, shown_path
from perstack.errors import ConfigurationError, StorageError
from perstack.schema.lockfile import MAX_LOCK_BYTES

if TYPE_CHECKING:
    from pathlib import Path

    from perstack.schema.lockfile import Lockfile

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def read_lock(path: Path) -> Lockfile:
    """The lock at `path`.

    Raises:
        ConfigurationError: there is none, or it cannot be read.
    """
    try:
        return parse_lock(read_source(path, MAX_LOCK_BYTES), shown_path(path))
    except FileNotFoundError:
        raise ConfigurationError(
            f"--frozen: there is no {shown_path(path)} to compare with. "
            "Write it with `perstack install`, and keep it with your project"
        ) from None


def write_lock(lock: Lockfile, path: Path) -> bool:
    """Put the lock at `path`: all of it, or nothing. False where nothing changed.

    The file is then left as it is, with the time at which it was generated. A link
    in its place is replaced, and not followed.

    Raises:
        ConfigurationError: the tools are more than a lock may hold.
        StorageError: it could not be written; what was there before still is.
    """
    text = _text(lock)
    before, known = _found(path)
    if known is not None and before == _text(replace(lock, generated_at=known.generated_at)):
        return False
    _replace(path, text)
    return True


def _text(lock: Lockfile) -> bytes:
    """The bytes of the file, which can be read back."""
    text = lock_text(lock).encode()
    try:
        parse_lock(text, "The lock of so many tools")
    except ConfigurationError as trouble:
        why = trouble.message.partition("\n")[0]
        raise ConfigurationError(f"Nothing was locked. {why}") from None
    return text


def _found(path: Path) -> tuple[bytes, Lockfile | None]:
    """What is there now; nothing for what is no lock."""
    try:
        before = b"" if path.is_symlink() else read_source(path, MAX_LOCK_BYTES)
        return before, parse_lock(before, shown_path(path))
    except (FileNotFoundError, ConfigurationError):
        return b"", None


def _replace(path: Path, text: bytes) -> None:
    from perstack.storage.folders import sync, sync_above, write_whole

    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, _NEW, 0o666)
        try:
            write_whole(descriptor, text)
            sync(descriptor)
        finally:
            os.close(descriptor)
        fresh.replace(path)
    except OSError as error:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise StorageError(f"Cannot write {shown_path(path)}: {reason(error)}") from error
    sync_above(path.parent)
