"""Where and how often it is measured, and the runs that several rows need."""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from .processes import Spent, environment, perstack_command, spent
from .worlds import model_server, reading, workspace

BOUND_STEPS = 400
"""The length of a long run that the bounds are for."""
BOUND_JOBS = 1000
"""The number of jobs at once that the bounds are for."""
BOUND_DELTAS = 25_000
"""The length of a streamed reply that the bounds are for."""


@dataclass
class Bench:
    """Where it is measured, how often, and what several rows need."""

    scratch: Path
    runs: int
    steps: int = BOUND_STEPS
    jobs: int = BOUND_JOBS
    deltas: int = BOUND_DELTAS
    notes: list[str] = field(default_factory=list[str])
    _read: Path | None = None
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def long_runs(self) -> int:
        """How often something is run that takes seconds."""
        return max(1, self.runs // 3)

    def folder(self) -> Path:
        """A place for a new workspace."""
        return self.scratch / f"w{next(self._numbers)}"

    def run(self, folder: Path, url: str, *options: str, trust: Path | None = None) -> Spent:
        """One `perstack run` of the reader; its events in `stdout.jsonl`."""
        command = [*perstack_command(), "run", "reader", "Read it.", "--max-steps", "2000"]
        environ = environment(self.scratch, url, trust)
        return spent([*command, *options], folder, environ, folder / "stdout.jsonl")

    def read_job(self) -> Path:
        """A workspace in which a job of all steps has come to rest."""
        if self._read is None:
            self._read = workspace(self.folder())
            with model_server(self.scratch, reading(self.steps)) as (url, _):
                self.run(self._read, url)
        return self._read

    @contextmanager
    def copy_of(self, folder: Path) -> Generator[Path]:
        """The same workspace again, for one run."""
        place = self.folder()
        shutil.copytree(folder, place)
        yield place
        shutil.rmtree(place)
