"""The beginning of every line of a log, read without the rest."""

from __future__ import annotations

import msgspec


class Head(msgspec.Struct, frozen=True, rename="camel"):
    """What a line says of its event: enough to choose and to order by.

    Runtime events have no `expert_key` and no `step_number`. `tool_results` and
    `definition` are left as they are on the line, and only `startRun` has them.
    """

    type: str
    seq: int
    id: str = ""
    timestamp: int = 0
    job_id: str = ""
    run_id: str = ""
    expert_key: str | None = None
    step_number: int | None = None
    tool_results: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    definition: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET

    @property
    def is_restart(self) -> bool:
        """Whether a run moves again, with the answers it waited for."""
        has_answers = self.tool_results is not msgspec.UNSET
        return self.type == "startRun" and has_answers and self.definition is msgspec.UNSET


decode_head = msgspec.json.Decoder(Head).decode
"""One line's head. Raises `ValueError` or `RecursionError` for what is no event."""
