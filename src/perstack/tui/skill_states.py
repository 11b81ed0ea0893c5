"""Which skills are up: a fold of a job's facts, and the line that tells it."""

from __future__ import annotations

from typing import Literal, TypeAlias

from textual.content import Content
from textual.widget import Widget

from perstack.schema.event import (
    DelegatesCalled,
    Fact,
    RunCompleted,
    RunStarted,
    RunStoppedByError,
    RunStoppedByExceededMaxSteps,
    RuntimeInitialized,
    SkillConnected,
    SkillDisconnected,
    SkillReported,
    SkillStarting,
)
from perstack.tui.words import line_of

State: TypeAlias = Literal["connected", "starting", "troubled", "lost"]

_MARKS: dict[State, tuple[str, str]] = {
    "connected": ("●", "$text-success"),
    "starting": ("…", "$text-accent"),
    "troubled": ("!", "bold $text-warning"),
    "lost": ("✗", "bold $text-error"),
}
_RANKS: tuple[State, ...] = ("connected", "starting", "troubled", "lost")
"""Of the states of one skill in several runs, the last one of these is told."""

_ENDS = (RunCompleted, RunStoppedByError, RunStoppedByExceededMaxSteps)
_GRAVE = frozenset({"error", "critical", "alert", "emergency"})
_HEAD = "skills:"
_NAME_LIMIT = 20


class SkillStates:
    """The skills of the coordinator's newest run, and of delegates that have not ended."""

    def __init__(self) -> None:
        self._runs: dict[str, dict[str, State]] = {}
        self._delegated: set[str] = set()

    def feed(self, fact: Fact) -> None:
        """Take one more fact into account."""
        skills = self._runs.setdefault(fact.run_id, {})
        match fact:
            case RuntimeInitialized():
                skills.clear()
            case DelegatesCalled(children=children):
                self._delegated.update(child.run_id for child in children)
            case RunStarted():
                self._begin(fact.run_id)
            case SkillStarting(skill_name=name):
                skills[name] = "starting"
            case SkillConnected(skill_name=name):
                skills[name] = "connected"
            case SkillReported(skill_name=name) if _is_grave(fact) and name in skills:
                skills[name] = "troubled"
            case SkillDisconnected(skill_name=name, tools_lost=True):
                skills[name] = "lost"
            case SkillDisconnected(skill_name=name):
                skills.pop(name, None)
            case _:
                if isinstance(fact, _ENDS) and fact.run_id in self._delegated:
                    del self._runs[fact.run_id]

    def _begin(self, run_id: str) -> None:
        """Where this is the coordinator's run, an earlier one is over."""
        if run_id not in self._delegated:
            for other in self._runs.keys() - self._delegated - {run_id}:
                del self._runs[other]

    @property
    def all(self) -> dict[str, State]:
        """Each skill that is up, or should be."""
        told: dict[str, State] = {}
        for skills in self._runs.values():
            for name, state in skills.items():
                told[name] = _RANKS[max(map(_RANKS.index, (state, told.get(name, state))))]
        return told

    def line(self, width: int) -> Content:
        """All of them, in `width` columns: those that are not well come first if there are many."""
        told = self.all
        words = [_word(name, state) for name, state in told.items()]
        if words and _width(words) > width:
            by_need = sorted(told.items(), key=lambda each: -_RANKS.index(each[1]))
            words = [_word(name, state) for name, state in by_need]
            kept = len(words) - 1
            while kept and _width([*words[:kept], _more(len(words) - kept)]) > width:
                kept -= 1
            words = [*words[:kept], _more(len(words) - kept)]
        return Content("  ").join([Content.styled(_HEAD, "dim"), *words])


class SkillBar(Widget):
    """One line about skills; none where no skill has been started."""

    def __init__(self, states: SkillStates) -> None:
        super().__init__()
        self._states = states
        self.display = False

    def show(self) -> None:
        """Show what is known by now."""
        self.display = bool(self._states.all)
        self.refresh()

    def render(self) -> Content:
        """As much as there is room for."""
        return self._states.line(self.size.width)


def _is_grave(report: SkillReported) -> bool:
    return report.source == "server" and report.level in _GRAVE


def _word(name: str, state: State) -> Content:
    mark, style = _MARKS[state]
    return Content.assemble((mark, style), " ", line_of(name, limit=_NAME_LIMIT))


def _more(count: int) -> Content:
    return Content.styled(f"and {count} more", "dim")


def _width(words: list[Content]) -> int:
    return len(_HEAD) + sum(2 + word.cell_length for word in words)
