"""What a process does once to keep its secrets from the programs it starts."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from perstack.schema.variables import is_secret

PR_SET_DUMPABLE = 4


def hide_from_children() -> None:
    """Programs of the same user can no longer read this process's memory and environment.

    On Linux: by prctl(2), from which root is exempt; and the values of variables
    that are named like secrets are blotted out of what `/proc/PID/environ` shows,
    which holds for root too. `os.environ` keeps them.
    """
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    _blot_out_secrets()
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def _blot_out_secrets() -> None:
    """Overwrite secrets where the kernel put the environment when the process began.

    The block lies where fields 50 and 51 of /proc/self/stat say (proc(5)). What is
    not found there word for word is left alone.
    """
    import ctypes

    try:
        fields = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        block = Path("/proc/self/environ").read_bytes()
    except OSError:
        return
    start, end = int(fields[47]), int(fields[48])
    if end - start != len(block) or ctypes.string_at(start, len(block)) != block:
        return
    for name, value in os.environb.items():
        if value and is_secret(name.decode(errors="replace")):
            entry = b"\0" + name + b"=" + value + b"\0"
            found = (b"\0" + block).find(entry)
            if found >= 0:
                ctypes.memset(start + found + len(name) + 1, ord("*"), len(value))
