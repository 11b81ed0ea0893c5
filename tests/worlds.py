"""Small worlds for tests of the runtime: Experts, a model that answers by the conversation alone,
tools with a witness outside of every process, and what the user says, in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import anyio

from perstack.errors import UnknownExpert
from perstack.kernel.apply import result_of
from perstack.kernel.plan import pending_questions
from perstack.kernel.state import RunState
from perstack.providers import Failure, GenerateRequest, Provider, Reply
from perstack.runtime.environment import Environment, Listener, Published, StepBudget
from perstack.runtime.hands import Admit
from perstack.runtime.job import OpenJob, open_job
from perstack.schema.event import Fact, RuntimeEvent, Shown
from perstack.schema.expert import Definition, DelegateInfo, Expert
from perstack.schema.keys import parse_key
from perstack.schema.message import Json, TextPart, ToolMessage
from perstack.schema.settings import Settings
from perstack.schema.skill import InteractiveSkill, InteractiveTool, Skill
from perstack.schema.tool import BASE_SKILL, Todo, ToolDefinition, ToolOutput
from perstack.skills import ToolSource
from perstack.skills.delegates import delegate_tools
from perstack.skills.interactive import interactive_tools
from perstack.skills.toolbox import Toolbox
from perstack.storage import Store
from perstack.testing import ScriptedModel
from perstack.testing.fake_tools import FakeTools

JOB = "job-1"


def expert(
    key: str, *, delegates: Sequence[str] = (), asks: bool = False, description: str = ""
) -> Definition:
    """A definition; with `asks`, it has the interactive tool `askUser`."""
    skills: dict[str, Skill] = {}
    if asks:
        tool = InteractiveTool(input_json_schema='{"type":"object"}')
        skills = {"people": InteractiveSkill(tools={"askUser": tool})}
    return Definition(
        expert=Expert(
            key=key,
            name=key,
            description=description,
            instruction=f"You are {key}.",
            delegates=tuple(delegates),
            skills=skills,
        ),
        delegates=tuple(
            DelegateInfo(key=name, tool_name=parse_key(name).tool_name) for name in delegates
        ),
    )


def role(request: GenerateRequest) -> str:
    """Which Expert is asking."""
    return request.instruction.split("You are ", 1)[1].split(".", 1)[0]


def replies(request: GenerateRequest) -> int:
    """How many answers to tool calls the conversation holds."""
    return sum(isinstance(message, ToolMessage) for message in request.messages)


class Witness:
    """What happened to the world, seen from outside of every process."""

    def __init__(self) -> None:
        self.effects: Counter[str] = Counter()

    def tools(self) -> FakeTools:
        async def effect(args: Json) -> str:
            """Changes the world, with a moment before and after it."""
            name = str(args["name"])
            await anyio.lowlevel.checkpoint()
            self.effects[name] += 1
            await anyio.lowlevel.checkpoint()
            return f"did {name}"

        def look(args: Json) -> str:
            """Changes nothing."""
            return f"saw {args.get('name', 'it')}"

        def broken(args: Json) -> str:
            """Always fails."""
            raise RuntimeError("it is broken")

        return FakeTools(
            {"effect": effect, "look": look, "broken": broken},
            {"effect": "unknown", "look": "none", "broken": "none"},
        )


class BaseToolsForTests(FakeTools):
    """The two base tools the kernel knows by name, with the run's own todo list."""

    def __init__(self, todos: Callable[[], tuple[Todo, ...]]) -> None:
        def todo(args: Json) -> str:
            now = list(todos())
            titles = args.get("newTodos", [])
            done = args.get("completedTodos", [])
            assert isinstance(titles, list)
            assert isinstance(done, list)
            now += [Todo(id=len(now) + i, title=str(t)) for i, t in enumerate(titles)]
            now = [Todo(id=t.id, title=t.title, completed=t.completed or t.id in done) for t in now]
            listed = ",".join(
                f'{{"id":{t.id},"title":"{t.title}","completed":{str(t.completed).lower()}}}'
                for t in now
            )
            return f'{{"todos":[{listed}]}}'

        super().__init__(
            {"attemptCompletion": lambda _: "{}", "todo": todo},
            {"attemptCompletion": "none", "todo": "none"},
            skill_name=BASE_SKILL,
        )


class Log(Listener):
    """Everything that was published, in order."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.published: list[Published] = []
        self.seen: list[Fact | Shown] = []

    async def recorded(self, published: Published) -> None:
        self.facts.append(published.fact)
        self.published.append(published)
        self.seen.append(published.fact)

    async def shown(self, event: Shown) -> None:
        self.seen.append(event)

    def types(self, run_id: str | None = None, *, shown: bool = False) -> list[str]:
        """Wire names in order, of one run or of all, without the runtime's own events."""
        source = self.seen if shown else self.facts
        return [
            wire_name(event)
            for event in source
            if run_id in (None, event.run_id) and hasattr(event, "step_number")
        ]


