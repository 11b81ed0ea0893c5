"""A new project: files that are written where there are none."""

from __future__ import annotations

import os
import re
import unicodedata
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from perstack.assembly.project_texts import (
    GUIDE,
    IGNORED,
    config_text,
    ignore_text,
    variables_text,
)
from perstack.base.syscalls import rename_new
from perstack.config.load import FILE_NAME, load_config
from perstack.config.source import read_source, reason, shown_path
from perstack.errors import ConfigurationError, StorageError, UsageError
from perstack.schema.keys import MAX_NAME_LENGTH, parse_key
from perstack.storage.folders import sync, sync_above, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perstack.config.starting_model import StartingModel

NAMELESS = "my-expert"
"""What the Expert is called where the folder's name has no letter that a key may have."""

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Written(NamedTuple):
    """What became of a file. `note` is what a person has to do about it, if anything.

    `is_kept`: something of that name was there, and is as it was.
    """

    name: str
    is_kept: bool
    note: str = ""


def expert_name(given: str | None, folder: Path) -> str:
    """The name of the new Expert: what was given, or the folder's as a key may have it.

    Raises:
        UsageError: what was given is no name of an Expert.
    """
    if given is not None:
        if parse_key(given).name != given:
            raise UsageError("NAME is the Expert's name alone, without '@version' or '@tag'")
        return given
    plain = unicodedata.normalize("NFKD", folder.name).encode("ascii", "ignore").decode()
    name = re.sub(r"[^a-z0-9_-]+", "-", plain.lower()).strip("-_")[:MAX_NAME_LENGTH]
    return name or NAMELESS


def write_project(
    folder: Path, name: str, start: StartingModel | None, *, is_asked: bool
) -> Iterator[Written]:
    """Write what is missing of a project with the Expert `name`, and tell of each file.

    Whatever bears a file's name is kept, also a link that leads nowhere. `is_asked`: a
    person named the Expert, and must know where it did not come to be.

    Raises:
        StorageError: a file could not be written. What was told of before is there.
    """
    config, ignored = folder / FILE_NAME, folder / ".gitignore"
    is_new = write_new(config, config_text(name, start))
    is_missing = is_asked and not is_new and not _defines(config, name)
    yield Written(FILE_NAME, not is_new, f"it has no Expert {name}" if is_missing else "")
    is_new = write_new(folder / ".env.example", variables_text(start))
    yield Written(".env.example", not is_new)
    is_new = write_new(ignored, ignore_text())
    missing = () if is_new else _not_ignored(ignored)
    note = f"add to it, each on a line: {' '.join(missing)}" if missing else ""
    yield Written(ignored.name, not is_new, note)
    yield Written("AGENTS.md", not write_new(folder / "AGENTS.md", GUIDE))


def write_new(path: Path, text: str) -> bool:
    """Put a file at `path`, all of it or nothing. False where something was there.

    Raises:
        StorageError: it could not be written.
    """
    if os.path.lexists(path):
        return False
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, _NEW, 0o666)
        try:
            write_whole(descriptor, text.encode())
            sync(descriptor)
        finally:
            os.close(descriptor)
        is_new = _name(fresh, path)
    except OSError as trouble:
        raise StorageError(f"Cannot write {shown_path(path)}: {reason(trouble)}") from None
    finally:
        with suppress(OSError):
            fresh.unlink()
    sync_above(path.parent)
    return is_new


def _name(fresh: Path, path: Path) -> bool:
    """Give a file its name, unless another one came to have it."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        rename_new(folder, fresh.name, folder, path.name)
    except FileExistsError:
        return False
    except OSError:  # a system or a file system that cannot promise it
        try:
            os.link(fresh, path, follow_symlinks=False)
        except FileExistsError:
            return False
    finally:
        os.close(folder)
    return True


def _defines(path: Path, name: str) -> bool:
    """Whether the file that was there has the Expert. One that cannot be read has none."""
    try:
        return name in load_config(path).experts
    except ConfigurationError:
        return False


def _not_ignored(path: Path) -> tuple[str, ...]:
    """What a `.gitignore` that was there leaves to be committed."""
    try:
        lines = read_source(path).decode(errors="replace").splitlines()
    except (ConfigurationError, FileNotFoundError):
        return IGNORED
    patterns = [line.strip().strip("/") for line in lines]
    return tuple(
        name
        for name in IGNORED
        if not any(fnmatchcase(name.strip("/"), pattern) for pattern in patterns)
    )
