"""readTextFile, writeTextFile, appendTextFile, editTextFile.

A file is only ever replaced: the new bytes go to a temporary file beside it,
which then takes its name. A reader sees the old text or the new, and another
name for the old file (a hard link) keeps the old text.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
from typing import TYPE_CHECKING

from perstack.base.answer import Refused, answer, printable, size

if TYPE_CHECKING:
    from perstack.base.arguments import AppendTextFile, EditTextFile, ReadTextFile, WriteTextFile
    from perstack.base.caps import Caps
    from perstack.base.paths import Entry, Workspace
    from perstack.schema.tool import ToolOutput

_counter = itertools.count()
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


async def read_text_file(workspace: Workspace, caps: Caps, args: ReadTextFile) -> ToolOutput:
    """Lines `from` up to `to` (0-based, end exclusive); bytes that are no UTF-8 become U+FFFD."""
    with workspace.entry(args.path) as entry:
        data, _ = read_regular(entry, caps.read)
    lines = data.decode("utf-8", "replace").split("\n")
    start = args.from_ or 0
    end = len(lines) if args.to is None else args.to
    content = "\n".join(lines[start:end])
    return answer({"path": args.path, "content": content, "from": start, "to": end})


async def write_text_file(workspace: Workspace, caps: Caps, args: WriteTextFile) -> ToolOutput:
    """Create or replace a file, and the directories on the way to it."""
    data = _encoded(args.text, caps)
    with workspace.entry(args.path, make=True) as entry:
        replace(entry, data, writable(entry))
        return answer({"path": printable(entry.real), "text": args.text})


async def append_text_file(workspace: Workspace, caps: Caps, args: AppendTextFile) -> ToolOutput:
    """Add to the end of a file that exists."""
    data = _encoded(args.text, caps)
    with workspace.entry(args.path) as entry:
        writable(entry)
        before, found = read_regular(entry, caps.write)
        _check_size(len(before) + len(data), caps, args.path)
        replace(entry, before + data, found)
        return answer({"path": printable(entry.real), "text": args.text})


async def edit_text_file(workspace: Workspace, caps: Caps, args: EditTextFile) -> ToolOutput:
    """Replace the first exact match. CRLF counts as LF; new lines end as the file's do."""
    old, new = _line_ends(_encoded(args.old_text, caps)), _line_ends(_encoded(args.new_text, caps))
    if not old:
        raise Refused("oldText is empty: say which text to replace.")
    with workspace.entry(args.path) as entry:
        writable(entry)
        before, found = read_regular(entry, caps.write)
        at = _line_ends(before).find(old)
        if at < 0:
            raise Refused(f"oldText was not found in {args.path}. It must match exactly.")
        start, end = _place_in(before, at), _place_in(before, at + len(old))
        after = before[:start] + _ended_as_in(before, new) + before[end:]
        _check_size(len(after), caps, args.path)
        replace(entry, after, found)
        return answer(
            {"path": printable(entry.real), "oldText": args.old_text, "newText": args.new_text}
        )


def read_regular(entry: Entry, cap: int) -> tuple[bytes, os.stat_result]:
    """The bytes of a regular file of at most `cap` bytes, and what it is.

    Never waits: a pipe or a device is refused unopened, and one that comes in
    between is opened without blocking and then refused.
    """
    _check_regular(entry.stat(), entry.path)
    fd = os.open(entry.name, _READ, dir_fd=entry.fd)
    try:
        found = os.fstat(fd)
        _check_regular(found, entry.path)
        if found.st_size > cap:
            message = f"has {size(found.st_size)}; at most {size(cap)} can be used"
            raise Refused(f"File {entry.path} {message}.")
        with open(fd, "rb", buffering=0, closefd=False) as file:
            data = file.read(cap + 1) or b""
        if len(data) > cap:
            raise Refused(f"File {entry.path} grew past {size(cap)} while it was read.")
        return data, found
    finally:
        os.close(fd)


def writable(entry: Entry) -> os.stat_result | None:
    """What stands where a file is to be written: nothing, or a writable regular file."""
    found = entry.stat()
    if found is not None:
        _check_regular(found, entry.path)
        if not found.st_mode & stat.S_IWUSR:
            raise Refused(f"File {entry.path} is not writable.")
    return found


def replace(entry: Entry, data: bytes, old: os.stat_result | None) -> None:
    """Give the entry new bytes at once, keeping the mode and owner of `old`."""
    temporary, fd = _temporary(entry.fd, 0o666 if old is None else 0o600)
    try:
        with open(fd, "wb", buffering=0) as file:  # noqa: PTH123 - a descriptor
            rest = memoryview(data)
            while rest:
                rest = rest[file.write(rest) :]
            if old is not None:
                with contextlib.suppress(PermissionError):
                    os.fchown(fd, old.st_uid, old.st_gid)
                os.fchmod(fd, old.st_mode & 0o777)
        os.rename(temporary, entry.name, src_dir_fd=entry.fd, dst_dir_fd=entry.fd)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=entry.fd)
        raise


def _temporary(directory: int, mode: int) -> tuple[str, int]:
    while True:
        name = f".perstack-{os.getpid()}-{next(_counter)}.tmp"
        with contextlib.suppress(FileExistsError):
            return name, os.open(name, _NEW, mode, dir_fd=directory)


def _check_regular(found: os.stat_result | None, path: str) -> None:
    if found is None:
        raise Refused(f"File {path} does not exist.")
    if stat.S_ISDIR(found.st_mode):
        raise Refused(f"Path {path} is a directory.")
    if not stat.S_ISREG(found.st_mode):
        raise Refused(f"Path {path} is not a regular file.")


def _encoded(text: str, caps: Caps) -> bytes:
    data = text.encode()
    if len(data) > caps.write:
        raise Refused(f"The text has {size(len(data))}; at most {size(caps.write)} can be written.")
    return data


def _check_size(count: int, caps: Caps, path: str) -> None:
    if count > caps.write:
        message = f"would have {size(count)}; at most {size(caps.write)} can be written"
        raise Refused(f"File {path} {message}.")


def _line_ends(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n")


def _place_in(data: bytes, at: int) -> int:
    """Where in `data` the place `at` of the same with LF for CRLF is."""
    removed, found = 0, data.find(b"\r\n")
    while 0 <= found < at + removed:
        removed += 1
        found = data.find(b"\r\n", found + 2)
    return at + removed


def _ended_as_in(data: bytes, text: bytes) -> bytes:
    """`text` with the line ends that most lines of `data` have."""
    has_crlf = 2 * data.count(b"\r\n") > data.count(b"\n")
    return text.replace(b"\n", b"\r\n") if has_crlf else text
