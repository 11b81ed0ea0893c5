"""The sole right to write to one job, and all that is open while it is held."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio

from perstack.errors import JobInUse, LeaseLost, StorageError
from perstack.storage.commits import Work, at_once
from perstack.storage.folders import (
    file_descriptor,
    folder_descriptor,
    open_folder,
    storage_error,
    sync,
    sync_folder,
)
from perstack.storage.holder import LOCK_NAME

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from perstack.storage.log import RunLog

ATTEMPTS = 5


class HeldJob:
    """A job that this process has locked.

    The lock is the kernel's, on the file `lock` in the job's folder: it ends with
    this process however that ends, and programs it starts do not inherit it. It is
    lost when the job's folder is removed or replaced, for then another process can
    lock the new one.

    It keeps two descriptors, the lock's and the folder's, beside those of its logs.
    """

    def __init__(self, job_id: str, path: Path, folder: int) -> None:
        """Lock the job in the folder `folder`, which is closed in the end.

        Raises:
            JobInUse: somebody else has locked it.
            StorageError: it cannot be locked.
        """
        self.job_id = job_id
        self.path = path
        self.folder = folder
        self.logs: dict[str, RunLog] = {}
        self.last_index: int | None = None
        self.turn = anyio.Lock(fast_acquire=True)
        self.unsynced: dict[str, RunLog] = {}
        self.new_runs: set[str] = set()
        self.is_new = True
        self.broken: str | None = None
        self.is_released = False
        self._lock_path = path / LOCK_NAME
        self._lock = -1
        try:
            self._lock, self._identity = locked(path / LOCK_NAME, folder)
            os.close(folder_descriptor(path / "runs", folder, make=True))
        except BaseException:
            self.close()
            raise

    def open_runs(self) -> AbstractContextManager[int]:
        """The folder of the job's runs, for the length of the block."""
        return open_folder(self.path / "runs", self.folder)

    def check(self) -> None:
        """Nothing, as long as the job may be written.

        Raises:
            LeaseLost: it was released, or its folder removed or replaced.
            StorageError: an earlier write may not have reached the disk.
        """
        if self.broken is not None:
            raise StorageError(self.broken)
        if not self.is_released:
            try:
                found = self._lock_path.lstat()
            except OSError:
                found = None
            if found is not None and (found.st_dev, found.st_ino) == self._identity:
                return
        raise LeaseLost(f"Job {self.job_id} is no longer this process's to write, at {self.path}")

    def syncing(self, logs: list[RunLog], runs: list[str], *, whole: bool) -> Work:
        """What carries `logs`, the places of `runs` and (`whole`) the job's own to the disk.

        It may be done in a thread, while other tasks go on appending.
        """
        above = tuple(self.path.parents)[:3] if whole else ()  # jobs, perstack, where that lies
        return Work(lambda: self._sync(logs, runs, whole=whole), logs, above)

    def _sync(self, logs: list[RunLog], runs: list[str], *, whole: bool) -> None:
        if runs or any(log.descriptor < 0 for log in logs):
            with self.open_runs() as folder:
                at_once(lambda log: _sync_log(log, folder), logs)
                at_once(lambda run_id: _sync_run(self.path / "runs" / run_id, folder), runs)
                if runs:
                    sync_folder(folder)
        else:
            at_once(lambda log: log.sync(), logs)
        if whole:
            _sync_file(self.path / "job.json", self.folder)
            sync_folder(self.folder)

    def close(self) -> None:
        """Give back the lock and every descriptor. May be called twice."""
        self.is_released = True
        for log in self.logs.values():
            log.close()
        if self._lock >= 0:
            with suppress(OSError):  # the number of our process only helps a message
                os.truncate(self._lock, 0)
        for descriptor in (self.folder, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self.folder = self._lock = -1


def locked(path: Path, folder: int) -> tuple[int, tuple[int, int]]:
    """The file `path` in the folder `folder`, locked, and its identity. The caller closes it.

    Raises:
        JobInUse: somebody else has locked it.
        StorageError: it cannot be locked.
    """
    for _ in range(ATTEMPTS):
        descriptor = file_descriptor(path, folder, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mine = os.fstat(descriptor)
            if mine.st_nlink == 1:
                os.truncate(descriptor, 0)
                os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
                return descriptor, (mine.st_dev, mine.st_ino)
        except BlockingIOError as error:
            owner = _owner(descriptor)
            os.close(descriptor)
            raise JobInUse(
                f"Job {path.parent.name} is being worked on by {owner} ({path}). "
                "Wait for it to end, or end it"
            ) from error
        except OSError as error:
            os.close(descriptor)
            raise storage_error("lock", path, error) from error
        os.close(descriptor)  # it was removed before we had it; the next one is new
    raise StorageError(f"Cannot lock {path}: it is being removed again and again")


def _owner(descriptor: int) -> str:
    try:
        pid = int(os.pread(descriptor, 20, 0))
    except (OSError, ValueError):
        return "another process"
    return f"process {pid}"


def _sync_log(log: RunLog, runs: int) -> None:
    if log.descriptor < 0:
        with open_folder(log.path.parent, runs) as folder:
            _sync_file(log.path, folder)
    else:
        log.sync()


def _sync_run(place: Path, runs: int) -> None:
    with open_folder(place, runs) as folder:
        _sync_file(place / "run.json", folder)
        sync_folder(folder)


def _sync_file(path: Path, folder: int) -> None:
    try:
        descriptor = file_descriptor(path, folder, os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)
