"""One event of a job, as an embedding program gets it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from perstack.views.wire import Form, Seen, shown_line, wire_line

if TYPE_CHECKING:
    from perstack.runtime.environment import Published
    from perstack.schema.event import Fact, Shown


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    Attributes:
        detail: what, as one of the classes of `perstack.schema.event`.
        published: what `to_json` needs besides; None for an event that is not recorded.
    """

    detail: Fact | Shown
    published: Published | None = field(default=None, repr=False, compare=False)

    def __repr__(self) -> str:
        return f"Event({self.type}, run_id={self.run_id!r})"

    @property
    def type(self) -> str:
        """Its name in the events reference, such as "callTools"."""
        return str(self.detail.__struct_config__.tag)

    @property
    def is_recorded(self) -> bool:
        """Whether it stands in the log; the others are streamed and forgotten."""
        return self.published is not None

    @property
    def id(self) -> str:
        """Its own id, which nothing else has."""
        return self.detail.id

    @property
    def job_id(self) -> str:
        """The job it is of."""
        return self.detail.job_id

    @property
    def run_id(self) -> str:
        """The run it is of."""
        return self.detail.run_id

    def to_json(self, form: Form = "lean") -> bytes:
        """The line that `perstack run` writes for it, without a newline.

        Empty for an event that the form leaves out, which only "full" does.
        """
        if self.published is None:
            return shown_line(self.detail)  # pyright: ignore[reportArgumentType] - it is no fact
        seen = Seen(
            self.published.fact, self.published.line, self.published.before, self.published.after
        )
        return wire_line(form, seen) or b""
