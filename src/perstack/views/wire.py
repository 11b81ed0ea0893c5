"""The three forms of a run's events: stored, lean and full.

Lean is the stored line plus what follows from the log and is no larger than the
step. Full is the reference's own shape, with whole histories. All derive from
the same fold, so they agree byte for byte on what they share, live or read back.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from perstack.kernel.state import RunState
from perstack.schema.event import Fact, Shown
from perstack.schema.line import json_line
from perstack.views.derived import added_to
from perstack.views.reference import OUR_EVENTS, reference_fields, reference_messages

Form: TypeAlias = Literal["stored", "lean", "full"]


class Seen(msgspec.Struct, frozen=True):
    """One fact, its stored line (without a newline), and the states around it."""

    fact: Fact
    line: bytes
    before: RunState
    after: RunState


def lean_line(seen: Seen) -> bytes:
    """One lean line, without a newline."""
    added = added_to(seen.fact, seen.before, seen.after)
    fields = b"{}" if added is None else json_line(added)
    return seen.line if fields == b"{}" else seen.line[:-1] + b"," + fields[1:]


def full_line(seen: Seen) -> bytes | None:
    """One line in the reference's exact shape, or None for a fact that the reference has not."""
    if isinstance(seen.fact, OUR_EVENTS):
        return None
    fields = reference_fields(seen.fact)
    added = added_to(seen.fact, seen.before, seen.after, reference_messages)
    if added is not None:
        fields |= reference_fields(added)
    return json_line(fields)


def shown_line(event: Shown) -> bytes:
    """A display event, which is the same in lean and in full."""
    return json_line(event)


def wire_line(form: Form, seen: Seen) -> bytes | None:
    """The line in `form`, or None where that form leaves it out."""
    if form == "stored":
        return seen.line
    return lean_line(seen) if form == "lean" else full_line(seen)
