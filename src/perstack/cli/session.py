"""One run from the command line: signals, output, and the last words on stderr."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, cast

import anyio

from perstack.assembly.execute import execute, open_store
from perstack.assembly.experts import Experts
from perstack.assembly.known_model import unknown_model
from perstack.assembly.lock import load_lock
from perstack.assembly.outcome import Outcome
from perstack.assembly.parts import Parts
from perstack.assembly.tools import unbounded_skills
from perstack.cli.output import Lines, Output
from perstack.errors import PerstackError
from perstack.runtime.environment import Listener, Published, Stop
from perstack.schema.event import RunStarted, RuntimeInitialized, SkillDisconnected
from perstack.views.cost import NO_COST, Bills, Cost, cost_text
from perstack.views.plain import counted, plain

if TYPE_CHECKING:
    from anyio.abc import TaskStatus

    from perstack.assembly.lock import Lock
    from perstack.config.request import RunRequest
    from perstack.schema.expert import Definition
    from perstack.schema.tool import ToolCall
    from perstack.schema.usage import Usage
    from perstack.views.cost import Asked
    from perstack.views.wire import Form

STATUS_CODES = {"completed": 0, "stoppedByInteractiveTool": 0, "stoppedByMaxSteps": 3}
"""Job status to exit code; every other status is 1."""


STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that bring the job to a halt; the second one ends the process."""


