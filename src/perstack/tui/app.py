"""The workbench itself: a transcript, an input line, and a status bar."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from textual.content import Content
from textual.widgets.collapsible import CollapsibleTitle

from perstack.schema.event import DisplayEvent
from perstack.tui.key_bar import KeyBar
from perstack.tui.keys import KEYS
from perstack.tui.menus import NEWEST, checkpoint_menu, limit_menu, model_menu
from perstack.tui.narrator import Narrator
from perstack.tui.parts import Told
from perstack.tui.progress import Progress
from perstack.tui.prompt import Prompt
from perstack.tui.reading import Reading
from perstack.tui.session import Moving, Notice, Past, Rested
from perstack.tui.skill_states import SkillBar
from perstack.tui.status import StatusBar
from perstack.tui.transcript import KEPT
from perstack.views.cost import NO_COST, Bills
from perstack.views.plain import plain

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType
    from textual.events import Key

    from perstack.schema.tool import ToolCall
    from perstack.tui.questions import Question
    from perstack.tui.session import Happening, Session
    from perstack.views.cost import Price

FLUSH_SECONDS = 0.05
"""Between two draws of what a model streams."""

LATEST = 2000
"""Facts of what was before that are told: more would not be kept on the screen."""

TICK_SECONDS = 0.5
"""Between two looks at the clock."""


class Workbench(Reading):
    """Shows one session, and gives it what a person types. Ends when the session does.

    `clock` gives ms that never go back, `price` what a reply costs.
    """

    CSS_PATH = "workbench.tcss"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = KEYS

    def __init__(
        self, session: Session, clock: Callable[[], int], price: Price, kept: int = KEPT
    ) -> None:
        super().__init__(kept)
        self._session = session
        self._clock = clock
        self._price = price
        self._seen_ms = 0
        self.progress = Progress(session.expert_key, Bills(price))
        self.status = StatusBar(self.progress)
        self.skills = SkillBar(self.progress.skills)
        self._narrator = Narrator(self.transcript)
        self._questions: tuple[ToolCall, ...] = ()
        self._question: Question | None = None
        self._can_carry_on = False
        self._is_earlier = False

    def compose(self) -> ComposeResult:
        """From top to bottom."""
        yield self.transcript
        yield self.prompt
        yield self.search
        yield self.status
        yield self.skills
        yield KeyBar()

    def on_mount(self) -> None:
        """Begin to listen."""
        self.title = plain(f"perstack {self._session.expert_key}", 80, one_line=True)
        self.prompt.focus()
        self._wait_for_a_person()
        self.set_interval(FLUSH_SECONDS, self._draw_streams)
        self.set_interval(TICK_SECONDS, self._tick)
        self.run_worker(self._listen())

    async def _draw_streams(self) -> None:
        await self._narrator.flush()

    async def _listen(self) -> None:
        async for happening in self._session.happenings():
            await self._hear(happening)
        self.exit()

    async def _hear(self, happening: Happening) -> None:
        match happening:
            case Moving():
                self._seen_ms = self._clock()
                self._move()
                await self._ask(())
            case Rested():
                self._rest(happening)
                await self._ask(happening.questions)
            case Notice(text=text, is_problem=is_problem):
                await self.transcript.add(Told(text, is_problem=is_problem))
            case Past():
                await self._show_past(happening)
            case _:
                cost = NO_COST
                if not isinstance(happening, DisplayEvent):
                    cost = self.progress.feed(happening)
                    self._show_status()
                await self._narrator.tell(happening, cost)

    async def _show_past(self, past: Past) -> None:
        for fact in past.counted:
            self.progress.feed(fact)
        await self.transcript.clear()
        self._narrator = Narrator(self.transcript)
        bills = Bills(self._price)
        costs = [bills.feed(fact) for fact in past.facts]
        for fact, cost in [*zip(past.facts, costs, strict=True)][-LATEST:]:
            await self._narrator.tell(fact, cost)

    def _move(self) -> None:
        self._questions, self._can_carry_on = (), False
        self.progress.state = "running"
        self.prompt.placeholder = "running; Esc stops it"
        self._show_status()

    def _rest(self, rested: Rested) -> None:
        self._tick()
        self._questions, self._can_carry_on = rested.questions, rested.is_interrupted
        self._is_earlier = rested.is_earlier
        if rested.is_interrupted:
            self.progress.state = "stopped"
        else:
            self.progress.state = "waiting" if rested.questions else "ready"
        if rested.unsent:
            self.prompt.give_back(rested.unsent)
        self._wait_for_a_person()

    def _wait_for_a_person(self) -> None:
        if self._questions:
            name = plain(self._questions[0].tool_name, 40, one_line=True)
            hint = f"answer {name}"
        elif self._is_earlier:
            hint = "what to do from this checkpoint; F3 goes elsewhere"
        elif self._can_carry_on:
            hint = "what to do next; Enter alone carries on"
        else:
            hint = "what to do"
        self.prompt.placeholder = Content(hint)
        self._show_status()

    def _tick(self) -> None:
        if self.progress.state in {"running", "stopping"}:
            now = self._clock()
            self.progress.worked_ms += now - self._seen_ms
            self._seen_ms = now
            self._show_status()

    def _show_status(self) -> None:
        self.status.show()
        self.skills.show()

    def on_prompt_sent(self, message: Prompt.Sent) -> None:
        """What was typed is an answer, or a query."""
        if self.progress.state in {"running", "stopping"}:
            self.notify("It is still running; Esc stops it.", markup=False)
            self.prompt.give_back(message.text)
            return
        text = message.text
        if self._question is not None:
            text = self._question.meant_by(text) or ""
        if text.strip() or self._can_carry_on:
            self._send(text)

    def _send(self, text: str) -> None:
        if not text.strip():
            self._session.carry_on()
        elif self._questions:
            self._session.answer(self._questions[0].id, text)
        else:
            self._session.ask(text)
        self.transcript.follow()
        self._seen_ms = self._clock()
        self._move()

    def action_model(self) -> None:
        """Ask which model the next query is for."""
        self.push_screen(model_menu(self._session.models), unless_left(self._session.use_model))

    def action_go_back(self) -> None:
        """Ask at which checkpoint the next query begins."""
        menu = checkpoint_menu(
            self._session.checkpoints,
            has_newest=self._is_earlier,
            heading="Back to which checkpoint?",
        )
        self.push_screen(menu, unless_left(self._go_back))

    def _go_back(self, key: str) -> None:
        self._session.go_back(None if key == NEWEST else key)

    def action_limit(self) -> None:
        """Ask how many steps the job may take."""
        self.push_screen(limit_menu(self.progress), unless_left(self._session.allow_steps))

    async def _ask(self, questions: tuple[ToolCall, ...]) -> None:
        """It is the first one's turn. Whoever types nothing begins in its form."""
        was_filled_in = self._question is not None and self._question.has_focus_within
        self._question = await self._narrator.ask(questions)
        form = self._question.form if self._question is not None else None
        if self._question is not None and len(questions) > 1:
            self.call_after_refresh(self._question.scroll_visible, animate=False)
        if self.search.is_open:
            return  # whoever types there goes on, and comes to the form after it
        if form is not None and not self.prompt.text:
            form.begin()
        elif was_filled_in:
            self.prompt.focus()

    def on_key(self, event: Key) -> None:
        """Whoever opened a fold with the mouse types on where they typed before."""
        if event.is_printable and event.character and isinstance(self.focused, CollapsibleTitle):
            self.prompt.focus()
            self.prompt.insert(event.character)

    def on_prompt_moved(self, message: Prompt.Moved) -> None:
        """Up or down among the answers that are offered."""
        if self._question is not None:
            self._question.move(message.places)

    def on_question_answered(self, message: Question.Answered) -> None:
        """An answer was picked, or a form was filled in."""
        if self._questions and self._questions[0].id == message.call_id:
            self._send(message.text)

    def on_search_bar_closed(self) -> None:
        """On with what was typed, or with the form that waits."""
        form = self._question.form if self._question is not None else None
        if form is not None and not self.prompt.text:
            form.begin()
        else:
            self.prompt.focus()

    def action_send_form(self) -> None:
        """Send the form that waits."""
        if self._question is not None and self._question.form is not None:
            self._question.form.send()

    def action_stop(self) -> None:
        """Bring the job to a halt; where there is none, say how to leave. A search comes first."""
        if self.search.is_open:
            self.search.close()
        elif self.progress.state == "running":
            self.progress.state = "stopping"
            self._session.stop()
            self._show_status()
        elif self.progress.state != "stopping":
            self.notify("Nothing is running; Ctrl-Q quits.", markup=False)


def unless_left(do: Callable[[str], None]) -> Callable[[str | None], None]:
    """Does it with what a menu ends with, unless nothing was chosen."""
    return lambda chosen: do(chosen) if chosen is not None else None
