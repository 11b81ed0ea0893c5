"""A form: one labelled control for each field, sent as one JSON object."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Button, Checkbox, Input, Select, Static

from perstack.tui.fields import BadValue, typed_of
from perstack.tui.typing_order import Line
from perstack.tui.words import content_of, json_of, line_of
from perstack.views.plain import plain

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from perstack.tui.fields import Field

LABEL_LIMIT = 200
_WORDS = {True: "yes", False: "no"}


class YesOrNo(Checkbox):
    """Says in a word what its box says."""

    def __init__(self, *, is_yes: bool) -> None:
        super().__init__(_WORDS[is_yes], value=is_yes, compact=True)
        self._mark(is_yes=is_yes)

    def on_checkbox_changed(self, changed: Checkbox.Changed) -> None:
        """The other word."""
        self._mark(is_yes=changed.value)
        self.label = _WORDS[changed.value]

    def _mark(self, *, is_yes: bool) -> None:
        self.BUTTON_INNER = "X" if is_yes else " "


class FieldRow(Vertical):
    """One field: its label, its control, and what is wrong with what was typed."""

    def __init__(self, field: Field) -> None:
        super().__init__()
        self.field = field
        self.control = _control(field)
        self._problem = Static("", classes="problem")

    def compose(self) -> ComposeResult:
        """From top to bottom."""
        yield Static(_label(self.field))
        yield self.control
        yield self._problem

    def on_mount(self) -> None:
        """Nothing is wrong yet."""
        self._problem.display = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing was typed or chosen."""
        return self._typed == ""

    @property
    def _typed(self) -> str:
        match self.control:
            case Input(value=value):
                return value
            case Select() as select:
                return "" if select.is_blank() else str(select.value)
            case _:
                return "chosen"

    def value(self) -> object:
        """What the field holds.

        Raises:
            BadValue: it has to hold something, or something else.
        """
        if self.is_empty:
            if self.field.is_required:
                raise BadValue("this is needed")
            return None
        match self.control:
            case Checkbox(value=value):
                return value
            case Select() as select:
                return self.field.choices[int(str(select.value))]
            case _:
                is_default = self._typed == _shown_default(self.field)
                return self.field.value_of(typed_of(self.field) if is_default else self._typed)

    def say(self, problem: str) -> None:
        """Say what is wrong, or no more."""
        self._problem.update(content_of(problem, "$text-error"))
        self._problem.display = bool(problem)


class Form(Vertical):
    """Sends what it holds once every field holds what it may; loses nothing before."""

    class Sent(Message):
        """A person sent the form. `text` is a JSON object."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self, fields: tuple[Field, ...]) -> None:
        super().__init__()
        self._rows = [FieldRow(field) for field in fields]

    def compose(self) -> ComposeResult:
        """The fields in their order, and a button."""
        yield from self._rows
        yield Button("Send", compact=True)

    def begin(self) -> None:
        """Bring the focus to the first field."""
        first = self._rows[0]
        first.control.focus()
        self.call_after_refresh(first.scroll_visible, animate=False)  # it has grown into its place

    def send(self) -> None:
        """Send it, or say what is wrong and go there."""
        values: dict[str, object] = {}
        wrong: list[FieldRow] = []
        for row in self._rows:
            try:
                if (value := row.value()) is not None or not row.is_empty:
                    values[row.field.name] = value
                row.say("")
            except BadValue as problem:
                row.say(str(problem))
                wrong.append(row)
        if wrong:
            wrong[0].control.focus()
        else:
            self.post_message(self.Sent(json_of(values)))

    def on_input_submitted(self, entered: Input.Submitted) -> None:
        """Enter leads to the next field; from the last one it sends."""
        entered.stop()
        controls = [row.control for row in self._rows]
        place = controls.index(entered.input) + 1
        if place < len(controls):
            controls[place].focus()
        else:
            self.send()

    def on_button_pressed(self, pressed: Button.Pressed) -> None:
        """Send it."""
        pressed.stop()
        self.send()


def _label(field: Field) -> Content:
    told = [line_of(field.label, "bold", LABEL_LIMIT)]
    if field.is_required:
        told.append(Content.styled("(needed)", "$text-warning"))
    if field.about:
        told.append(line_of(field.about, "dim", LABEL_LIMIT))
    return Content(" ").join(told)


def _control(field: Field) -> Input | Checkbox | Select[int]:
    if field.kind == "boolean":
        return YesOrNo(is_yes=field.default is True)
    if field.kind == "choice":
        shown = [
            (line_of(each if isinstance(each, str) else json_of(each)), place)
            for place, each in enumerate(field.choices)
        ]
        is_chosen = field.default is not None and field.default in field.choices
        chosen = field.choices.index(field.default) if is_chosen else Select.NULL
        return Select(shown, prompt="choose", value=chosen, compact=True)
    return Line(_shown_default(field), placeholder=field.expected or "text", compact=True)


def _shown_default(field: Field) -> str:
    return plain(typed_of(field), 2000, one_line=True)
