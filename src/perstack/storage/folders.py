"""Folders and files, opened so that no link can lead anywhere else.

Every name is opened relative to its folder's descriptor and never followed when
it is a link. A path that is no real folder, or no regular file, is a
`StorageError`; a missing one is `FileNotFoundError`, for callers to give a meaning.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from perstack.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # non-blocking: a FIFO must not hang us

WAY_ON = "Make room, then go on with --continue"
NO_SPACE = {
    errno.ENOSPC: f"the disk is full. {WAY_ON}",
    errno.EDQUOT: f"the disk quota is used up. {WAY_ON}",
}
REASONS = NO_SPACE | {
    errno.ENOTDIR: "it is a link or a file where a real folder must be",
    errno.ELOOP: "it is a link, and records are never kept through links",
    errno.EFBIG: "the file would pass the size limit (`ulimit -f`)",
    errno.EMFILE: "this process has too many open files (`ulimit -n`)",
    errno.ENXIO: "it is not a regular file",
}


def storage_error(action: str, path: Path, error: OSError) -> StorageError:
    """What went wrong at `path`, for the user: "Cannot `action` `path`: reason"."""
    reason = REASONS.get(error.errno or 0) or error.strerror or type(error).__name__
    return StorageError(f"Cannot {action} {path}: {reason}")


def folder_descriptor(path: Path, within: int | None = None, *, make: bool = False) -> int:
    """The folder `path`, whose parent is the descriptor `within`, or found by its whole path.

    The caller closes it. `make` creates it for this user alone; the folders above
    a whole path are made as well.

    Raises:
        FileNotFoundError: it is not there, and was not to be made.
        StorageError: it is a link or a file, or cannot be opened or made.
    """
    name = path if within is None else path.name
    try:
        try:
            return os.open(name, FOLDER, dir_fd=within)
        except FileNotFoundError:
            if not make:
                raise
        if within is None:
            path.parent.mkdir(parents=True, exist_ok=True)
        _make_folder(name, within)
        return os.open(name, FOLDER, dir_fd=within)
    except FileNotFoundError as error:
        if make:
            raise storage_error("make", path, error) from error
        raise
    except OSError as error:
        raise storage_error("open", path, error) from error


def _make_folder(name: Path | str, within: int | None) -> None:
    try:
        os.mkdir(name, 0o700, dir_fd=within)
    except FileExistsError:
        return  # made by somebody else meanwhile; opening it says whether it is a folder


@contextmanager
def open_folder(path: Path, within: int | None = None) -> Generator[int]:
    """The folder's descriptor, as `folder_descriptor` gives it, for the length of the block."""
    descriptor = folder_descriptor(path, within)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def open_below(root: Path, *names: str, make: bool = False) -> Generator[int]:
    """The folder `root/names…`, every step of it a real folder."""
    descriptor = folder_descriptor(root, make=make)
    try:
        path = root
        for name in names:
            path = path / name
            below = folder_descriptor(path, descriptor, make=make)
            os.close(descriptor)
            descriptor = below
        yield descriptor
    finally:
        os.close(descriptor)


def file_descriptor(path: Path, within: int, flags: int) -> int:
    """The regular file `path` in the folder `within`. The caller closes it.

    A file that is opened for writing must have no second name, for that one could
    lie outside the workspace.

    Raises:
        FileNotFoundError: it is not there, and `flags` do not create it.
        StorageError: it is something else than a file of ours, or cannot be opened.
    """
    try:
        descriptor = os.open(path.name, flags | FILE, 0o600, dir_fd=within)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise storage_error("open", path, error) from error
    found = os.fstat(descriptor)
    problem = None
    if not stat.S_ISREG(found.st_mode):
        problem = "it is not a regular file"
    elif flags & (os.O_WRONLY | os.O_RDWR) and found.st_nlink > 1:
        problem = f"it has {found.st_nlink} names (hard links), and writing would change them all"
    if problem is not None:
        os.close(descriptor)
        raise StorageError(f"Cannot open {path}: {problem}")
    return descriptor


def names_in(path: Path, folder: int) -> list[str]:
    """What the folder `path` holds, in no order."""
    try:
        return os.listdir(folder)
    except OSError as error:
        raise storage_error("list", path, error) from error


def small_file(path: Path, within: int, limit: int) -> bytes:
    """The first `limit` bytes of a file, which are all where it is as small as it should be.

    Raises:
        FileNotFoundError: it is not there.
        StorageError: it cannot be read.
    """
    descriptor = file_descriptor(path, within, os.O_RDONLY)
    try:
        return os.read(descriptor, limit)
    except OSError as error:
        raise storage_error("read", path, error) from error
    finally:
        os.close(descriptor)


def replace_file(path: Path, within: int, content: bytes, *, durable: bool) -> None:
    """Put `content` in the place of the file `path`: all of it, or nothing.

    For the one process that holds the lease. `durable` makes both the content and its
    name survive the machine.

    Raises:
        StorageError: it could not be kept; what was there before still is.
    """
    fresh = path.with_name(f".{path.name}.new")
    try:
        descriptor = _fresh_file(fresh.name, within)
        try:
            write_whole(descriptor, content)
            if durable:
                sync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(fresh.name, path.name, src_dir_fd=within, dst_dir_fd=within)
        if durable:
            sync_folder(within)
    except OSError as error:
        _remove(fresh.name, within)
        raise storage_error("write", path, error) from error


def _fresh_file(name: str, within: int) -> int:
    """A new file, in the place of one that somebody left when they were killed."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | FILE
    try:
        return os.open(name, flags, 0o600, dir_fd=within)
    except FileExistsError:
        _remove(name, within)
        return os.open(name, flags, 0o600, dir_fd=within)


def _remove(name: str, within: int) -> None:
    try:
        os.unlink(name, dir_fd=within)
    except OSError:
        return  # not there, or opening it says why it cannot go


def write_whole(descriptor: int, content: bytes) -> None:
    """Write all of `content`, in one write where the system takes it in one."""
    written = os.write(descriptor, content)
    while written < len(content):  # the next write says why the last one was short
        written += os.write(descriptor, memoryview(content)[written:])


def sync(descriptor: int) -> None:
    """Once this returns, the file's content survives the machine."""
    if sys.platform == "darwin":
        from fcntl import F_FULLFSYNC, fcntl

        fcntl(descriptor, F_FULLFSYNC)  # there, fsync stops at the drive's cache
    else:
        os.fdatasync(descriptor)


def sync_folder(descriptor: int) -> None:
    """Once this returns, the names in the folder survive the machine."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems cannot
            raise


def sync_above(path: Path) -> None:
    """The same for a folder of somebody else's, found by its whole path, as far as we may."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return  # a folder that may be passed through but not read cannot be synced either
    try:
        sync_folder(descriptor)
    finally:
        os.close(descriptor)
