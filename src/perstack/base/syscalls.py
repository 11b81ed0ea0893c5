"""Two calls of the Linux kernel that Python has no name for: openat2 and renameat2.

Numbers, flags and the layout of `open_how` are those of openat2(2) and renameat2(2).
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import sys

_OPENAT2 = 437
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_BENEATH = 0x08
_RENAME_NOREPLACE = 0x01


class _OpenHow(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def open_beneath(root: int, path: str, flags: int) -> int:
    """A descriptor for `path`, which no link and no `..` may lead out of `root`.

    Raises:
        OSError: EXDEV where the path would leave the root (or holds an absolute
            link), EAGAIN where a rename came in between, ENOSYS where the kernel
            has no openat2, and what open(2) raises.
    """
    how = _OpenHow(flags | os.O_CLOEXEC, 0, _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS)
    found = _libc().syscall(
        ctypes.c_long(_OPENAT2),
        ctypes.c_int(root),
        ctypes.c_char_p(os.fsencode(path)),
        ctypes.byref(how),
        ctypes.c_size_t(ctypes.sizeof(how)),
    )
    if found < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return int(found)


@functools.cache
def has_open_beneath() -> bool:
    """Whether this kernel, and what confines this process, let openat2 through."""
    if sys.platform != "linux":
        return False
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.close(open_beneath(root, ".", os.O_PATH | os.O_DIRECTORY))
    except OSError:
        return False
    finally:
        os.close(root)
    return True


def rename_new(source_dir: int, source: str, target_dir: int, target: str) -> None:
    """Rename, but never over something that is there.

    Raises:
        OSError: EEXIST where the target exists, ENOSYS where this system cannot
            promise that, and what rename(2) raises.
    """
    rename = getattr(_libc(), "renameat2", None) if sys.platform == "linux" else None
    if rename is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    done = rename(
        ctypes.c_int(source_dir),
        ctypes.c_char_p(os.fsencode(source)),
        ctypes.c_int(target_dir),
        ctypes.c_char_p(os.fsencode(target)),
        ctypes.c_uint(_RENAME_NOREPLACE),
    )
    if done != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), source)
