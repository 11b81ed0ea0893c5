"""The workbench's `Session`: a job that is carried out, and goes on with what is typed."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import anyio
import msgspec

from perstack.assembly.continuation import job_id_of
from perstack.assembly.execute import execute, open_store
from perstack.assembly.lock import load_lock
from perstack.assembly.parts import Parts
from perstack.cli.agreed import Agreed
from perstack.cli.job_history import history_of
from perstack.cli.session import Notices, words_ahead
from perstack.cli.telling import Telling
from perstack.config.changes import project_changes
from perstack.config.remote import is_url
from perstack.errors import PerstackError, cause_of
from perstack.runtime.environment import Stop
from perstack.schema.event import RunStarted
from perstack.tui.session import Happening, Moving, Notice, Past, Rested
from perstack.views.marks import Marks
from perstack.views.plain import counted

if TYPE_CHECKING:
    from perstack.assembly.lock import Lock
    from perstack.assembly.outcome import Outcome
    from perstack.cli.wanted import Wanted
    from perstack.config.request import RunRequest
    from perstack.schema.event import Fact
    from perstack.tui.session import Choice
    from perstack.views.marks import Mark

Wish: TypeAlias = Callable[[], Awaitable[None]]


class JobSession:
    """Carries out one wish after another, all of one job; see `tui.session.Session`.

    What is wanted is read anew from its files for each of them.

    Attributes:
        request: what was carried out last, or is being carried out.
        job_id: the job, once it has begun.
        is_moving: whether the job moves.
        error: what ended the session, where that is a fault of ours.
    """

    def __init__(self, wanted: Wanted, request: RunRequest) -> None:
        self.request = request
        self._wanted = wanted
        self._agreed = Agreed(request)
        self._said: set[str | None] = {None}
        self._events, self._told = anyio.create_memory_object_stream[Happening](math.inf)
        self._wishes, self._wished = anyio.create_memory_object_stream[Wish](math.inf)
        self._stop: Stop | None = None
        self._stops_next = False
        self._is_closed = False
        self._rest = Rested(None)
        self._checkpoint_id: str | None = None
        self._marks = Marks()
        self.job_id: str | None = None
        self.is_moving = False
        self.error: Exception | None = None
        self._is_over = anyio.Event()

    @property
    def expert_key(self) -> str:
        """The Expert that is asked."""
        return self.request.expert_key or ""

    @property
    def models(self) -> tuple[Choice, ...]:
        """Models that can be asked here, as far as they are known."""
        from perstack.cli.choices import known_choices

        return (*self._wanted.offers, *known_choices(self.request))

    @property
    def checkpoints(self) -> Sequence[Mark]:
        """Those that can be gone back to."""
        return self._marks.found

    def happenings(self) -> AsyncIterator[Happening]:
        """Everything that happens, in order."""
        return self._told

    def tell(self, happening: Happening) -> None:
        """Put it where the workbench takes it from."""
        self._events.send_nowait(happening)

    def tell_fact(self, fact: Fact) -> None:
        """The same for a fact; the first one of a run tells which job this is."""
        if isinstance(fact, RunStarted):
            self.job_id, self._checkpoint_id = fact.job_id, None
            self._rest = Rested("running", is_interrupted=True)  # should no outcome come
        self._marks.feed(fact)
        self.tell(fact)

    def ask(self, query: str) -> None:
        """Begin the job with a query, or go on with it."""
        self._wish(partial(self._go_on, query))

    def answer(self, call_id: str, text: str) -> None:
        """Answer a question."""
        self._wish(partial(self._go_on, text, call_id))

    def carry_on(self) -> None:
        """Go on with what was interrupted."""
        self._wish(partial(self._go_on, None))

    def use_model(self, name: str) -> None:
        """Ask another model from the next query on."""
        self._wish(partial(self._use_model, name))

    def allow_steps(self, limit: str) -> None:
        """Let the job take that many steps, from the next query on."""
        self._wish(partial(self._allow_steps, limit))

    def go_back(self, checkpoint_id: str | None) -> None:
        """Have the next query begin a new run at a checkpoint; None takes that back."""
        self._wish(partial(self._show_past, checkpoint_id))

    def stop(self) -> None:
        """Bring the job to a halt, from which it can go on; also one that is about to move."""
        if self._stop is not None:
            self._stop.set("signal")
        elif self._wished.statistics().current_buffer_used:
            self._stops_next = True

    def close(self) -> None:
        """Bring the job to a halt, and carry out nothing more."""
        self._is_closed = True
        self._wishes.close()
        self.stop()

    async def ended(self) -> None:
        """Wait until nothing is carried out any more. Nobody takes happenings after that."""
        await self._is_over.wait()
        self._told.close()

    async def carry_out(self) -> None:
        """Do what is wished, one thing after the other, until the session is closed.

        What goes wrong and is the user's to mend is told; anything else ends the session.
        """
        try:
            with self._events, self._wished:
                await self._begin()
                async for wish in self._wished:
                    if self._is_closed:
                        break
                    await self._done(wish)
        except Exception as error:  # noqa: BLE001 - raised where the terminal is whole again
            self.error = error
        finally:
            self._is_over.set()

    def _wish(self, wish: Wish) -> None:
        self._wishes.send_nowait(wish)

    async def _done(self, wish: Wish) -> None:
        """Carry a wish out, and say how the job rests. What the user got wrong is told."""
        try:
            await wish()
        except (PerstackError, ExceptionGroup) as problem:
            cause = cause_of(problem)
            if not isinstance(cause, PerstackError):
                raise
            self._notice(cause.message, is_problem=True)
            self._stops_next = False
        self._tell_rest()

    def _tell_rest(self) -> None:
        is_earlier = self._checkpoint_id is not None
        self.tell(replace(self._rest, is_earlier=is_earlier))
        self._rest = replace(self._rest, unsent="")

    async def _begin(self) -> None:
        """Show what was before, and do what the command line asks for."""
        request = self.request
        lock = load_lock(request.project)
        if request.is_continuation:
            self.job_id = await job_id_of(request, open_store(request))
            await self._show_past(request.resume_from, is_new=True)
        self._tell_ahead(request, lock)
        if request.query is not None or self._rest.is_interrupted:
            self._rest = replace(self._rest, unsent=request.query or "")
            await self._done(partial(self._move, request, lock))
        else:
            self._tell_rest()

    async def _show_past(self, checkpoint_id: str | None, *, is_new: bool = False) -> None:
        """Tell what happened in the job so far, or up to a checkpoint, and how it rests there."""
        if self.job_id is None:
            return
        history = await history_of(open_store(self.request), self.job_id, checkpoint_id)
        counted = history.facts if is_new else ()
        for fact in counted:
            self._marks.feed(fact)
        self.tell(Past(history.leading, counted))
        self._checkpoint_id = checkpoint_id
        self._rest = history.rest

    async def _go_on(self, text: str | None, call_id: str | None = None) -> None:
        self._rest = replace(self._rest, unsent=text or "")
        request = await self._read(self._wanted.request)
        self._agreed.check(request)
        lock = load_lock(request.project)
        if changes := project_changes(self.request.project, request.project):
            project = request.project or self.request.project
            name = Path(project.path).name if project and project.path else "the configuration"
            self._notice(f"{name} was read anew: {changes}")
        self._tell_ahead(request, lock)
        self.request = self._going_on(request, text, call_id)
        await self._move(self.request, lock)

    async def _read(self, read: Callable[[], RunRequest]) -> RunRequest:
        """What is wanted now. The screen goes on while a file is fetched from the web."""
        if is_url(self._wanted.options.config or ""):
            return await anyio.to_thread.run_sync(read)
        return read()

    async def _move(self, request: RunRequest, lock: Lock | None) -> None:
        if self._is_closed:
            return
        self._stop, self.is_moving = Stop(), True
        if self._stops_next:
            self._stop.set("signal")
            self._stops_next = False
        self.tell(Moving())
        notices = Notices(request, lock, self._said, self._notice, is_watched=True)
        telling = Telling(self.tell_fact, self.tell)
        try:
            outcome = await execute(request, self._stop, [notices, telling], Parts(lock=lock))
            self._rest = self._rested(outcome)
        finally:
            self._stop, self.is_moving = None, False

    def _rested(self, outcome: Outcome) -> Rested:
        job = outcome.job
        is_cut_short = outcome.was_interrupted
        if job.status == "stoppedByMaxSteps":
            self._notice(
                f"stopped at the limit of {counted(job.max_steps or 0, 'step')}; "
                "F4 sets a higher one",
                is_problem=True,
            )
            is_cut_short = outcome.coordinator.status == "stoppedByDelegate"
        return Rested(job.status, outcome.questions, is_interrupted=is_cut_short)

    def _going_on(self, request: RunRequest, text: str | None, call_id: str | None) -> RunRequest:
        """The request that brings `text` to the job, or begins it.

        A run that was stopped is set aside for what a person wants in its place, unless
        there is no checkpoint yet at which another could begin.
        """
        checkpoint_id = self._checkpoint_id
        if checkpoint_id is None and self._rest.is_interrupted and text is not None:
            checkpoint_id = self._marks.newest_id
            if checkpoint_id is None:
                self._notice("what was stopped has no checkpoint yet: it goes on, and this follows")
        if call_id is not None:
            text = msgspec.json.encode({"toolCallId": call_id, "text": text}).decode()
        request = replace(request, expert_key=self.request.expert_key, query=text)
        if self.job_id is None:
            return request
        return replace(
            request,
            continue_job=self.job_id,
            continue_latest=False,
            job_id=None,
            resume_from=checkpoint_id,
            interactive=call_id is not None,
        )

    async def _use_model(self, name: str) -> None:
        request = await self._read(partial(self._wanted.ask_model, name))
        self._agreed.know(request)
        settings = request.settings
        provider = settings.provider.provider_name
        self._notice(f"from the next query on, {settings.model} of {provider} is asked")

    async def _allow_steps(self, limit: str) -> None:
        settings = (await self._read(partial(self._wanted.allow_steps, limit))).settings
        limit = counted(settings.max_steps, "step")
        self._notice(f"from the next query on, the job may take {limit}")

    def _tell_ahead(self, request: RunRequest, lock: Lock | None) -> None:
        older = lock.warning(request.project, request.expert_key or "") if lock else None
        self._said.add(older)
        for line in words_ahead(request, older):
            if line not in self._said:
                self._said.add(line)
                self._notice(line)

    def _notice(self, text: str, *, is_problem: bool = False) -> None:
        self.tell(Notice(text, is_problem=is_problem))
