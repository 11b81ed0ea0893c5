"""One run's log for whoever only looks: from either end, without a lock, past what is damaged."""

from __future__ import annotations

import os
from contextlib import contextmanager
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from perstack.schema.head import Head, decode_head
from perstack.storage.folders import file_descriptor, open_below, storage_error
from perstack.storage.log import LOG_NAME, MAX_LINE, problem_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

CHUNK = 256 * 1024
FIRST_CHUNK = 16 * 1024
"""Bytes read first: often only a log's end is asked for."""


class Entry(NamedTuple):
    """One event of a log: its head, and its line without a newline.

    `is_cut_off`: read from the beginning, something ahead of it in its log was damaged.
    """

    head: Head
    line: bytes
    is_cut_off: bool = False


class RunReader:
    """A run's log as far as it reached when this was made, or last grew.

    What is damaged is told, once for each place, and passed over; lines are not
    decoded beyond their heads. The file is open only while a piece of it is read, so
    that a job may have any number of runs. Methods raise `StorageError` for a log
    that cannot be read.

    Attributes:
        torn_at: where its last line begins, if that ends in its middle; else None.
    """

    def __init__(self, root: Path, job_id: str, run_id: str, tell: Callable[[str], None]) -> None:
        self.job_id = job_id
        self.run_id = run_id
        self.path = root / "jobs" / job_id / "runs" / run_id / LOG_NAME
        self.torn_at: int | None = None
        self._names = ("jobs", job_id, "runs", run_id)
        self._root = root
        self._tell = tell
        self._read = 0  # how far `newer` has come, and what must stand there
        self._number = 1
        self._seq: int | None = 1
        self._is_cut_off = False
        self._end = 0
        self.grow()

    def grow(self) -> None:
        """Look at how far the log reaches now."""
        with self._opened() as descriptor:
            self._end = 0 if descriptor is None else os.fstat(descriptor).st_size

    def newer(self) -> Iterator[Entry]:
        """The events behind those that this has given already, oldest first."""
        held = b""
        at = self._read
        size = FIRST_CHUNK
        while at < self._end and (chunk := self._piece(at, min(size, self._end - at))):
            at += len(chunk)
            size = max(CHUNK, len(held))  # doubling keeps long lines linear
            *lines, held = (held + chunk).split(b"\n")
            for line in lines:
                number, seq = self._number, self._seq
                self._read += len(line) + 1
                self._number += 1
                entry = self._entry(line, number)
                if entry is None:
                    self._is_cut_off = True
                    self._seq = None if seq is None else seq + 1
                    continue
                if seq not in (None, entry.head.seq):
                    self._is_cut_off = True
                    self._damaged(number, f"event {seq} must stand here, and another one does")
                self._seq = entry.head.seq + 1
                yield entry._replace(is_cut_off=True) if self._is_cut_off else entry
            if len(held) > MAX_LINE:
                self._damaged(self._number, f"it is longer than {MAX_LINE} bytes")
                return
        self.torn_at = self._read if held else None

    def older(self) -> Iterator[Entry]:
        """All events, newest first."""
        held = b""
        at = self._end
        size = FIRST_CHUNK
        is_tail = True  # no line end was met yet
        after: int | None = None  # the number of the event behind
        while at > 0:
            begin = max(0, at - size)
            pieces = (self._piece(begin, at - begin) + held).split(b"\n")
            places = [*accumulate((len(piece) + 1 for piece in pieces), initial=begin)]
            if is_tail and (begin == 0 or len(pieces) > 1):
                is_tail = False
                torn = pieces.pop()
                self.torn_at = places[len(pieces)] if torn else None
            held = pieces.pop(0) if begin > 0 else b""
            first = 0 if begin == 0 else 1
            for index in range(len(pieces) - 1, -1, -1):
                entry, after = self._before(pieces[index], places[index + first], after)
                if entry is not None:
                    yield entry
            at = begin
            size = max(CHUNK, len(held))  # doubling keeps long lines linear
            if len(held) > MAX_LINE:
                self._damaged(self._line_at(at), f"it is longer than {MAX_LINE} bytes")
                return
        if after is not None and after > 1:
            self._damaged(1, "event 1 must stand here, and another one does")

    def of_type(self, kind: str) -> Iterator[Entry]:
        """The events of one type, oldest first: quickly, and past damage without a word."""
        needle = f'"type":"{kind}"'.encode()
        held = b""
        at = 0
        while at < self._end and len(held) <= MAX_LINE:
            piece = self._piece(at, min(max(CHUNK, len(held)), self._end - at))
            if not piece:
                return
            at += len(piece)
            whole, _, held = (held + piece).rpartition(b"\n")
            if needle in whole:
                named = [line for line in whole.split(b"\n") if needle in line]
                yield from self._meant(kind, named)

    def _meant(self, kind: str, lines: list[bytes]) -> Iterator[Entry]:
        for line in lines:
            try:
                head = decode_head(line)
            except (ValueError, RecursionError):
                continue
            if head.type == kind and self._is_own(head):
                yield Entry(head, line)

    def pass_over(self) -> None:
        """Take all that there is as given, so that `newer` gives only what is added."""
        at = self._end
        while at > 0:
            begin = max(0, at - CHUNK)
            newline = self._piece(begin, at - begin).rfind(b"\n")
            at = begin
            if newline >= 0:
                self._read = begin + newline + 1
                break
        self._number = self._line_at(self._read)
        self._seq = None

    def _before(
        self, line: bytes, place: int, after: int | None
    ) -> tuple[Entry | None, int | None]:
        """The event at `place`, and its number; where it is none, the one it should have."""
        entry = self._entry(line, None, place)
        if entry is None:
            return None, None if after is None else after - 1
        seq = entry.head.seq
        if after not in (None, seq + 1):
            number = self._line_at(place + len(line) + 1)
            self._damaged(number, f"event {number} must stand here, and another one does")
        return entry, seq

    def _entry(self, line: bytes, number: int | None, place: int = 0) -> Entry | None:
        """The event on a line; None where it is none, which is told."""
        try:
            head = decode_head(line)
        except (ValueError, RecursionError) as error:
            problem = f"it {problem_of(error)}"
        else:
            if self._is_own(head):
                return Entry(head, line)
            problem = f"it belongs to another {'job' if head.job_id != self.job_id else 'run'}"
        self._damaged(self._line_at(place) if number is None else number, problem)
        return None

    def _is_own(self, head: Head) -> bool:
        return head.run_id == self.run_id and head.job_id == self.job_id

    def tell(self, entry: Entry, problem: str) -> None:
        """Say that an event is no good, though its head was."""
        self._damaged(entry.head.seq, problem)

    def _damaged(self, number: int, problem: str) -> None:
        self._tell(f"{self.path}, line {number}: {problem}")

    @property
    def torn_line(self) -> str | None:
        """What to say of a last line that is unfinished; None where there is none."""
        if self.torn_at is None:
            return None
        return f"{self.path}, line {self._line_at(self.torn_at)}: it is unfinished"

    def _line_at(self, place: int) -> int:
        """The number of the line that begins at a place."""
        number, at = 1, 0
        while at < place and (chunk := self._piece(at, min(CHUNK, place - at))):
            number += chunk.count(b"\n")
            at += len(chunk)
        return number

    def _piece(self, at: int, size: int) -> bytes:
        with self._opened() as descriptor:
            return b"" if descriptor is None else os.pread(descriptor, size, at)

    @contextmanager
    def _opened(self) -> Generator[int | None]:
        """The log's descriptor for the length of the block; None where there is no log."""
        try:
            with open_below(self._root, *self._names) as folder:
                descriptor = file_descriptor(self.path, folder, os.O_RDONLY)
        except FileNotFoundError:
            yield None
            return
        try:
            yield descriptor
        except OSError as error:
            raise storage_error("read", self.path, error) from error
        finally:
            os.close(descriptor)
