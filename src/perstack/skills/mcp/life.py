"""One life of a skill's server: from its start to whatever ended it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from perstack.skills.mcp.session import Session

_MAX_REASON = 2000


class Life:
    """One process of the server, or one session with it, which is up while it has a `session`.

    It has `begun` once the server is started, and is `settled` once it is up or has failed.

    `problem` says why it ended, `number` counts the restarts before it. One `has_expired`
    whose session the server ended after it had served: nothing is wrong with the server.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.begun = anyio.Event()
        self.settled = anyio.Event()
        self.over = anyio.Event()
        self.scope = anyio.CancelScope()
        self.session: Session | None = None
        self.problem = ""
        self.has_served = False
        self.has_expired = False

    def fail(self, reason: str) -> None:
        """It is of no use any more."""
        self.problem = self.problem or reason[:_MAX_REASON]
        self.over.set()
        self.begun.set()
        self.settled.set()
