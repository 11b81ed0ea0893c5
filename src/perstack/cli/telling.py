"""Every event of a job, put where the workbench takes it from."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from perstack.runtime.environment import Listener, Published

if TYPE_CHECKING:
    from perstack.schema.event import Fact, Shown, TextStreamed


class Telling(Listener):
    """Hands facts, and what is not stored, to those who take them. Never waits."""

    hears_text = True

    def __init__(
        self, tell_fact: Callable[[Fact], None], tell: Callable[[Shown | TextStreamed], None]
    ) -> None:
        self._tell_fact = tell_fact
        self._tell = tell

    async def recorded(self, published: Published) -> None:
        """Tell of a fact."""
        self._tell_fact(published.fact)

    async def shown(self, event: Shown) -> None:
        """Tell of something that is not stored."""
        self._tell(event)

    async def said(self, event: TextStreamed) -> None:
        """Tell of a piece of a reply."""
        self._tell(event)
