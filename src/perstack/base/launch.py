"""What a process is started with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Launch(NamedTuple):
    """A program and everything it starts with. `mark` names the variable that marks it.

    `is_kept`: it gets a keeper, where the system has what that takes. The keeper takes
    some 10 ms of a processor, and the process starts that much later unless one is up already.
    """

    program: str
    argv: Sequence[str]
    directory: str
    env: Mapping[str, str]
    mark: str
    is_kept: bool = False


class Streams(NamedTuple):
    """The ends of the standard streams that a process is given."""

    stdin: int
    stdout: int
    stderr: int
