"""What the workbench is handed: a job that tells what happens, and takes what a person types."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from perstack.schema.checkpoint import JobStatus
from perstack.schema.event import Fact, Shown, TextStreamed
from perstack.schema.tool import ToolCall
from perstack.views.marks import Mark


@dataclass(frozen=True, slots=True)
class Moving:
    """The job moves, until it is told to rest."""


@dataclass(frozen=True, slots=True)
class Rested:
    """The job came to rest: it waits for `questions` to be answered, or for a query.

    `status` is None before the job has begun. `is_interrupted`: it can be carried on
    without a query. `is_earlier`: the next query, or answer, begins at the checkpoint that
    was gone back to, and not where the job is. `unsent` is what was typed and could not be
    carried out.
    """

    status: JobStatus | None
    questions: tuple[ToolCall, ...] = ()
    is_interrupted: bool = False
    is_earlier: bool = False
    unsent: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something a person must know. `is_problem`: it kept the job from moving."""

    text: str
    is_problem: bool = False


@dataclass(frozen=True, slots=True)
class Past:
    """What happened before, to be shown in the place of all that is shown.

    `counted` are facts that were never told before.
    """

    facts: tuple[Fact, ...]
    counted: tuple[Fact, ...] = ()


Happening: TypeAlias = Fact | Shown | TextStreamed | Moving | Rested | Notice | Past


@dataclass(frozen=True, slots=True)
class Choice:
    """Something that a person may pick: what it is called, where it comes from, and about it.

    `key` is what is given back. Texts are untrusted.
    """

    key: str
    description: str
    origin: str
    name: str = ""
    group: str = ""


class Session(Protocol):
    """A job of one Expert, that goes on with each query.

    Contract: no method waits. What is given while the job moves is carried out after
    it came to rest.
    """

    @property
    def expert_key(self) -> str:
        """The Expert that is asked."""
        ...

    def happenings(self) -> AsyncIterator[Happening]:
        """Everything that happens, in order; ends when the session does. Asked for once."""
        ...

    def ask(self, query: str) -> None:
        """Begin the job with a query, or go on with it."""
        ...

    def answer(self, call_id: str, text: str) -> None:
        """Answer a question."""
        ...

    def carry_on(self) -> None:
        """Go on with what was interrupted."""
        ...

    def stop(self) -> None:
        """Bring the job to a halt, from which it can go on. Nothing where it is at rest."""
        ...

    @property
    def models(self) -> tuple[Choice, ...]:
        """Models that can be asked here, as far as they are known."""
        ...

    @property
    def checkpoints(self) -> Sequence[Mark]:
        """Those of the job that can be gone back to, the newest last."""
        ...

    def use_model(self, name: str) -> None:
        """Ask another model from the next query on: `model`, or `provider/model`."""
        ...

    def allow_steps(self, limit: str) -> None:
        """Let the job take that many steps, from the next query on."""
        ...

    def go_back(self, checkpoint_id: str | None) -> None:
        """Have the next query begin a new run at a checkpoint; None takes that back."""
        ...
