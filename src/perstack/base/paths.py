"""The workspace, and the only way into it.

A path becomes a descriptor of the directory its last name stands in, and every
tool works from that descriptor. Nothing is checked by name and then opened by
name, so nobody can swap a directory for a link in between.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import unicodedata
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from perstack.base.answer import Refused, printable
from perstack.base.descent import DIRECTORY, Descent
from perstack.base.roots import Ident, hold, let_go
from perstack.base.syscalls import has_open_beneath, open_beneath
from perstack.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

STORE = "perstack"
"""The folder in the workspace's root where jobs are kept, out of reach for every tool."""

MAX_LINKS = 40
MAX_STEPS = 10_000
MAX_RACES = 8


class Entry(NamedTuple):
    """A name in an open directory beneath the workspace's root.

    The name is one component and no link that is to be followed; it need not
    exist. `.` stands for the directory itself, where a path has no last name.
    """

    fd: int
    name: str
    directory: str
    path: str

    @property
    def real(self) -> str:
        """The absolute path, without links."""
        return self.directory if self.name == "." else _join(self.directory, self.name)

    def stat(self) -> os.stat_result | None:
        """What stands there, or None."""
        try:
            return os.lstat(self.name, dir_fd=self.fd)
        except FileNotFoundError:
            return None


class Workspace:
    """One directory and what lies beneath it, but for `perstack/`.

    Every way out (`..`, a link, an absolute path) is refused with `Refused`.
    `openat2=False` resolves by hand, as is done where the kernel lacks it.
    """

    def __init__(self, root: Path, *, openat2: bool | None = None) -> None:
        self.root = str(root.resolve())
        self._prefixes = [_components(str(root.absolute())), _components(self.root)]
        self._openat2 = has_open_beneath() if openat2 is None else openat2
        try:
            self._held = hold(self.root)
        except OSError as error:
            message = f"The workspace {root} cannot be opened: {error.strerror}"
            raise ConfigurationError(message) from error
        self._fd = self._held.fd
        self._ident = self._held.ident

    def close(self) -> None:
        """Let go of the directory."""
        let_go(self._held)

    @contextlib.contextmanager
    def entry(self, path: str, *, follow: bool = True, make: bool = False) -> Generator[Entry]:
        """Where `path` leads, open until the block ends.

        `follow` resolves a link at the end as well; without it the link itself is
        meant. `make` creates missing directories on the way.
        """
        with _refusing(path):
            entry = self._locate(path, follow=follow, make=make)
            try:
                self._keep_store_out(entry)
                yield entry
            finally:
                os.close(entry.fd)

    @contextlib.contextmanager
    def directory(self, path: str) -> Generator[Entry]:
        """The directory `path` itself, open until the block ends; its entry is `.`."""
        with self.entry(path) as entry:
            if entry.name == ".":
                yield entry
                return
            try:
                fd = os.open(entry.name, DIRECTORY | os.O_NOFOLLOW, dir_fd=entry.fd)
            except FileNotFoundError:
                raise Refused(f"Directory {path} does not exist.") from None
            except NotADirectoryError:
                raise Refused(f"Path {path} is not a directory.") from None
            try:
                yield Entry(fd, ".", entry.real, path)
            finally:
                os.close(fd)

    def hides(self, entry: Entry, name: str) -> bool:
        """Whether `name` in the directory of `entry` is the store, so not there for tools."""
        return is_reserved(name) and Ident.of(os.fstat(entry.fd)) == self._ident

    def _parts(self, path: str, shown: str) -> list[str]:
        """The components beneath the root; `.` and empty ones left out."""
        if not path.startswith("/"):
            return _components(path)
        parts = _components(path)
        for base in self._prefixes:
            if parts[: len(base)] == base:
                return parts[len(base) :]
        raise _outside(shown)

    def _locate(self, path: str, *, follow: bool, make: bool) -> Entry:
        parts = self._parts(path, path)
        entry = self._leap(parts, path) if self._openat2 else None
        if entry is not None:
            if not follow or _link(entry.fd, entry.name) is None:
                return entry
            os.close(entry.fd)
        return self._walk(parts, path, follow=follow, make=make)

    def _leap(self, parts: list[str], path: str) -> Entry | None:
        """The parent in one system call, or None where only a walk can tell."""
        if parts and is_reserved(parts[0]):
            raise _reserved(path)
        above, name = (parts[:-1], parts[-1]) if parts and parts[-1] != ".." else (parts, ".")
        for _ in range(MAX_RACES):
            try:
                fd = open_beneath(self._fd, "/".join(above) or ".", DIRECTORY)
            except OSError as error:
                if error.errno == errno.EAGAIN:
                    continue
                return None
            return Entry(fd, name, self._real(fd, above), path)
        return None

    def _walk(self, parts: list[str], path: str, *, follow: bool, make: bool) -> Entry:
        """The parent, one component at a time, with links resolved by hand."""
        descent = Descent(self._fd)
        try:
            last = self._descend(descent, deque(parts), path, follow=follow, make=make)
        except BaseException:
            descent.close()
            raise
        return Entry(descent.fd, last, _join(self.root, *descent.names), path)

    def _descend(
        self, at: Descent, queue: deque[str], path: str, *, follow: bool, make: bool
    ) -> str:
        """Go down to the parent of what `queue` names; the last name, `.` for none."""
        store = self._store()
        links = steps = 0
        while queue:
            part = queue.popleft()
            steps += 1
            if steps > MAX_STEPS:
                raise Refused(f"Path {path[:200]} is too deep.")
            if part == "..":
                if not at.names:
                    raise _outside(path)
                # From the top again: `..` of a directory that was moved may be anywhere.
                queue.extendleft(reversed(at.names[:-1]))
                at.restart()
                continue
            if not at.names and is_reserved(part):
                raise _reserved(path)
            target = _link(at.fd, part) if follow or queue else None
            if target is not None:
                links += 1
                if links > MAX_LINKS:
                    raise Refused(f"Path {path} leads through too many links.")
                if target.startswith("/"):
                    at.restart()
                queue.extendleft(reversed(self._parts(target, path)))
            elif not queue:
                return part
            else:
                at.down(part, make=make)
                if Ident.of(os.fstat(at.fd)) in store:
                    raise _reserved(path)
        return "."

    def _keep_store_out(self, entry: Entry) -> None:
        """Refuse what lies in, or is, the store, by whatever name it was reached."""
        store = self._store()
        here = Ident.of(os.fstat(entry.fd))
        if here == self._ident and is_reserved(entry.name):
            raise _reserved(entry.path)
        if store and entry.name != ".":
            found = entry.stat()
            if found is not None and Ident.of(found) in store:
                raise _reserved(entry.path)
        for ident in self._ancestry(entry):
            if ident in store:
                raise _reserved(entry.path)

    def _store(self) -> set[Ident]:
        idents: set[Ident] = set()
        for follow in (False, True):
            with contextlib.suppress(OSError):
                found = os.stat(STORE, dir_fd=self._fd, follow_symlinks=follow)
                if stat.S_ISDIR(found.st_mode):
                    idents.add(Ident.of(found))
        return idents

    def _ancestry(self, entry: Entry) -> Iterator[Ident]:
        """The directory and those above it, up to the root of the workspace."""
        climb = Descent(entry.fd)
        below: Ident | None = None
        try:
            while (ident := Ident.of(os.fstat(climb.fd))) != self._ident:
                if ident == below:  # the top of the file system: it was moved out of the workspace
                    raise _outside(entry.path)
                yield ident
                below = ident
                climb.up()
        finally:
            climb.close()

    def _real(self, fd: int, parts: list[str]) -> str:
        try:
            return str(Path("/proc/self/fd", str(fd)).readlink())
        except OSError:
            return _join(self.root, *parts)


