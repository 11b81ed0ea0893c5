"""Which questions there are, and whose turn it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from perstack.tui.questions import Question

if TYPE_CHECKING:
    from perstack.schema.skill import InteractiveSkill, InteractiveTool
    from perstack.schema.tool import ToolCall, ToolResult


class Asking:
    """Keeps the questions that have no answer yet. Whoever gets a new one shows it."""

    def __init__(self) -> None:
        self._questions: dict[str, Question] = {}

    def new(
        self, calls: Iterable[ToolCall], skills: Mapping[str, InteractiveSkill]
    ) -> list[Question]:
        """The questions among a reply's calls. Those that wait already are not new."""
        return [
            self._made(call, skill.tools.get(call.tool_name))
            for call in calls
            if (skill := skills.get(call.skill_name)) is not None and call.id not in self._questions
        ]

    def missing(self, calls: Iterable[ToolCall]) -> list[Question]:
        """Those of questions that wait and are not on the screen."""
        return [
            self._made(call, None)
            for call in calls
            if (known := self._questions.get(call.id)) is None or not known.is_attached
        ]

    def turn(self, calls: tuple[ToolCall, ...]) -> Question | None:
        """These wait, and no others: the first one now. It, if there is one."""
        waiting = {call.id for call in calls}
        for call_id, question in self._questions.items():
            question.stand("waiting" if call_id in waiting else "over")
        if not calls:
            return None
        first = self._questions[calls[0].id]
        first.stand("active")
        return first

    def answered(self, result: ToolResult) -> bool:
        """Show an answer in its question. Whether that is on the screen."""
        question = self._questions.pop(result.id, None)
        if question is None or not question.is_attached:
            return False
        question.answered(result.text)
        return True

    def _made(self, call: ToolCall, tool: InteractiveTool | None) -> Question:
        question = self._questions[call.id] = Question(call, tool)
        return question
