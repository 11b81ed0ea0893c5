"""Bytes and text from files a user names, read so that nothing hangs and nothing swells."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from perstack.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

MAX_SOURCE_BYTES = 1024 * 1024
"""The most a configuration or .env file may hold: 1 MiB."""


def read_source(path: Path, limit: int = MAX_SOURCE_BYTES) -> bytes:
    """The whole of a regular file of at most `limit` bytes, whole MiB.

    The file is opened without waiting and looked at before it is read, so a FIFO
    does not block, and a sparse terabyte costs nothing.

    Raises:
        FileNotFoundError: there is no such file.
        ConfigurationError: it is no regular file, too large, or unreadable.
    """
    shown = shown_path(path)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as trouble:
        raise ConfigurationError(f"{shown} cannot be read: {reason(trouble)}") from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ConfigurationError(f"{shown} is not a regular file")
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(limit + 1)
    except OSError as trouble:
        raise ConfigurationError(f"{shown} cannot be read: {reason(trouble)}") from None
    finally:
        os.close(descriptor)
    check_size(len(data), shown, limit)
    return data


def check_size(size: int, origin: str, limit: int = MAX_SOURCE_BYTES) -> None:
    """Refuse more than `limit` bytes, whole MiB.

    Raises:
        ConfigurationError: there is more.
    """
    if size > limit:
        raise ConfigurationError(
            f"{origin} is larger than {limit >> 20} MiB, the most such a file may hold"
        )


def decoded(source: str | bytes, origin: str, limit: int = MAX_SOURCE_BYTES) -> str:
    """`source` as text, without a byte order mark.

    Raises:
        ConfigurationError: it is larger than `limit` bytes, or not UTF-8; the line is named.
    """
    try:
        data = source.encode() if isinstance(source, str) else source
        check_size(len(data), origin, limit)
        return data.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as trouble:
        line = trouble.object.count(b"\n", 0, trouble.start) + 1
    except UnicodeEncodeError as trouble:
        line = trouble.object.count("\n", 0, trouble.start) + 1
    raise ConfigurationError(f"{origin} is not UTF-8 text (line {line})")


def shown_path(path: Path) -> str:
    """A path for a message, on one line whatever its name holds."""
    text = str(path)
    return text if text.isprintable() else ascii(text)


def reason(trouble: Exception) -> str:
    """Why the system refused, in its own words."""
    return (trouble.strerror if isinstance(trouble, OSError) else None) or str(trouble)
