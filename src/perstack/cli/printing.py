"""Words and JSON on standard output, for commands that show what is there."""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Callable, Iterable

import msgspec

from perstack.schema.line import json_document, json_line
from perstack.views.log.paint import Paint
from perstack.views.plain import plain


class Printer:
    """Writes to standard output, and damage and remarks, each once, to standard error."""

    def __init__(self, *, is_pretty: bool = False) -> None:
        self._is_pretty = is_pretty
        self._told: set[str] = set()
        stdout: object = sys.stdout
        if isinstance(stdout, io.TextIOWrapper):
            stdout.reconfigure(errors="backslashreplace")  # of a locale without our lines

    @property
    def width(self) -> int | None:
        """Columns of the terminal; None where it is none."""
        return shutil.get_terminal_size().columns if sys.stdout.isatty() else None

    @property
    def paint(self) -> Paint:
        """Colours, on a terminal that has them and whose user wants them (no-color.org)."""
        wants = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        return Paint(has_colours=sys.stdout.isatty() and wants)

    def lines(self, lines: Iterable[str]) -> None:
        """Lines that are safe to print."""
        for line in lines:
            sys.stdout.write(f"{line}\n")

    def json(self, line: bytes) -> None:
        """One JSON value, whose text may be anybody's: what a terminal obeys is escaped."""
        safe = json_line(msgspec.Raw(line))
        shown = msgspec.json.format(safe, indent=2) if self._is_pretty else safe
        sys.stdout.flush()
        sys.stdout.buffer.write(shown + b"\n")

    def document(self, value: object) -> None:
        """One JSON value over several lines, whatever texts and names of files are in it."""
        sys.stdout.flush()
        sys.stdout.buffer.write(json_document(value) + b"\n")

    def shown(self, show: Callable[[], int]) -> int:
        """What `show` returns, an exit code, once all that it wrote is out.

        A reader that has seen enough is no error, and Ctrl-C ends it without a word.
        """
        try:
            code = show()
            self.flush()
        except KeyboardInterrupt:
            return 130
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            return 0
        return code

    def flush(self) -> None:
        """Let a reader have everything so far."""
        sys.stdout.flush()
        sys.stdout.buffer.flush()

    def tell(self, line: str) -> None:
        """A remark for a person."""
        if line not in self._told:
            self._told.add(line)
            self.flush()
            sys.stderr.write(f"{plain(line)}\n")
