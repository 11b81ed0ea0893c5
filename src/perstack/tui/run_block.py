"""The runs of delegates: one below the other, or side by side."""

from __future__ import annotations

from textual.containers import ItemGrid, Vertical
from textual.content import Content

from perstack.tui.part import Fold
from perstack.tui.words import line_of
from perstack.views.cost import NO_COST, Cost, cost_text
from perstack.views.plain import counted

NARROWEST = 36
"""Columns of a block that stands beside another: two of them fit into 80."""


class SideBySide(ItemGrid):
    """Holds the blocks of delegates that are asked at once, as many in a row as there is room."""

    def __init__(self) -> None:
        super().__init__(min_column_width=NARROWEST)


class RunBlock(Fold):
    """A delegate's run: who is asked what, how it stands, what it took, and its own parts."""

    def __init__(self, expert_key: str, query: str) -> None:
        self.parts = Vertical(classes="parts")
        self._who, self._query = expert_key, query
        self._steps, self._cost = 0, NO_COST
        self._status, self._style = "asked", "$text-accent"
        self.is_moving = True
        super().__init__(self.parts, title="", collapsed=False)
        self._entitle()

    @property
    def original(self) -> str:
        """Who was asked what."""
        return f"{self._who}: {self._query}"

    @property
    def is_needed(self) -> bool:
        """As long as it goes on."""
        return self.is_moving

    def show(self, status: str) -> None:
        """Say how the run stands: it goes on."""
        self.is_moving = True
        self._status, self._style = status, "$text-accent"
        self._entitle()

    def stepped(self) -> None:
        """One more step."""
        self._steps += 1
        self._entitle()

    def spent(self, cost: Cost) -> None:
        """One more reply, and what it cost."""
        self._cost += cost
        self._entitle()

    def ended(self, status: str, *, is_well: bool) -> None:
        """Say how the run ended, and fold it where it ended well."""
        self.is_moving = False
        self._status, self._style = status, "$text-success" if is_well else "$text-error"
        self._entitle()
        self.collapsed = is_well

    def _entitle(self) -> None:
        steps = counted(self._steps, "step") if self._steps else ""
        told = [
            Content.assemble(
                line_of(self._who, "bold", 60), " ", line_of(self._status, self._style, 80)
            ),
            *(Content.styled(words, "dim") for words in (steps, cost_text(self._cost)) if words),
            line_of(self._query, "dim"),
        ]
        self.entitle(Content("  ").join(told))
