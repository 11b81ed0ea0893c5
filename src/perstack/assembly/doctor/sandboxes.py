"""What this system has to fence in commands with. This version uses none of it yet."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from perstack.base.environment import DEFAULT_PATH, absolute_path
from perstack.schema.diagnosis import Backend, Sandbox

if TYPE_CHECKING:
    from collections.abc import Mapping

SECONDS = 2.0

# unshare(2). Its flag is CLONE_NEWUSER.
_TRY = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
raise SystemExit(ctypes.get_errno() if libc.unshare(0x10000000) else 0)
"""
# The number of landlock_create_ruleset(2) is the same on all machines.
_LANDLOCK_CREATE_RULESET = 444
_LANDLOCK_VERSION = 1

_APPARMOR = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")


def sandbox(environ: Mapping[str, str]) -> Sandbox:
    """The backends, and what was found of each."""
    if sys.platform != "linux":
        names = ("bubblewrap", "userNamespaces", "landlock")
        return Sandbox(
            used=None,
            backends=tuple(
                Backend(name=name, is_available=False, detail="only on Linux") for name in names
            ),
        )
    return Sandbox(used=None, backends=(_bubblewrap(environ), _user_namespaces(), _landlock()))


def _bubblewrap(environ: Mapping[str, str]) -> Backend:
    folders = absolute_path(environ.get("PATH", DEFAULT_PATH))
    path = shutil.which("bwrap", path=folders) if folders else None
    detail = path or "there is no program bwrap on the PATH"
    return Backend(name="bubblewrap", is_available=path is not None, detail=detail)


def _user_namespaces() -> Backend:
    """Tried in a process of its own, which ends at once: settings alone do not tell."""
    number = _tried()
    if number:
        detail = os.strerror(number)
    elif _is_set(_APPARMOR) and os.geteuid():
        detail = "they can be made, but AppArmor allows little in them"
    else:
        detail = "they can be made"
    return Backend(name="userNamespaces", is_available=not number, detail=detail)


def _tried() -> int:
    """0, or the number of the error."""
    try:
        tried = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _TRY], env={}, timeout=SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return errno.EAGAIN
    return tried.returncode


def _landlock() -> Backend:
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(
        ctypes.c_long(_LANDLOCK_CREATE_RULESET),
        None,
        ctypes.c_size_t(0),
        ctypes.c_uint32(_LANDLOCK_VERSION),
    )
    number = ctypes.get_errno()
    if version > 0:
        return Backend(name="landlock", is_available=True, detail=f"ABI {version}")
    return Backend(name="landlock", is_available=False, detail=os.strerror(number))


def _is_set(path: Path) -> bool:
    try:
        return path.read_text(encoding="ascii").strip() == "1"
    except OSError:
        return False
