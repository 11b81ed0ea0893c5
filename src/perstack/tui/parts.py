"""The parts of a transcript: what was asked, done, thought and said."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import Static

from perstack.tui.diffs import diff_of
from perstack.tui.part import Fold, Part
from perstack.tui.prose import Prose
from perstack.tui.words import (
    BODY_LIMIT,
    arguments_of,
    body_of,
    cached,
    content_of,
    line_of,
    result_of,
    shortened,
    subject_of,
    trouble_of,
)
from perstack.views.cost import cost_text
from perstack.views.plain import plain

if TYPE_CHECKING:
    from perstack.schema.tool import ToolCall, ToolResult
    from perstack.schema.usage import Usage
    from perstack.views.cost import Cost


OPEN_LINES = 12
"""Of the longest diff that is shown unfolded."""


class Said(Part, Static):
    """What a person said: a query, or an answer."""

    def __init__(self, text: str) -> None:
        super().__init__(Content.assemble(("> ", "bold $text-accent"), body_of(text, "bold")))
        self._text = text

    @property
    def original(self) -> str:
        """What was said."""
        return self._text


class Told(Part, Static):
    """What the runtime tells: a notice, a retry, a problem."""

    def __init__(self, text: str, *, is_problem: bool = False) -> None:
        style = "$text-error" if is_problem else "$text-warning"
        super().__init__(content_of(text, style, 2000))
        self._text = text

    @property
    def original(self) -> str:
        """What was told."""
        return self._text


class Spent(Static):
    """What a reply took and cost, at its end."""

    def __init__(self, usage: Usage, cost: Cost) -> None:
        told = (f"in {shortened(usage.input_tokens)}{cached(usage)}",)
        told += (f"out {shortened(usage.output_tokens)}", cost_text(cost) or "unknown cost")
        super().__init__(Content.styled("  ".join(told), "dim"))


class Thought(Fold):
    """Reasoning: open while it comes, folded when it is over."""

    def __init__(self, text: str = "") -> None:
        self.prose = Prose(text, classes="thought")
        super().__init__(self.prose, title="", collapsed=bool(text))
        self.entitle(Content.styled("Thought" if text else "Thinking …", "dim italic"))

    @property
    def original(self) -> str:
        """What was thought."""
        return self.prose.original

    @property
    def shown(self) -> str:
        """All of it."""
        return self.prose.shown

    async def finish(self) -> None:
        """Fold it."""
        await self.prose.finish()
        self.entitle(Content.styled("Thought", "dim italic"))
        self.collapsed = True


class ToolLine(Fold):
    """One call: a line that folds open to its arguments, or what it changes, and its result."""

    def __init__(self, call: ToolCall) -> None:
        self.call = call
        self.result = Static("", classes="result")
        self.diff = diff_of(call)
        arguments = arguments_of(call.args)
        self._asked, self._answer = f"{call.tool_name}\n{arguments}", ""
        asked = Static(body_of(arguments) if self.diff is None else self.diff)
        is_short = self.diff is not None and self.diff.plain.count("\n") < OPEN_LINES
        super().__init__(asked, self.result, title="", collapsed=not is_short)
        self._show("…", "$text-accent")

    @property
    def original(self) -> str:
        """The call, its arguments, and its result where it has one."""
        return f"{self._asked}\n\n{self._answer}" if self._answer else self._asked

    @property
    def shown(self) -> str:
        """The same, as far as it is shown."""
        return plain(f"{self._asked[:BODY_LIMIT]}\n{self._answer[:BODY_LIMIT]}")

    def answered(self, result: ToolResult) -> None:
        """Show the result."""
        text = self._answer = result_of(result)
        if result.is_error:
            self.result.update(body_of(text, "$text-error"))
            self._show("✗", "bold $text-error", trouble_of(text))
        else:
            self.result.update(body_of(text, "dim") if self.diff is None else "")
            self._show("✓", "$text-success")

    def cut_short(self) -> None:
        """The run stopped, or went on, without an answer."""
        self._show("-", "$text-warning")

    def _show(self, mark: str, style: str, trouble: str = "") -> None:
        title = Content.assemble(
            (mark, style),
            " ",
            line_of(self.call.tool_name, "bold", 60),
            " ",
            line_of(subject_of(self.call)),
            line_of(f"  {trouble}", "$text-error") if trouble else "",
        )
        self.entitle(title)
