"""`perstack` in a terminal of its own: what it draws, which keys are pressed, what it costs."""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from .processes import RSS_UNIT, Failed, Spent, environment, perstack_command

ROWS, COLUMNS = 40, 100
PATIENCE = 120.0
"""Seconds to wait for what has to come."""

SEQUENCES = re.compile(rb"\x1b(?:\[[0-9;?<>=]*[a-zA-Z]|\][^\x07]*\x07|[()=>].?)")
QUIT = b"\x11"
KEPT = 4000
"""Bytes of what was drawn that are searched again: a word may come in two pieces."""


class Screen:
    """A process and its terminal. `drawn_at` of a word is a time since the epoch."""

    def __init__(self, ours: int, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self._ours = ours
        self._drawn = b""

    def drawn_at(self, word: str) -> float:
        """Read on until `word` is drawn; when that was.

        Raises:
            Failed: it does not come.
        """
        started = now()
        while word.encode() not in SEQUENCES.sub(b"", self._drawn):
            self._drawn = self._drawn[-KEPT:]
            if now() - started > PATIENCE or not self._read():
                said = SEQUENCES.sub(b"", self._drawn).decode(errors="replace")[-1000:]
                raise Failed(f"The workbench does not draw {word!r}: {said}")
        return now()

    def press(self, keys: bytes) -> None:
        """Press keys, and forget what was drawn before."""
        self._drawn = b""
        os.write(self._ours, keys)

    def memory(self) -> int:
        """The peak of what was resident so far, in bytes. Linux alone tells it of others."""
        told = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"^VmHWM:\s*(\d+)", told, re.MULTILINE)
        return int(found[1]) * 1024 if found else 0

    def watch(self, seconds: float) -> None:
        """Take what is drawn in that time.

        Raises:
            Failed: the process has ended.
        """
        if select.select([self._ours], [], [], seconds)[0] and not self._read():
            raise Failed("The workbench has ended.")
        self._drawn = self._drawn[-KEPT:]

    def spent(self, how: bytes | int) -> Spent:
        """End it with a key or a signal, and account for it."""
        if isinstance(how, int):
            self.process.send_signal(how)
        else:
            self.press(how)
        while self._read():
            self._drawn = b""
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        return Spent(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * RSS_UNIT, None)

    def _read(self) -> bool:
        """Whether something came; False at the end."""
        if not select.select([self._ours], [], [], 1.0)[0]:
            return self.process.returncode is None
        with suppress(OSError):  # the terminal's last writer is gone
            piece = os.read(self._ours, 1 << 20)
            self._drawn += piece
            return bool(piece)
        return False


def now() -> float:
    """Seconds since the epoch, as another process sees them too."""
    return time.time()  # noqa: TID251 - the world's clock


@contextmanager
def screen(folder: Path, url: str, *words: str) -> Generator[Screen]:
    """`perstack` with these words in a terminal of 100 by 40, for the life of a block."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    process = subprocess.Popen(
        [*perstack_command(), *words],
        cwd=folder,
        env=environment(folder, url) | {"TERM": "xterm-256color"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        yield Screen(ours, process)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
            process.wait()
        os.close(ours)
