"""Whether somebody works on a job, found out without touching its lock."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from perstack.errors import StorageError
from perstack.storage.folders import file_descriptor, open_below

LOCK_NAME = "lock"
"""The file in a job's folder that the one process which may write has locked."""

LOCKS = Path("/proc/locks")


def is_held(root: Path, job_id: str) -> bool:
    """Whether a process has the job locked. Asking never keeps another one from locking it.

    On Linux the kernel's list of locks says so (proc_locks(5)); elsewhere the lock's file
    names a process, and it is looked whether that one is there.
    """
    path = root / "jobs" / job_id / LOCK_NAME
    try:
        with open_below(root, "jobs", job_id) as folder:
            descriptor = file_descriptor(path, folder, os.O_RDONLY)
    except (FileNotFoundError, StorageError):
        return False
    try:
        written = os.pread(descriptor, 20, 0)
        listed = _listed(os.fstat(descriptor), written.strip().decode(errors="replace"))
        return _is_there(written) if listed is None else listed
    finally:
        os.close(descriptor)


def _listed(found: os.stat_result, process: str) -> bool | None:
    """Whether this file is locked by flock(2); None where nobody says.

    Some file systems name another device in the list than stat(2) does; the number that
    the holder wrote then tells its file from one of the same number elsewhere.
    """
    if not sys.platform.startswith("linux"):
        return None
    try:
        lines = LOCKS.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return None
    device = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}"
    for words in (line.split() for line in lines):
        if len(words) > 5 and words[1] == "FLOCK":
            place, _, inode = words[5].rpartition(":")
            if inode == str(found.st_ino) and (place == device or words[4] == process):
                return True
    return False


def _is_there(written: bytes) -> bool:
    try:
        process = int(written)
        if process > 0:
            os.kill(process, 0)
    except PermissionError:
        return True
    except (OSError, ValueError, OverflowError):
        return False
    return process > 0
