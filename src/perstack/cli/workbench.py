"""The workbench, put together: which Expert, its job, the app, signals, and last words."""

from __future__ import annotations

import select
import signal
from typing import TYPE_CHECKING, TypeVar

import anyio

from perstack.assembly.continuation import job_id_of
from perstack.assembly.execute import open_store
from perstack.assembly.experts import Experts
from perstack.assembly.lock import load_lock
from perstack.assembly.prices import price_of
from perstack.cli.first_model import kept_by, with_model
from perstack.cli.job_history import facts_of, marks_of
from perstack.cli.job_session import JobSession
from perstack.cli.session import STOPPING, continue_command, end_at_once, naming, say
from perstack.runtime.environment import monotonic_ms
from perstack.tui.app import Workbench
from perstack.tui.session import Notice

if TYPE_CHECKING:
    from anyio.abc import TaskStatus
    from textual.app import App
    from textual.screen import ModalScreen

    from perstack.cli.first_model import Ask
    from perstack.cli.wanted import Wanted
    from perstack.config.request import RunRequest

T = TypeVar("T")

HANGUP_SECONDS = 0.5
"""Between two looks at whether the terminal is still there."""


async def work(wanted: Wanted) -> int:
    """Open the workbench, and come back when a person has left it. The exit code."""
    caught = Caught()

    async def ask(screen: ModalScreen[str | None]) -> str | None:
        from perstack.tui.picker import Picker

        picker, chosen = Picker(screen), list[str | None]()
        async with anyio.create_task_group() as tasks:
            await tasks.start(caught.watch, picker)
            chosen.append(await shown(picker, caught))
            tasks.cancel_scope.cancel()
        return chosen[0]

    request = await _begun(wanted, ask)
    if request is None:
        return caught.signal or 0
    session = JobSession(wanted, request)
    if wanted.here is not None:
        session.tell(Notice(kept_by(wanted.here)))
    app = Workbench(session, monotonic_ms, price_of)
    async with anyio.create_task_group() as tasks:
        await tasks.start(caught.watch, app)
        tasks.start_soon(session.carry_out)
        await shown(app, caught)
        if session.is_moving:
            say("stopping; a signal ends it at once")
        session.close()
        await session.ended()
        tasks.cancel_scope.cancel()
    return await _conclude(session, wanted, caught.signal or app.return_code or 0)


async def _begun(wanted: Wanted, ask: Ask) -> RunRequest | None:
    """The request that a person begins with, all their choices made; None for one who leaves."""
    request = wanted.request()
    if request.is_continuation:
        await _go_on_with(wanted, request, await job_id_of(request, open_store(request)))
    elif request.expert_key is None and not await _pick(wanted, request, ask):
        return None
    request = wanted.chosen(request)
    expert = Experts(request, load_lock(request.project)).expert(request.expert_key or "")
    return await with_model(wanted, request, expert, ask)


async def _pick(wanted: Wanted, request: RunRequest, ask: Ask) -> bool:
    """Let a person pick an Expert, or a job and where to go on with it."""
    from perstack.cli.choices import EXPERT, JOB, first_choices
    from perstack.tui.menu import Menu
    from perstack.tui.menus import NEWEST, checkpoint_menu

    picked = await ask(Menu("Which Expert, or which job?", first_choices(request)))
    if picked is None:
        return False
    if picked.startswith(EXPERT):
        wanted.choose(expert_key=picked.removeprefix(EXPERT))
        return True
    job_id = picked.removeprefix(JOB)
    await _go_on_with(wanted, request, job_id)
    marks = marks_of(await facts_of(open_store(request), job_id)).found
    if len(marks) > 1:
        where = await ask(checkpoint_menu(marks, has_newest=True, heading="Go on where?"))
        if where is None:
            return False
        if where != NEWEST:
            wanted.choose(resume_from=where)
    return True


async def _go_on_with(wanted: Wanted, request: RunRequest, job_id: str) -> None:
    """Let it be about this job, and its Expert where none is named."""
    job = await open_store(request).get_job(job_id)
    key = job.coordinator_expert_key if job is not None else None
    wanted.choose(expert_key=request.expert_key or key, continue_job=job_id)


async def shown(app: App[T], caught: Caught) -> T | None:
    """What a person leaves the app with; None where the terminal is gone before."""
    result: T | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(leave_with_the_terminal, app, caught)
        result = await app.run_async()
        tasks.cancel_scope.cancel()
    return result


async def leave_with_the_terminal(app: App[T], caught: Caught) -> None:
    """Leave the app when its terminal is gone, whether or not a signal says so.

    Whoever reads from it would be told of an end again and again, and never stop.
    """
    terminal = select.poll()
    terminal.register(0, 0)  # what is asked for is nothing; that it hung up is told anyway
    while not terminal.poll(0):  # noqa: ASYNC110 - nothing else tells of it
        await anyio.sleep(HANGUP_SECONDS)
    caught.signal = caught.signal or 128 + signal.SIGHUP
    app.exit()


class Caught:
    """The signal that ended the workbench, if one did. `signal` is its exit code."""

    def __init__(self) -> None:
        self.signal: int | None = None

    async def watch(
        self, app: App[T], *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """Leave the app at the first signal; end this process at one after that."""
        with anyio.open_signal_receiver(*STOPPING) as signals:
            task_status.started()
            async for caught in signals:
                if not app.is_running:
                    end_at_once(caught)
                self.signal = 128 + caught
                app.exit()


async def _conclude(session: JobSession, wanted: Wanted, code: int) -> int:
    """The last words, and the exit code."""
    if session.job_id is not None:
        which = await naming(session.job_id, session.request)
        say("Go on with:")
        ahead = f"{'='.join(wanted.address)} " if wanted.address else ""
        say(f"  {ahead}{continue_command(session.request, (*wanted.words, *which), 'start')}")
    if session.error is not None:
        raise session.error
    return code
