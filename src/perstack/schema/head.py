"""The beginning of every line of a log, read without the rest."""

from __future__ import annotations

import msgspec


class Something(msgspec.Struct, frozen=True):
    """An object that is there, whatever it holds."""


class Head(msgspec.Struct, frozen=True, rename="camel"):
    """What a line says of its event: enough to choose and to order by.

    Runtime events have no `expert_key` and no `step_number`. Of `tool_results` and
    `definition`, which only `startRun` has, it is known that they are there.
    """

    type: str
    seq: int
    id: str = ""
    timestamp: int = 0
    job_id: str = ""
    run_id: str = ""
    expert_key: str | None = None
    step_number: int | None = None
    tool_results: tuple[Something, ...] = ()
    definition: Something | None = None

    @property
    def is_restart(self) -> bool:
        """Whether a run moves again, with the answers it waited for."""
        return self.type == "startRun" and bool(self.tool_results) and self.definition is None


decode_head = msgspec.json.Decoder(Head).decode
"""One line's head. Raises `ValueError` or `RecursionError` for what is no event."""
