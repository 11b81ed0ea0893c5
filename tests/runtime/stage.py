"""A job on stage: a world, its store and log, opened as often as a test wants."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from perstack.kernel.state import RunState
from perstack.providers import GenerateRequest
from perstack.runtime.environment import Environment
from perstack.runtime.job import OpenJob, open_job
from perstack.runtime.replay import read_job
from perstack.schema.checkpoint import BaseRef, Job
from perstack.schema.event import RunFact, RunStarted
from perstack.schema.expert import Definition
from perstack.storage.memory import MemoryStore
from worlds import JOB, Answer, Log, World, expert, replies

STEP = [
    "startGeneration",
    "callTools",
    "startToolCall",
    "completeToolCall",
    "resolveToolResults",
    "finishToolCall",
    "continueToNextStep",
]
FIN = ["startGeneration", "callTools", "attemptCompletion", "completeRun"]
REST = ["startGeneration", "callTools", "callDelegate", "stopRunByDelegate"]
"""A step whose only calls are delegates, to the run's rest."""


class Stage:
    """One job of a world. `log` hears everything that happens, over all openings."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.store = MemoryStore()
        self.log = Log()

    @property
    def lead(self) -> Definition:
        return self.world.experts[self.world.coordinator]

    @asynccontextmanager
    async def opened(
        self, change: Callable[[Environment], object] = lambda _: None
    ) -> AsyncGenerator[OpenJob]:
        """The job in a new process, whose environment `change` may change."""
        env = self.world.environment(self.store, self.log)
        change(env)
        async with open_job(JOB, env) as job:
            yield job
            assert await read_job(self.store, JOB) == job.states, "replay equals live"

    async def begin(self, query: str = "Begin.", **settings: object) -> Job:
        """Ask the coordinator and carry it on."""
        async with self.opened() as job:
            await job.ask(self.lead, query)
            return await job.carry_on()

    async def go_on(self, query: str | None = None) -> Job:
        """In a new process: carry on what can move, or ask on the coordinator's last run."""
        async with self.opened() as job:
            if query is not None:
                assert job.coordinator is not None
                await job.ask(self.lead, query, position(job.coordinator))
            return await job.carry_on()

    async def states(self) -> dict[str, RunState]:
        return await read_job(self.store, JOB)

    async def only(self, name: str) -> RunState:
        """The last run of the Expert `name`."""
        return [s for s in (await self.states()).values() if s.expert_key == name][-1]

    async def types(self, name: str = "lead", *, shown: bool = False) -> list[str]:
        """What the runs of the Expert `name` wrote down, in order."""
        runs = [s.run_id for s in (await self.states()).values() if s.expert_key == name]
        return [kind for run in runs for kind in self.log.types(run, shown=shown)]

    def facts(self, kind: type[RunFact]) -> list[RunFact]:
        return [fact for fact in self.log.facts if isinstance(fact, kind)]

    def starts(self) -> list[RunStarted]:
        return [fact for fact in self.log.facts if isinstance(fact, RunStarted)]


def position(state: RunState) -> BaseRef:
    return BaseRef(run_id=state.run_id, checkpoint_id=state.checkpoint_id)


def solo(*script: Answer, max_steps: int = 100, max_retries: int = 5) -> Stage:
    """An Expert alone, whose model gives these answers by the number of answered replies."""

    def model(request: GenerateRequest) -> Answer:
        if request.tool_choice == "none":
            return script[-1]
        return script[min(replies(request), len(script) - 1)]

    return Stage(
        World({"lead": expert("lead")}, model, max_steps=max_steps, max_retries=max_retries)
    )


def listed(*answers: Answer, max_steps: int = 100, max_retries: int = 5) -> Stage:
    """An Expert alone, whose model gives these answers in this order, whatever is asked."""
    waiting = list(answers)
    return Stage(
        World(
            {"lead": expert("lead")},
            lambda _: waiting.pop(0),
            max_steps=max_steps,
            max_retries=max_retries,
        )
    )