def is_reserved(name: str) -> bool:
    """Whether a name in the workspace's root is the store on some file system.

    Some fold case, some normalise, some pass over invisible characters.
    """
    if name == STORE:
        return True
    if len(name) < len(STORE) or (name.isascii() and len(name) != len(STORE)):
        return False
    seen = "".join(char for char in name if unicodedata.category(char) != "Cf")
    return unicodedata.normalize("NFKC", seen).casefold() == STORE


def _components(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in {"", "."}]


def _join(top: str, *names: str) -> str:
    return "/".join((top.rstrip("/"), *names)) or "/"


def _link(fd: int, name: str) -> str | None:
    """Where a link points, or None for anything else."""
    with contextlib.suppress(OSError):
        return os.readlink(name, dir_fd=fd)
    return None


def _outside(path: str) -> Refused:
    return Refused(f"Path {path} is outside the workspace.")


def _reserved(path: str) -> Refused:
    return Refused(f"Path {path} is out of reach: {STORE}/ belongs to the runtime.")


@contextlib.contextmanager
def _refusing(path: str) -> Generator[None]:
    """Trouble of the file system, as a sentence about the path that was given."""
    try:
        yield
    except FileNotFoundError:
        raise Refused(f"File {path} does not exist.") from None
    except NotADirectoryError:
        raise Refused(f"Path {path} leads through something that is no directory.") from None
    except OSError as error:
        shown = path if len(path) <= 200 else path[:200] + "…"
        raise Refused(f"{printable(shown)}: {error.strerror or 'cannot be used'}.") from error
