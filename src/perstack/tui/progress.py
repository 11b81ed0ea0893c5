"""How far the job is: a fold of its facts, and the line that tells it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from textual.content import Content

from perstack.schema.event import (
    Fact,
    GenerationStarted,
    Retried,
    RunCompleted,
    RunStarted,
    RuntimeInitialized,
    ToolsCalled,
)
from perstack.schema.usage import NO_USAGE, Usage
from perstack.tui.skill_states import SkillStates
from perstack.tui.words import cached, line_of, shortened
from perstack.views.cost import Bills, Cost, cost_text

State: TypeAlias = Literal["ready", "running", "stopping", "waiting", "stopped"]

STYLES: dict[State, str] = {
    "ready": "$text-success",
    "running": "bold $text-accent",
    "stopping": "bold $text-warning",
    "waiting": "bold $text-warning",
    "stopped": "bold $text-error",
}


@dataclass(slots=True)
class Progress:
    """What the status bar shows. `used` is the coordinator's share of its context window.

    `worked_ms` is how long the job has moved while it was watched.
    """

    expert_key: str
    bills: Bills
    state: State = "ready"
    model: str = ""
    steps: int = 0
    max_steps: int | None = None
    usage: Usage = NO_USAGE
    used: float | None = None
    worked_ms: int = 0
    skills: SkillStates = field(default_factory=SkillStates)
    _delegated: set[str] = field(default_factory=set[str])

    def feed(self, fact: Fact) -> Cost:
        """Take one more fact into account. What it cost."""
        self.skills.feed(fact)
        match fact:
            case RuntimeInitialized(model=model, max_steps=limit):
                self.model, self.max_steps = model, limit
            case RunStarted(delegated_by=delegated_by) if delegated_by is not None:
                self._delegated.add(fact.run_id)
            case GenerationStarted():
                self.steps += 1
            case ToolsCalled() | RunCompleted():
                self._count(fact)
            case Retried(usage=usage):
                self.usage += usage
            case _:
                pass
        return self.bills.feed(fact)

    def _count(self, fact: ToolsCalled | RunCompleted) -> None:
        self.usage += fact.usage
        window = fact.context_window
        if window and fact.usage.total_tokens and fact.run_id not in self._delegated:
            self.used = fact.usage.total_tokens / window

    @property
    def parts(self) -> tuple[Content, ...]:
        """All of it, the most telling first; nothing of what no reply has told yet."""
        limit = f"/{self.max_steps}" if self.max_steps is not None else ""
        told = [f"step {self.steps}{limit}", *self._taken, duration(self.worked_ms)]
        return (
            Content.styled(f"● {self.state}", STYLES[self.state]),
            line_of(self.expert_key, "bold", 40),
            line_of(self.model or "no model yet", limit=40),
            *map(Content, told),
        )

    @property
    def _taken(self) -> list[str]:
        usage = self.usage
        told = [cost_text(self.bills.total)]
        if usage.total_tokens:
            tokens = f"in {shortened(usage.input_tokens)}{cached(usage)}"
            told = [tokens, f"out {shortened(usage.output_tokens)}", self._filled, *told]
        return [words for words in told if words]

    @property
    def _filled(self) -> str:
        return f"context {'?' if self.used is None else f'{self.used:.0%}'}"


def duration(ms: int) -> str:
    """Minutes and seconds, with hours where there are any."""
    minutes, seconds = divmod(ms // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
