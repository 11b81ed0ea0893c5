"""Every error Perstack raises on purpose.

Whose problem it is decides the branch::

    PerstackError
    ├── UsageError                the command line, or a call of the API
    │   ├── NoSuchJob             a job id that names nothing here
    │   ├── NoSuchCheckpoint      a checkpoint id that names nothing in the job
    │   └── CannotContinue        the job rests on something else than what was given
    ├── ConfigurationError        a file or a variable: perstack.toml, .env, a missing key
    │   └── UnknownExpert         an Expert key that no definition answers to
    ├── StorageError              the place where facts are kept
    │   ├── CorruptLog            a log that was edited, or damaged before its last line
    │   ├── JobInUse              another process works on the job
    │   └── LeaseLost             this process no longer owns the job
    └── InternalError             us

Inside a run there are no exceptions: trouble of a model, a tool or a delegate
is a value and becomes an event. What is raised is raised before a run starts,
or because its facts can no longer be kept.
"""

from __future__ import annotations

from typing import cast


def cause_of(error: BaseException) -> BaseException:
    """What a task group's error is about: ours if it holds one, else the first in it."""
    leaves: list[BaseException] = []
    waiting: list[BaseException] = [error]
    while waiting:
        next_one = waiting.pop(0)
        if isinstance(next_one, BaseExceptionGroup):
            waiting.extend(cast("BaseExceptionGroup[BaseException]", next_one).exceptions)
        else:
            leaves.append(next_one)
    return next((leaf for leaf in leaves if isinstance(leaf, PerstackError)), leaves[0])


def words_of(error: BaseException) -> str:
    """What an error says. One of somebody else's may fail even at that."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - the error that matters is the other one
        return "it has no words for it"


class PerstackError(Exception):
    """The root. `exit_code` is what the command line exits with."""

    exit_code = 1

    @property
    def message(self) -> str:
        """The sentence for the user: the thing, the place and the way out."""
        return str(self.args[0]) if self.args else type(self).__name__

    def __str__(self) -> str:
        return self.message


class UsageError(PerstackError):
    """The command line, or an argument of the API, cannot be honoured."""

    exit_code = 2


class NoSuchJob(UsageError):
    """A job id that names nothing in this workspace."""


class NoSuchCheckpoint(UsageError):
    """A checkpoint id that names nothing in its job, or nothing one can go on from."""


class CannotContinue(UsageError):
    """The job rests on something other than what was given."""


class ConfigurationError(PerstackError):
    """A file or a variable is missing, unreadable or wrong.

    Attributes:
        problems: every problem found, each one line that names its place.
    """

    exit_code = 2

    def __init__(self, message: str, problems: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems

    @property
    def message(self) -> str:
        """The headline, then one indented line for each problem."""
        return "\n".join([str(self.args[0]), *(f"  {problem}" for problem in self.problems)])


class UnknownExpert(ConfigurationError):
    """An Expert key that no definition answers to."""


class StorageError(PerstackError):
    """Facts cannot be read or kept. What was kept before stays intact."""


class CorruptLog(StorageError):
    """A log was edited, or damaged before its last line. The message names file and line."""


class JobInUse(StorageError):
    """Another process works on the job."""


class LeaseLost(StorageError):
    """This process no longer owns the job; nothing more may be appended."""


class InternalError(PerstackError):
    """A law of our own was broken. Worth a bug report."""
