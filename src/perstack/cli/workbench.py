"""The workbench, put together: which Expert, its job, the app, signals, and last words."""

from __future__ import annotations

import select
import signal
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import anyio

from perstack.assembly.experts import Experts
from perstack.assembly.lock import load_lock
from perstack.assembly.prices import price_of
from perstack.cli.job_session import JobSession
from perstack.cli.session import STOPPING, continue_command, end_at_once, naming, say, words_ahead
from perstack.runtime.environment import monotonic_ms
from perstack.tui.app import Workbench
from perstack.tui.session import Choice, Notice

if TYPE_CHECKING:
    from anyio.abc import TaskStatus
    from textual.app import App

    from perstack.config.request import RunRequest

T = TypeVar("T")

HANGUP_SECONDS = 0.5
"""Between two looks at whether the terminal is still there."""


async def work(request: RunRequest, options: tuple[str, ...]) -> int:
    """Open the workbench, and come back when a person has left it. The exit code.

    `options` are for the command that goes on with the job.
    """
    if request.expert_key is None:
        from perstack.tui.picker import Picker

        left = Caught()
        key = await shown(Picker(choices_of(request)), left)
        if key is None:
            return left.signal or 0
        request = replace(request, expert_key=key)
    lock = load_lock(request.project)
    Experts(request, lock).expert(request.expert_key or "")
    session = JobSession(request, lock)
    older = lock.warning(request.project, request.expert_key or "") if lock else None
    for line in words_ahead(request, older):
        session.tell(Notice(line))
    app, caught = Workbench(session, monotonic_ms, price_of), Caught()
    async with anyio.create_task_group() as tasks:
        await tasks.start(caught.watch, app)
        tasks.start_soon(session.carry_out)
        await shown(app, caught)
        if session.is_moving:
            say("stopping; a signal ends it at once")
        session.close()
        await session.ended()
        tasks.cancel_scope.cancel()
    return await _conclude(session, request, options, caught.signal or app.return_code or 0)


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
        self, app: Workbench, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """Leave the workbench at the first signal; end this process at one after that."""
        with anyio.open_signal_receiver(*STOPPING) as signals:
            task_status.started()
            async for caught in signals:
                if not app.is_running:
                    end_at_once(caught)
                self.signal = 128 + caught
                app.exit()


async def _conclude(
    session: JobSession, request: RunRequest, options: tuple[str, ...], code: int
) -> int:
    """The last words, and the exit code."""
    if session.job_id is not None:
        which = await naming(session.job_id, request)
        say("Go on with:")
        say(f"  {continue_command(request, (*options, *which), 'start')}")
    if session.error is not None:
        raise session.error
    return code


def choices_of(request: RunRequest) -> tuple[Choice, ...]:
    """The Experts of the project, and those of the catalogue that it does not hide."""
    from perstack.registry.catalogue import catalogue_experts

    project = request.project
    own = project.experts if project is not None else {}
    origin = project.origin if project is not None else ""
    choices = [Choice(key, expert.description, origin) for key, expert in own.items()]
    choices += [
        Choice(key, expert.description, "catalogue")
        for key, expert in catalogue_experts().items()
        if key not in own
    ]
    return tuple(choices)
