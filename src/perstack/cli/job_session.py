"""The workbench's `Session`: a job that is carried out, and goes on with what is typed."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import TYPE_CHECKING

import anyio
import msgspec

from perstack.assembly.continuation import job_id_of
from perstack.assembly.execute import execute, open_store
from perstack.assembly.parts import Parts
from perstack.cli.session import Notices
from perstack.config.request import RunRequest
from perstack.errors import PerstackError, cause_of
from perstack.kernel.answers import questions_of
from perstack.kernel.schedule import coordinator_of, job_status
from perstack.runtime.environment import Listener, Published, Stop
from perstack.schema.event import RunStarted
from perstack.tui.session import Happening, Moving, Notice, Rested
from perstack.views.fold import JobFold

if TYPE_CHECKING:
    from perstack.assembly.lock import Lock
    from perstack.assembly.outcome import Outcome
    from perstack.schema.event import Fact, Shown


class Telling(Listener):
    """Puts every event of a job where the workbench takes it from, and never waits."""

    def __init__(self, session: JobSession) -> None:
        self._session = session

    async def recorded(self, published: Published) -> None:
        """Tell of a fact."""
        self._session.tell_fact(published.fact)

    async def shown(self, event: Shown) -> None:
        """Tell of something that is not stored."""
        self._session.tell(event)


class JobSession:
    """Carries out one request after another, all of one job; see `tui.session.Session`.

    Attributes:
        job_id: the job, once it has begun.
        is_moving: whether a request is being carried out.
        error: what ended the session, where that is a fault of ours.
    """

    def __init__(self, request: RunRequest, lock: Lock | None) -> None:
        self._request = request
        self._lock = lock
        older = lock.warning(request.project, request.expert_key or "") if lock else None
        self._listeners = [Notices(request, lock, older, self._notice), Telling(self)]
        self._events, self._told = anyio.create_memory_object_stream[Happening](math.inf)
        self._wishes, self._wished = anyio.create_memory_object_stream[RunRequest](math.inf)
        self._stop: Stop | None = None
        self._is_closed = False
        self._rest = Rested(None)
        self.job_id: str | None = None
        self.is_moving = False
        self.error: Exception | None = None
        self._is_over = anyio.Event()

    @property
    def expert_key(self) -> str:
        """The Expert that is asked."""
        return self._request.expert_key or ""

    def happenings(self) -> AsyncIterator[Happening]:
        """Everything that happens, in order."""
        return self._told

    def tell(self, happening: Happening) -> None:
        """Put it where the workbench takes it from."""
        self._events.send_nowait(happening)

    def tell_fact(self, fact: Fact) -> None:
        """The same for a fact; the first one of a run tells which job this is."""
        if isinstance(fact, RunStarted):
            self.job_id = fact.job_id
        self.tell(fact)

    def ask(self, query: str) -> None:
        """Begin the job with a query, or go on with it."""
        self._wishes.send_nowait(self._going_on(query))

    def answer(self, call_id: str, text: str) -> None:
        """Answer a question."""
        named = msgspec.json.encode({"toolCallId": call_id, "text": text}).decode()
        self._wishes.send_nowait(replace(self._going_on(named), interactive=True))

    def carry_on(self) -> None:
        """Go on with what was interrupted."""
        self._wishes.send_nowait(self._going_on(None))

    def stop(self) -> None:
        """Bring the job to a halt, from which it can go on."""
        if self._stop is not None:
            self._stop.set("signal")

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
                async for request in self._wished:
                    if self._is_closed:
                        break
                    await self._move(request)
        except Exception as error:  # noqa: BLE001 - raised where the terminal is whole again
            self.error = error
        finally:
            self._is_over.set()

    async def _begin(self) -> None:
        """Show what was before, and do what the command line asks for."""
        request = self._request
        if request.is_continuation:
            self._rest = await self._past(await job_id_of(request, open_store(request)))
        if request.query is not None or self._rest.is_interrupted:
            await self._move(request)
        else:
            self.tell(self._rest)

    async def _past(self, job_id: str) -> Rested:
        """Tell what happened in a job so far, and how it rests."""
        store = open_store(self._request)
        facts: list[Fact] = []
        for run_id in await store.runs(job_id):
            facts += [fact async for fact in store.events(job_id, run_id)]
        fold = JobFold()
        for fact in facts:
            fold.feed(fact)
        for fact in sorted(facts, key=lambda fact: fact.timestamp):
            self.tell(fact)
        if self._request.resume_from is None:
            self.job_id = job_id
        status = job_status(fold.states)
        coordinator = coordinator_of(fold.states)
        questions = questions_of(coordinator) if coordinator is not None else ()
        is_cut_short = any(state.is_interrupted for state in fold.states.values())
        return Rested(status, questions, is_interrupted=is_cut_short or status == "running")

    async def _move(self, request: RunRequest) -> None:
        self._stop, self.is_moving = Stop(), True
        self.tell(Moving())
        try:
            parts = Parts(lock=self._lock)
            outcome = await execute(request, self._stop, [*self._listeners], parts)
            self._rest = self._rested(outcome)
        except (PerstackError, ExceptionGroup) as problem:
            cause = cause_of(problem)
            if not isinstance(cause, PerstackError):
                raise
            self._notice(cause.message, is_problem=True)
        finally:
            self._stop, self.is_moving = None, False
        self.tell(self._rest)

    def _rested(self, outcome: Outcome) -> Rested:
        job = outcome.job
        if job.status == "stoppedByMaxSteps":
            self._notice(
                f"stopped at the limit of {job.max_steps} steps: quit, and go on with a higher "
                "--max-steps",
                is_problem=True,
            )
        return Rested(job.status, outcome.questions, is_interrupted=outcome.was_interrupted)

    def _going_on(self, query: str | None) -> RunRequest:
        """The request that brings `query` to the job, or begins it."""
        if self.job_id is None:
            return replace(self._request, query=query)
        return replace(
            self._request,
            query=query,
            continue_job=self.job_id,
            continue_latest=False,
            job_id=None,
            resume_from=None,
            interactive=False,
        )

    def _notice(self, text: str, *, is_problem: bool = False) -> None:
        self.tell(Notice(text, is_problem=is_problem))