def wire_name(event: object) -> str:
    tag = type(event).__struct_config__.tag  # type: ignore[attr-defined]
    assert isinstance(tag, str)
    return tag


Answer = Reply | Failure | str


@dataclass
class World:
    """A test's whole surroundings. `said` is what the user says: queries and answers, in order."""

    experts: dict[str, Definition]
    model: Callable[[GenerateRequest], Answer]
    coordinator: str = "lead"
    said: tuple[str, ...] = ("Begin.",)
    max_steps: int = 100
    max_retries: int = 5
    more_tools: Callable[[], ToolSource] | None = None
    provider: Provider | None = None
    context_window: int | None = 100_000
    witness: Witness = field(default_factory=Witness)
    made: list[FakeTools] = field(default_factory=list[FakeTools])

    def environment(self, store: Store, log: Log | None = None) -> Environment:
        """A new process's environment over `store`."""

        async def resolve(key: str) -> Definition:
            if key not in self.experts:
                raise UnknownExpert(f"There is no Expert {key}")
            return self.experts[key]

        async def no_sleep(_: float) -> None:
            await anyio.lowlevel.checkpoint()

        def open_toolbox(
            definition: Definition,
            state: Callable[[], RunState],
            *,
            note: Callable[[RuntimeEvent], Awaitable[None]],
            admit: Admit,
            may_ask: bool,
        ) -> ToolSource:
            tools = self.witness.tools()
            self.made.append(tools)
            sources: list[ToolSource] = [BaseToolsForTests(lambda: state().todos), tools]
            if self.more_tools is not None:
                sources.append(self.more_tools())
            listed: list[ToolDefinition] = [*delegate_tools(definition)]
            if may_ask:
                listed += interactive_tools(definition.expert)
            return Toolbox(sources, listed)

        def fail(_: Listener, error: Exception) -> None:
            raise AssertionError(f"a listener failed: {error!r}") from error

        return Environment(
            context_window=self.context_window,
            store=store,
            provider=self.provider or ScriptedModel(self.model),
            settings=Settings(max_steps=self.max_steps, max_retries=self.max_retries),
            resolve=resolve,
            open_toolbox=open_toolbox,
            listeners=[log] if log else [],
            on_listener_error=fail,
            steps=StepBudget(self.max_steps),
            jitter=lambda: 0.0,
            sleep=no_sleep,
        )

    async def play(self, store: Store, log: Log | None = None) -> OpenJob:
        """Go on from whatever the store holds until all was said and nothing can move."""
        async with open_job(JOB, self.environment(store, log)) as job:
            while await self.next(job):
                await job.carry_on()
            return job

    async def next(self, job: OpenJob) -> bool:
        """Whether there is something to do; what the user says next is said."""
        if job.can_move:
            return True
        heard = _heard(job)
        if len(heard) >= len(self.said):
            return False
        text = self.said[len(heard)]
        coordinator = job.coordinator
        if coordinator is None:
            await job.ask(self.experts[self.coordinator], text)
        elif questions := pending_questions(coordinator):
            await job.answer((result_of(questions[0], text),))
        else:
            from perstack.schema.checkpoint import BaseRef

            base = BaseRef(run_id=coordinator.run_id, checkpoint_id=coordinator.checkpoint_id)
            await job.ask(self.experts[self.coordinator], text, base)
        return True


def _heard(job: OpenJob) -> list[str]:
    """What the user said so far: queries, and answers to questions."""
    coordinator = job.coordinator
    if coordinator is None:
        return []
    texts: list[str] = []
    for message in coordinator.messages:
        for part in message.contents:
            if isinstance(message, ToolMessage):
                if getattr(part, "tool_name", "") == "askUser":
                    texts.append("answer")
            elif type(message).__name__ == "UserMessage" and isinstance(part, TextPart):
                texts.append(part.text)
    answered = coordinator.turn.results if coordinator.phase != "finished" else {}
    in_turn = [r for r in answered.values() if r.tool_name == "askUser"]
    last = coordinator.messages[-1] if coordinator.messages else None
    if not isinstance(last, ToolMessage) and coordinator.phase in ("calling", "waiting"):
        texts += ["answer"] * len(in_turn)
    return texts


def output(text: str, *, is_error: bool = False) -> ToolOutput:
    return ToolOutput(contents=(TextPart(text=text),), is_error=is_error)
