"""Jobs taken away as a whole."""

from __future__ import annotations

import os
import shutil
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from perstack.errors import StorageError
from perstack.schema.keys import checked_id, is_id
from perstack.storage.folders import folder_descriptor, names_in, open_below, storage_error
from perstack.storage.holder import LOCK_NAME
from perstack.storage.lease import locked

if TYPE_CHECKING:
    from pathlib import Path

GOING = ".removed-"
"""What stands before the id in the name of a job's folder that is being removed."""


def remove_job(root: Path, job_id: str) -> None:
    """Take a job away. It is gone at once, and whole, however this process ends.

    What is left of one that was killed meanwhile is taken away by `remove_rests`.

    Raises:
        JobInUse: a process works on it.
        StorageError: it cannot be removed, or is not there.
    """
    path = root / "jobs" / checked_id(job_id, "job id")
    going = path.with_name(f"{GOING}{job_id}")
    try:
        with open_below(root, "jobs") as jobs:
            folder = folder_descriptor(path, jobs)
            try:
                lock, _ = locked(path / LOCK_NAME, folder)
                try:
                    _remove(going, jobs)
                    os.rename(path.name, going.name, src_dir_fd=jobs, dst_dir_fd=jobs)
                    _remove(going, jobs)
                finally:
                    os.close(lock)
            finally:
                os.close(folder)
    except FileNotFoundError as error:
        raise StorageError(f"There is no job {job_id} in {root}") from error
    except OSError as error:
        raise storage_error("remove", path, error) from error


def remove_rests(root: Path) -> None:
    """Take away what is left of jobs whose removal was cut short.

    Raises:
        StorageError: something of it cannot be removed.
    """
    try:
        with open_below(root, "jobs") as jobs:
            for name in names_in(root / "jobs", jobs):
                if name.startswith(GOING) and is_id(name.removeprefix(GOING)):
                    _remove(root / "jobs" / name, jobs)
    except FileNotFoundError:
        return


def _remove(path: Path, jobs: int) -> None:
    """The folder `path` in the folder `jobs`, with what it holds. No link is followed."""
    try:
        shutil.rmtree(path.name, dir_fd=jobs)
    except FileNotFoundError:
        return
    except OSError as error:
        raise storage_error("remove", path, error) from error


def size_of(root: Path, job_id: str) -> int:
    """Bytes in a job's files, as far as they can be seen."""
    size = 0
    for place, _, names in os.walk(root / "jobs" / checked_id(job_id, "job id")):
        for name in names:
            with suppress(OSError):  # a file may go meanwhile
                found = os.lstat(os.path.join(place, name))  # noqa: PTH118 - a walk's own strings
                size += found.st_size if stat.S_ISREG(found.st_mode) else 0
    return size
