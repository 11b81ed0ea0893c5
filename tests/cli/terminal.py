"""`perstack` in a terminal of its own, for the life of a block."""

from __future__ import annotations

import fcntl
import os
import re
import select
import struct
import subprocess
import termios
import tty
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from cli.process import PERSTACK, QUIET

SEQUENCES = re.compile(r"\x1b(?:\[[0-9;?<>=]*[a-zA-Z]|\][^\x07]*\x07|[()=>].?)")


class Terminal:
    """What was written to it so far, and the keys that are pressed."""

    def __init__(self, ours: int, theirs: int, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self._written = b""
        self._ours, self._theirs = ours, theirs
        self._pressed_at = 0

    def until(self, text: str) -> None:
        """Read on until `text` was written since the last key was pressed.

        What is drawn in which order is not for a test to know.
        """
        while text not in self.since:
            self._read()

    @property
    def since(self) -> str:
        """What was written since the last key was pressed, without its sequences."""
        return SEQUENCES.sub("", _text(self._written[self._pressed_at :]))

    def press(self, keys: str | bytes) -> None:
        self._pressed_at = len(self._written)
        os.write(self._ours, keys.encode() if isinstance(keys, str) else keys)

    def read_all(self) -> None:
        """Read what is there by now; what is waited for comes after it."""
        while select.select([self._ours], [], [], 0)[0]:
            self._read()
        self._pressed_at = len(self._written)

    def hang_up(self) -> None:
        """Be gone, as when a window is closed or a connection is lost."""
        os.close(self._ours)
        self._ours = -1

    def ended(self) -> int:
        """Its exit code, once it has ended and everything is read."""
        while self.process.poll() is None or select.select([self._ours], [], [], 0)[0]:
            self._read(0.1)
        return self.process.returncode

    def close(self) -> None:
        """Let go of both ends."""
        for end in {self._ours, self._theirs} - {-1}:
            os.close(end)

    @property
    def raw(self) -> str:
        """Everything that was written, with its sequences."""
        return _text(self._written)

    def settings(self) -> list[object]:
        return termios.tcgetattr(self._theirs)

    def _read(self, seconds: float | None = None) -> None:
        if select.select([self._ours], [], [], seconds)[0]:
            self._written += os.read(self._ours, 65536)


def _text(written: bytes) -> str:
    return written.decode(errors="replace")  # the end may be half of a character


def told_on_a_terminal(
    *words: str, cwd: Path, env: dict[str, str] | None = None, stream: str = "stdout"
) -> tuple[int, str]:
    """The exit code of a command line, and what a terminal gets on one of its streams."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    with subprocess.Popen(
        [str(PERSTACK), *words],
        cwd=cwd,
        env=QUIET | (env or {}),
        stdout=theirs if stream == "stdout" else subprocess.DEVNULL,
        stderr=theirs if stream == "stderr" else None,
    ) as process:
        os.close(theirs)
        told = b""
        try:
            while piece := os.read(ours, 65536):
                told += piece
        except OSError:  # the last writer is gone
            pass
        os.close(ours)
    return process.returncode, told.decode()


@contextmanager
def in_a_terminal(*words: str, cwd: Path, env: dict[str, str] | None = None) -> Generator[Terminal]:
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    process = subprocess.Popen(
        [str(PERSTACK), *words],
        cwd=cwd,
        env=QUIET | {"TERM": "xterm-256color"} | (env or {}),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    terminal = Terminal(ours, theirs, process)
    try:
        yield terminal
    finally:
        process.kill()
        process.wait()
        terminal.close()
