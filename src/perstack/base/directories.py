"""listDirectory, createDirectory, deleteDirectory."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import stat
from typing import TYPE_CHECKING

import anyio.lowlevel

from perstack.base.answer import Refused, answer, printable
from perstack.base.descent import Descent
from perstack.base.files import timestamp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perstack.base.arguments import CreateDirectory, DeleteDirectory, ListDirectory
    from perstack.base.caps import Caps
    from perstack.base.paths import Entry, Workspace
    from perstack.schema.tool import ToolOutput

MAX_NAMES = 100_000
"""Names read of one directory; those beyond are neither counted nor sorted."""

_BATCH = 500
_LIST = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


async def list_directory(workspace: Workspace, caps: Caps, args: ListDirectory) -> ToolOutput:
    """The names in one directory in order, with kind, size and time of change."""
    with workspace.directory(args.path) as entry:
        names = [name for name in _names(entry.fd) if not workspace.hides(entry, name)]
        shown = sorted(names[:MAX_NAMES])[: caps.entries]
        items = [item for name in shown if (item := _item(workspace, entry, name)) is not None]
        listing: dict[str, object] = {"path": printable(entry.real), "items": items}
        if len(names) > len(shown):
            count = f"{len(names)}" if len(names) <= MAX_NAMES else f"more than {MAX_NAMES}"
            listing["truncated"] = True
            listing["message"] = f"The first {len(shown)} of {count} entries are shown."
        return answer(listing)


async def create_directory(workspace: Workspace, args: CreateDirectory) -> ToolOutput:
    """Make a directory and those above it; one that exists is left as it is."""
    with workspace.entry(args.path, make=True) as entry:
        if entry.name != ".":
            with contextlib.suppress(FileExistsError):
                os.mkdir(entry.name, dir_fd=entry.fd)
            found = entry.stat()
            if found is None or not stat.S_ISDIR(found.st_mode):
                raise Refused(f"Path {args.path} exists and is not a directory.")
        return answer({"path": printable(entry.real)})


async def delete_directory(workspace: Workspace, args: DeleteDirectory) -> ToolOutput:
    """Remove a directory; with `recursive`, with all it holds. Links are removed, not followed."""
    with workspace.entry(args.path, follow=False) as entry:
        found = entry.stat()
        if found is None:
            raise Refused(f"Directory {args.path} does not exist.")
        if entry.name == ".":
            raise Refused(f"Path {args.path} cannot be deleted: it does not end in a name.")
        if not stat.S_ISDIR(found.st_mode):
            raise Refused(f"Path {args.path} is not a directory. Use deleteFile.")
        if args.recursive:
            for count in _remove_tree(entry):
                if count % _BATCH == 0:
                    await anyio.lowlevel.checkpoint()
        else:
            _remove_empty(entry)
        return answer({"path": printable(entry.real)})


def _names(fd: int) -> list[str]:
    listed = os.open(".", _LIST, dir_fd=fd)
    try:
        with os.scandir(listed) as found:
            return [item.name for item in itertools.islice(found, MAX_NAMES + 1)]
    finally:
        os.close(listed)


def _item(workspace: Workspace, parent: Entry, name: str) -> dict[str, object] | None:
    try:
        found = os.lstat(name, dir_fd=parent.fd)
    except FileNotFoundError:
        return None
    is_directory = stat.S_ISDIR(found.st_mode)
    if stat.S_ISLNK(found.st_mode):
        is_directory = _leads_to_directory(workspace, f"{parent.real}/{name}")
    return {
        "name": printable(name),
        "path": printable(name),
        "type": "directory" if is_directory else "file",
        "size": found.st_size,
        "modified": timestamp(found.st_mtime),
    }


def _leads_to_directory(workspace: Workspace, link: str) -> bool:
    try:
        with workspace.directory(link):
            return True
    except Refused:
        return False


def _remove_empty(entry: Entry) -> None:
    try:
        os.rmdir(entry.name, dir_fd=entry.fd)
    except OSError as error:
        if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
            message = f"Directory {entry.path} is not empty. Set recursive to delete its contents."
            raise Refused(message) from None
        raise


def _remove_tree(entry: Entry) -> Iterator[int]:
    """Delete depth first, yielding after each step.

    Two descriptors at any depth: the way back up is `..`, taken only when it leads
    to the directory that was come from.
    """
    at = Descent(entry.fd)
    idents = [_ident(at.fd)]
    steps = itertools.count(1)
    inner: str | None = entry.name
    try:
        while inner is not None or at.names:
            yield next(steps)
            if inner is not None:
                at.down(inner)
                idents.append(_ident(at.fd))
            else:
                _go_up(at, idents, entry.path)
                if not at.names:
                    return
            for found in _clear_files(at.fd):
                inner = found
                yield next(steps)
    finally:
        at.close()


def _go_up(at: Descent, idents: list[tuple[int, int]], path: str) -> None:
    """Leave an emptied directory and remove it."""
    name = at.names[-1]
    at.up()
    idents.pop()
    if _ident(at.fd) != idents[-1]:
        raise Refused(f"Directory {path} changed while it was deleted.")
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(name, dir_fd=at.fd)


def _clear_files(fd: int) -> Iterator[str | None]:
    """Remove what is no directory (None for each); the first directory's name comes last."""
    listed = os.open(".", _LIST, dir_fd=fd)
    try:
        with os.scandir(listed) as found:
            for item in found:
                if item.is_dir(follow_symlinks=False):
                    yield item.name
                    return
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(item.name, dir_fd=fd)
                yield None
        yield None
    finally:
        os.close(listed)


def _ident(fd: int) -> tuple[int, int]:
    found = os.fstat(fd)
    return found.st_dev, found.st_ino
