"""getFileInfo, moveFile, deleteFile."""

from __future__ import annotations

import errno
import os
import stat
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from perstack.base.answer import Refused, answer, printable, size
from perstack.base.syscalls import rename_new

if TYPE_CHECKING:
    from perstack.base.arguments import DeleteFile, GetFileInfo, MoveFile
    from perstack.base.paths import Entry, Workspace
    from perstack.schema.tool import ToolOutput


async def get_file_info(workspace: Workspace, args: GetFileInfo) -> ToolOutput:
    """What stands at a path: kind, size, times and permissions."""
    with workspace.entry(args.path) as entry:
        found = entry.stat()
        if found is None:
            raise Refused(f"File or directory {args.path} does not exist.")
        real = entry.real
    is_directory = stat.S_ISDIR(found.st_mode)
    directory, _, name = real.rpartition("/")
    extension = "." + name.rpartition(".")[2] if "." in name[1:] else ""
    created: float = getattr(found, "st_birthtime", found.st_ctime)
    info: dict[str, object] = {
        "exists": True,
        "path": printable(real),
        "absolutePath": printable(real),
        "name": printable(name),
        "directory": printable(directory) or "/",
        "extension": None if is_directory else printable(extension),
        "type": "directory" if is_directory else "file",
        "mimeType": None if is_directory else _mime_type(name),
        "size": found.st_size,
        "sizeFormatted": size(found.st_size),
        "created": timestamp(created),
        "modified": timestamp(found.st_mtime),
        "accessed": timestamp(found.st_atime),
        "permissions": {
            "readable": bool(found.st_mode & stat.S_IRUSR),
            "writable": bool(found.st_mode & stat.S_IWUSR),
            "executable": bool(found.st_mode & stat.S_IXUSR),
        },
    }
    return answer(info)


async def move_file(workspace: Workspace, args: MoveFile) -> ToolOutput:
    """Rename a file or directory; never over something that exists."""
    with workspace.entry(args.source, follow=False) as source:
        found = source.stat()
        if found is None:
            raise Refused(f"File {args.source} does not exist.")
        if source.name == ".":
            raise Refused(f"Path {args.source} cannot be moved: it does not end in a name.")
        with workspace.entry(args.destination, follow=False, make=True) as target:
            taken = Refused(f"Destination {args.destination} already exists.")
            if target.stat() is not None:
                raise taken
            try:
                _rename(source, target, is_directory=stat.S_ISDIR(found.st_mode))
            except FileExistsError:
                raise taken from None
            except OSError as error:
                if error.errno == errno.EINVAL:
                    raise Refused(f"{args.source} cannot be moved into itself.") from None
                raise
            return answer({"source": printable(source.real), "destination": printable(target.real)})


async def delete_file(workspace: Workspace, args: DeleteFile) -> ToolOutput:
    """Remove a file, or a link (never what it points to)."""
    with workspace.entry(args.path, follow=False) as entry:
        found = entry.stat()
        if found is None:
            raise Refused(f"File {args.path} does not exist.")
        if stat.S_ISDIR(found.st_mode):
            raise Refused(f"Path {args.path} is a directory. Use deleteDirectory.")
        os.unlink(entry.name, dir_fd=entry.fd)
        return answer({"path": printable(entry.real)})


def timestamp(seconds: float) -> str:
    """A file's time as ISO 8601 in UTC, to the millisecond."""
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        moment = datetime.fromtimestamp(0, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _rename(source: Entry, target: Entry, *, is_directory: bool) -> None:
    try:
        rename_new(source.fd, source.name, target.fd, target.name)
        return
    except OSError as error:
        if error.errno not in {errno.ENOSYS, errno.EINVAL, errno.EPERM, errno.ENOTSUP}:
            raise
    # A name that this call made is no one else's to lose.
    if is_directory:
        os.mkdir(target.name, dir_fd=target.fd)
        try:
            _rename_over(source, target)
        except OSError:
            os.rmdir(target.name, dir_fd=target.fd)
            raise
    else:
        os.link(
            source.name,
            target.name,
            src_dir_fd=source.fd,
            dst_dir_fd=target.fd,
            follow_symlinks=False,
        )
        os.unlink(source.name, dir_fd=source.fd)


def _rename_over(source: Entry, target: Entry) -> None:
    os.rename(source.name, target.name, src_dir_fd=source.fd, dst_dir_fd=target.fd)


def _mime_type(name: str) -> str:
    from mimetypes import MimeTypes

    # Our own table, not the machine's: the answer is the same everywhere.
    return MimeTypes().guess_type(printable(name))[0] or "application/octet-stream"
