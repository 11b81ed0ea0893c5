"""One run's log: a file with one event a line."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from perstack.errors import CorruptLog, StorageError
from perstack.schema.event import MAX_EVENT_BYTES, Fact, decode_fact
from perstack.storage.folders import file_descriptor, storage_error, sync, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOG_NAME = "events.jsonl"
MAX_LINE = MAX_EVENT_BYTES
CHUNK = 256 * 1024
FIRST_CHUNK = 8 * 1024
"""Bytes read first: often only a log's beginning is asked for."""
SHOWN = 200


class _Position(msgspec.Struct):
    seq: int


class RunLog:
    """A log that this process appends to, under the lease on its job.

    Its descriptor may be closed and opened again at any time between two calls;
    where the log ends is remembered, so that a change behind our back is noticed.
    """

    __slots__ = ("descriptor", "in_sync", "is_torn", "last_seq", "path", "size")

    def __init__(self, path: Path, folder: int) -> None:
        """Open the log at `path`, in the folder `folder`, and cut off a torn last line.

        Raises:
            CorruptLog: its last whole line cannot be read.
            StorageError: it cannot be opened.
        """
        self.path = path
        self.in_sync = False
        self.is_torn = False
        self.descriptor = file_descriptor(path, folder, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        try:
            found = os.fstat(self.descriptor).st_size
            self.size, self.last_seq = _end_of(self.descriptor, found, path)
            if self.size < found:
                os.ftruncate(self.descriptor, self.size)
        except OSError as error:
            self.close()
            raise storage_error("repair", path, error) from error
        except StorageError:
            self.close()
            raise

    def reopen(self, folder: int) -> None:
        """Open a closed log again.

        Raises:
            StorageError: it cannot be opened, or is no longer as it was left.
        """
        try:
            self.descriptor = file_descriptor(self.path, folder, os.O_RDWR | os.O_APPEND)
        except FileNotFoundError as error:
            raise storage_error("open", self.path, error) from error
        if os.fstat(self.descriptor).st_size != self.size:
            self.close()
            raise StorageError(f"{self.path} was changed by another program; nothing is added")

    def close(self) -> None:
        """Give the descriptor back. May be called twice."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def append(self, seq: int, line: bytes) -> None:
        """Add one event, or leave the log as it was.

        Raises:
            StorageError: it was not kept; the message says why.
        """
        if self.is_torn:
            raise StorageError(f"{self.path} ends in the middle of an event; nothing is added")
        if seq != self.last_seq + 1:
            message = f"{self.path} ends at event {self.last_seq}; event {seq} cannot follow it"
            raise StorageError(message)
        if len(line) > MAX_LINE or b"\n" in line:
            message = (
                f"Event {seq} cannot be added to {self.path}: "
                f"an event is one line of at most {MAX_LINE} bytes"
            )
            raise StorageError(message)
        try:
            write_whole(self.descriptor, line + b"\n")
        except OSError as error:
            self._cut_back()
            raise storage_error("write", self.path, error) from error
        self.size += len(line) + 1
        self.last_seq = seq

    def _cut_back(self) -> None:
        try:
            os.ftruncate(self.descriptor, self.size)
        except OSError:
            self.is_torn = True  # the next owner of the job repairs it

    def sync(self) -> None:
        """Once this returns, what was appended survives the machine.

        Raises:
            OSError, StorageError: it may not; or the log was removed.
        """
        if os.fstat(self.descriptor).st_nlink == 0:
            raise StorageError(f"{self.path} was removed")
        sync(self.descriptor)


def _end_of(descriptor: int, size: int, path: Path) -> tuple[int, int]:
    """Where the last whole line of a log ends, and its sequence number. 0, 0 where none is.

    What follows the last newline is torn: it was being written when its process died.
    """
    tail, start = b"", size
    while start > 0 and tail.count(b"\n") < 2:
        if len(tail) > MAX_LINE * (1 + tail.count(b"\n")):
            raise CorruptLog(f"{path}: its last line is longer than {MAX_LINE} bytes")
        begin = max(0, start - max(CHUNK, len(tail)))  # doubling keeps long lines linear
        tail = os.pread(descriptor, start - begin, begin) + tail
        start = begin
    newline = tail.rfind(b"\n")
    if newline < 0:
        return 0, 0
    last = tail[tail.rfind(b"\n", 0, newline) + 1 : newline]
    try:
        return start + newline + 1, msgspec.json.decode(last, type=_Position).seq
    except (ValueError, RecursionError) as error:
        raise CorruptLog(f"{path}: its last line {problem_of(error)}") from error


def facts(descriptor: int, path: Path, job_id: str, run_id: str) -> Iterator[list[Fact]]:
    """The events of a log, in batches, as far as it reached when this began.

    A torn last line is left out.

    Raises:
        CorruptLog: a line is not the event that must stand there; names file and line.
        StorageError: it cannot be read.
    """
    seq = 0
    for lines in _whole_lines(descriptor, path):
        batch: list[Fact] = []
        for line in lines:
            seq += 1
            batch.append(_checked_fact(line, seq, path, job_id, run_id))
        yield batch


def _whole_lines(descriptor: int, path: Path) -> Iterator[list[bytes]]:
    try:
        left = os.fstat(descriptor).st_size
        number, held, pending = 1, 0, [b""]
        size = FIRST_CHUNK
        while left > 0 and (chunk := os.read(descriptor, min(size, left))):
            left -= len(chunk)
            size = CHUNK
            first, *rest = chunk.split(b"\n")
            pending.append(first)
            held += len(first)
            if held > MAX_LINE:
                message = f"{path}, line {number}: it is longer than {MAX_LINE} bytes"
                raise CorruptLog(message)
            if rest:
                lines = [b"".join(pending), *rest[:-1]]
                pending, held = [rest[-1]], len(rest[-1])
                number += len(lines)
                yield lines
    except OSError as error:
        raise storage_error("read", path, error) from error


def _checked_fact(line: bytes, seq: int, path: Path, job_id: str, run_id: str) -> Fact:
    try:
        fact = decode_fact(line)
    except (ValueError, RecursionError) as error:
        raise CorruptLog(f"{path}, line {seq}: it {problem_of(error)}") from error
    if fact.job_id == job_id and fact.run_id == run_id and fact.seq == seq:
        return fact
    if fact.job_id != job_id:
        problem = "it belongs to another job"
    elif fact.run_id != run_id:
        problem = "it belongs to another run"
    else:
        problem = f"event {seq} must stand here, and another one does"
    raise CorruptLog(f"{path}, line {seq}: {problem}")


def problem_of(error: Exception) -> str:
    """What is wrong with a line, to follow its place: short, and nothing a terminal would obey."""
    if isinstance(error, RecursionError):
        return "is nested too deeply"
    said = ascii(str(error))[1:-1]
    return f"is no event: {said if len(said) <= SHOWN else said[:SHOWN] + '...'}"
