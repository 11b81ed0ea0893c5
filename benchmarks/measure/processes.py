"""Whole processes, and what each cost by the kernel's own account.

`ru_maxrss` of a child is never below that of the process that started it, so this
program stays small: what needs Perstack itself, or much memory, is a program of its own.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

RSS_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes in one unit of `ru_maxrss`."""


class Failed(Exception):
    """A measured process did not do what it was asked."""


@dataclass(frozen=True)
class Spent:
    """What one process cost. Seconds, bytes; `read` is None where the kernel does not say."""

    cpu: float
    memory: int
    read: int | None


def spent(
    command: Sequence[str], folder: Path, environ: dict[str, str], stdout: Path | None = None
) -> Spent:
    """Run `command` in `folder` to its end, and account for it.

    Raises:
        Failed: its exit status is not 0.
    """
    errors = folder / ".stderr"
    with (stdout or Path(os.devnull)).open("wb") as out, errors.open("wb") as err:
        process = subprocess.Popen(
            command, cwd=folder, env=environ, stdin=subprocess.DEVNULL, stdout=out, stderr=err
        )
        read = _bytes_read(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        said = errors.read_text(errors="replace").strip()[-2000:]
        raise Failed(f"{' '.join(command)} ended with {process.returncode}: {said}")
    memory = usage.ru_maxrss * RSS_UNIT
    return Spent(usage.ru_utime + usage.ru_stime, memory, read)


def least_memory() -> int:
    """What no measurement of memory can be below, in bytes: the peak of this program.

    `ru_maxrss` of this process would count what had started it as well.
    """
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT


def _bytes_read(pid: int) -> int | None:
    """What a process had read when it ended. Linux keeps that until it is waited for."""
    if not sys.platform.startswith("linux"):
        return None
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    with suppress(OSError, ValueError, KeyError):
        lines = Path(f"/proc/{pid}/io").read_text().splitlines()
        return int(dict(line.split(": ") for line in lines)["rchar"])
    return None


def perstack_command() -> list[str]:
    """The console script that stands beside this Python.

    Raises:
        Failed: there is none.
    """
    script = Path(sys.executable).parent / "perstack"
    if not script.is_file():
        raise Failed(f"There is no {script}. Run this as `uv run benchmarks/run`.")
    return [str(script)]


def environment(home: Path, url: str = "", authorities: Path | None = None) -> dict[str, str]:
    """What a measured process finds around itself: nothing of the user's settings."""
    environ = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "ANTHROPIC_API_KEY": "sk-benchmark-no-real-key",
        "ANTHROPIC_BASE_URL": url,
    }
    if authorities is not None:
        environ["SSL_CERT_FILE"] = str(authorities)
    return environ