class Signals:
    """The signal that stopped the job, if one did."""

    def __init__(self) -> None:
        self.caught: int | None = None

    async def watch(
        self, stop: Stop, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """Stop the job at the first signal that asks for it; end this process at the second."""
        with anyio.open_signal_receiver(*STOPPING) as signals:
            task_status.started()
            async for caught in signals:
                if self.caught is not None:
                    end_at_once(caught)
                self.caught = caught
                say("stopping; a second signal ends it at once")
                stop.set("signal")


def end_at_once(caught: int) -> NoReturn:
    """End this process and its children's process groups, without another word.

    The watcher of the commands is left to end what got away from its group.
    """
    from perstack.base.lifeline import LIFELINE

    for children in Path("/proc/self/task").glob("*/children"):
        for pid in map(int, children.read_text(encoding="ascii").split()):
            if pid != LIFELINE.pid:
                with contextlib.suppress(OSError):
                    os.killpg(pid, signal.SIGKILL)
    os._exit(128 + caught)


async def run_session(request: RunRequest, form: Form, options: tuple[str, ...]) -> int:
    """Carry the request out. The exit code. `options` are for the command that goes on with it."""
    lock = load_lock(request.project)
    older = lock.warning(request.project, request.expert_key or "") if lock else None
    for line in words_ahead(request, older):
        say(line)
    stop, signals = Stop(), Signals()
    output = Output(sys.stdout.fileno(), form, stop)
    listeners: list[Listener] = [Notices(request, lock, {older}), output]
    if request.verbose:
        listeners.append(Lines(say))
    spent = Spent()
    if sys.stderr.isatty():
        listeners.append(spent)
    outcomes: list[Outcome] = []
    async with anyio.create_task_group() as tasks:
        await tasks.start(signals.watch, stop)
        outcomes.append(await execute(request, stop, listeners, Parts(lock=lock)))
        tasks.cancel_scope.cancel()
    outcome = outcomes[0]
    which = await naming(outcome.job.id, request)
    command = continue_command(request, (*options, *which))
    return _conclude(outcome, command, output, signals, spent)


def words_ahead(request: RunRequest, older: str | None) -> Iterator[str]:
    """What a person must know of a request before it is carried out, a line each."""
    if request.chosen_by is not None:
        settings = request.settings
        yield (
            f"{request.chosen_by} is set: {settings.model} of "
            f"{settings.provider.provider_name} is asked; --provider and --model name another"
        )
    for warning in (*request.warnings, unknown_model(request), older):
        if warning is not None:
            yield f"warning: {warning}"


class Spent(Listener):
    """What the replies of this run of the command cost, priced when it is over.

    The prices take as long to load as a short run: so nobody hears of them but a person.
    """

    def __init__(self) -> None:
        self._replies: list[tuple[Asked, Usage, int]] = []
        self._bills = Bills(self._keep)

    async def recorded(self, published: Published) -> None:
        """Take note of a reply."""
        self._bills.feed(published.fact)

    @property
    def words(self) -> str:
        """What they cost; empty where there were none."""
        if not self._replies:
            return ""
        from perstack.assembly.prices import price_of

        prices = (price_of(*reply) for reply in self._replies)
        costs = (Cost(unknown_replies=1) if usd is None else Cost(usd=usd) for usd in prices)
        return f"{cost_text(sum(costs, NO_COST))} this time"

    def _keep(self, asked: Asked, usage: Usage, at: int) -> None:
        self._replies.append((asked, usage, at))


async def naming(job_id: str, request: RunRequest) -> tuple[str, ...]:
    """The shortest options that name a job which exists."""
    jobs = await open_store(request).jobs()
    is_newest = bool(jobs) and jobs[0].id == job_id
    return ("--continue",) if is_newest else ("--continue-job", job_id)


class Notices(Listener):
    """What a person must know before anything else happens, said once.

    `said` are lines that were said before, and gets those that are said. `is_watched`: a
    person sees the events themselves, and is told only of what none of them says.
    """

    def __init__(
        self,
        request: RunRequest,
        lock: Lock | None,
        said: set[str | None],
        write: Callable[[str], None] | None = None,
        *,
        is_watched: bool = False,
    ) -> None:
        self._write = write or say
        self._is_watched = is_watched
        self._request = request
        self._experts = Experts(request, lock)
        self._said = said

    async def recorded(self, published: Published) -> None:
        """Say the notice of the runtime, and what of a definition cannot be honoured."""
        fact = published.fact
        if isinstance(fact, RuntimeInitialized) and fact.notice:
            for line in fact.notice.splitlines():
                self._once(line)
        if isinstance(fact, SkillDisconnected) and fact.tools_lost and not self._is_watched:
            key = published.after.expert_key
            self._once(f"warning: {key}: the skill {fact.skill_name} is lost: {fact.reason}")
        if isinstance(fact, RunStarted) and fact.definition is not None:
            for name in unbounded_skills(fact.definition.expert):
                self._once(
                    f"warning: {fact.expert_key}: allowedDomains of the skill {name} is not "
                    "enforced in this version: its server may reach any address"
                )
            self._tell_of_missing(fact.definition)
            if self._request.resume_from is not None and fact.base is not None:
                self._once(
                    "a new run from that checkpoint; the workspace's files are not rolled back"
                )
            if fact.changes:
                self._once(f"the definition changed since the last run: {', '.join(fact.changes)}")

    def _tell_of_missing(self, definition: Definition) -> None:
        """A delegate that cannot be asked is known before the model finds out."""
        for delegate in definition.delegates:
            try:
                self._experts.expert(delegate.key)
            except PerstackError as problem:
                key = definition.expert.key
                self._once(f"warning: {key}: its delegate {delegate.key}: {problem.message}")

    def _once(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            self._write(line)


def _conclude(
    outcome: Outcome, command: str, output: Output, signals: Signals, spent: Spent
) -> int:
    """The last words, and the exit code."""
    job, coordinator = outcome.job, outcome.coordinator
    cost = spent.words
    if cost and job.status != "completed":
        say(f"cost: {cost}")
    if output.problem is not None:
        say(f"stdout was closed ({output.problem}); the run was stopped. Continue it with:")
        say(f"  {command}")
        return 1 if signals.caught is None else 128 + signals.caught
    if outcome.was_interrupted:
        say("stopped. Continue it with:")
        say(f"  {command}")
        return 128 + signals.caught if signals.caught is not None else 1
    if outcome.questions:
        _say_questions(outcome.questions, command)
    elif job.status == "completed":
        say(coordinator.text)
        took = counted(job.total_steps, "step")
        say(f"completed; the job has taken {took}{f', {cost}' if cost else ''}")
    elif job.status == "stoppedByMaxSteps":
        limit = counted(job.max_steps or 0, "step")
        higher = 2 * max(job.max_steps or 1, job.total_steps)
        query = "" if coordinator.status == "stoppedByDelegate" else ' "WHAT TO DO NEXT"'
        say(f"stopped at the limit of {limit}. Go on with a higher one:")
        say(f"  {command} --max-steps {higher}{query}")
    elif coordinator.error is not None:
        status = f" ({coordinator.error.status_code})" if coordinator.error.status_code else ""
        say(f"stopped by {coordinator.error.name}{status}: {coordinator.error.message}")
    return STATUS_CODES.get(job.status, 1)


def _say_questions(questions: tuple[ToolCall, ...], command: str) -> None:
    first = questions[0]
    for name, value in first.args.items():
        say(f"{name}: {_shown_value(value)}")
    if len(questions) > 1:
        say(f"{len(questions)} calls wait: {', '.join(call.id for call in questions)}")
    say(f"{first.tool_name} waits for your answer. Give it with:")
    say(f'  {command} -i "YOUR ANSWER"')


def _shown_value(value: object) -> str:
    """An argument as a person reads it: text as it is, a list item by item, the rest as JSON."""
    if isinstance(value, list):
        return ", ".join(_shown_value(one) for one in cast("list[object]", value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def continue_command(request: RunRequest, options: tuple[str, ...], command: str = "run") -> str:
    """The command that goes on with the job which `options` name, as it can be typed here."""
    runner = ("uv", "run") if os.environ.get("UV_RUN_RECURSION_DEPTH") else ()
    words = (*runner, "perstack", command, request.expert_key or "", *options)
    return shlex.join(words)


def say(text: str) -> None:
    """Words for a person, on stderr. Nobody there is no reason to fail."""
    try:
        sys.stderr.write(f"{plain(text)}\n")
        sys.stderr.flush()
    except OSError:
        sys.stderr = io.StringIO()
