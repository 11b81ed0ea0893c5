"""A question for a person: what is asked, and the answers that are offered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from perstack.tui.asked import asked_of
from perstack.tui.part import Part
from perstack.tui.words import BODY_LIMIT, arguments_of, body_of, line_of
from perstack.views.plain import plain

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from perstack.schema.skill import InteractiveTool
    from perstack.schema.tool import ToolCall
    from perstack.tui.asked import Detail, Offered
    from perstack.tui.form import Form

State: TypeAlias = Literal["waiting", "active", "answered", "over"]

LONGEST = 40_000
"""Characters of an argument that are shown: a person has to know what they answer."""

_HEADS: dict[State, tuple[str, str, str]] = {
    "waiting": ("?", "$text-muted", "waits for its turn"),
    "active": ("?", "bold $text-warning", ""),
    "answered": ("✓", "bold $text-success", ""),
    "over": ("-", "$text-muted", ""),
}
_CHOICES_HINT = "Up, Down and Enter, a number, or any other text"
_FORM_HINT = "Tab to the next field, Ctrl-S sends; other text is an answer too"


class Choices(OptionList, can_focus=False):
    """The answers that are offered. The focus stays where the person types."""

    def on_mount(self) -> None:
        """Nothing is chosen, so that Enter alone answers nothing."""
        self.highlighted = None


class Question(Part, Vertical):
    """The call that waits. It offers its answers while it is its turn."""

    class Answered(Message):
        """A person picked or filled in an answer."""

        def __init__(self, call_id: str, text: str) -> None:
            super().__init__()
            self.call_id = call_id
            self.text = text

    def __init__(self, call: ToolCall, tool: InteractiveTool | None = None) -> None:
        super().__init__()
        self.call_id = call.id
        self._call = call
        self._asked = asked_of(call, tool.input_json_schema if tool is not None else "")
        self._state: State = "waiting"
        self._given = ""
        self._head, self._answer = Static(""), Static("", classes="answer")
        self._choices = self._form = None
        if self._asked.choices:
            offers = enumerate(self._asked.choices, 1)
            self._choices = Choices(*(Option(_offer(*each)) for each in offers), compact=True)
        if self._asked.fields:
            from perstack.tui.form import Form

            self._form = Form(self._asked.fields)

    def compose(self) -> ComposeResult:
        """From top to bottom."""
        yield self._head
        for detail in self._asked.details:
            yield Static(_told(detail))
        if self._choices is not None:
            yield Static(line_of(self._asked.offer, "bold"))
            yield self._choices
        if self._form is not None:
            yield self._form
        yield self._answer

    def on_mount(self) -> None:
        """Show how it stands."""
        self._stand(self._state)

    @property
    def original(self) -> str:
        """The call and its arguments."""
        return f"{self._call.tool_name}\n{arguments_of(self._call.args)}"

    @property
    def shown(self) -> str:
        """What it asks, as far as it is shown."""
        told = (
            f"{each.label} {each.about}\n{each.value[:LONGEST]}" for each in self._asked.details
        )
        offered = (f"{each.shown} {each.about}" for each in self._asked.choices)
        return plain("\n".join([self._call.tool_name, *told, *offered, self._given]))

    @property
    def is_needed(self) -> bool:
        """As long as no answer was given."""
        return self._state in {"waiting", "active"}

    @property
    def form(self) -> Form | None:
        """The form, while it can be filled in."""
        return self._form if self._state == "active" else None

    def stand(self, state: State) -> None:
        """Its turn comes, or passes. An answer that was given stays."""
        if self._state != "answered":
            self._stand(state)

    def answered(self, text: str) -> None:
        """Show the answer that was given."""
        self._given = text[:BODY_LIMIT]
        self._answer.update(Content.assemble(("> ", "bold $text-accent"), body_of(text, "bold")))
        self._stand("answered")

    def move(self, places: int) -> None:
        """Up or down among what is offered."""
        if self._choices is not None and self._state == "active":
            if places < 0:
                self._choices.action_cursor_up()
            else:
                self._choices.action_cursor_down()

    def meant_by(self, typed: str) -> str | None:
        """The answer that `typed` stands for: a choice, by its number or by nothing, or itself.

        None where nothing was typed and nothing is chosen.
        """
        offered = self._asked.choices
        words = typed.strip()
        if not words:
            place = self._choices.highlighted if self._choices is not None else None
            return offered[place].text if place is not None else None
        if words in {choice.text for choice in offered}:
            return words
        if words.isascii() and words.isdigit() and len(words) <= 3 and offered:
            place = int(words) - 1
            if 0 <= place < len(offered):
                return offered[place].text
        return typed

    def on_option_list_option_selected(self, picked: OptionList.OptionSelected) -> None:
        """It was picked with the mouse."""
        picked.stop()
        text = self._asked.choices[picked.option_index].text
        self.post_message(self.Answered(self.call_id, text))

    def on_form_sent(self, sent: Form.Sent) -> None:
        """The form was filled in."""
        sent.stop()
        self.post_message(self.Answered(self.call_id, sent.text))

    def _stand(self, state: State) -> None:
        self._state = state
        self.set_class(state == "active", "-active")
        mark, style, words = _HEADS[state]
        if state == "active" and (self._choices or self._form):
            words = _CHOICES_HINT if self._choices else _FORM_HINT
        told = [line_of(f"{mark} {self._call.tool_name}", style), line_of(words, "dim")]
        self._head.update(Content("  ").join(told))
        if self._choices is not None:
            self._choices.display = state in {"waiting", "active"}
            self._choices.disabled = state != "active"
        if self._form is not None:
            self._form.display = state == "active"
        self._answer.display = state == "answered"


def _told(detail: Detail) -> Content:
    label, value = line_of(detail.label, "bold"), body_of(detail.value, limit=LONGEST)
    if not detail.about and "\n" not in detail.value:
        return Content.assemble(label, ": ", value)
    return Content.assemble(label, "  ", line_of(detail.about, "dim"), "\n", value)


def _offer(number: int, choice: Offered) -> Content:
    about = (line_of(f"  {choice.about}", "dim"),) if choice.about else ()
    return Content.assemble((f"{number:>2} ", "$text-accent"), line_of(choice.shown), *about)
