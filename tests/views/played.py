"""Jobs that were really played, and what is seen of them, live and read back."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from perstack.base.tools import BaseTools
from perstack.kernel.apply import result_of
from perstack.kernel.plan import pending_questions
from perstack.kernel.state import blank
from perstack.providers import GenerateRequest, Reply
from perstack.runtime.job import open_job
from perstack.schema.checkpoint import BaseRef
from perstack.schema.event import (
    Fact,
    RunStoppedByInteractiveTool,
    RuntimeInitialized,
    Shown,
    SkillConnected,
    SkillDisconnected,
    SkillReported,
    SkillStarting,
    SkillStderr,
    decode_fact,
)
from perstack.schema.line import json_line
from perstack.schema.message import Json, TextPart, ThinkingPart
from perstack.schema.usage import Usage
from perstack.storage.memory import MemoryStore
from perstack.testing import call, say, together
from perstack.views.fold import JobFold
from perstack.views.wire import Seen
from properties.corpus import CORPUS
from worlds import JOB, Log, World, expert, replies, role

TRICKY: Json = {
    "name": "x",
    "problem": "mine",
    "isError": True,
    "redacted": True,
    "runId": "r",
    "seq": 1,
    "number": 1.5,
}
"""Arguments of a call that have the names of our own fields."""


def thoughtful() -> World:
    """Thinking, hidden and shown; usage; a call with a problem; text beside calls."""

    def model(request: GenerateRequest) -> Reply:
        if role(request) == "helper":
            return say("Helped.", usage=Usage(input_tokens=2, output_tokens=1, total_tokens=3))
        usage = Usage(input_tokens=10, output_tokens=5, total_tokens=15)
        match replies(request):
            case 0:
                hidden = Reply(contents=(ThinkingPart(thinking="opaque", redacted=True),))
                calls = together(
                    call("look", TRICKY, text="I look.", thinking="Where?", usage=usage),
                    call("look", id="bad"),
                    call("helper", {"query": "help"}),
                )
                reply = together(hidden, calls)
                return Reply(
                    contents=reply.contents,
                    usage=reply.usage,
                    problems={"bad": "The arguments are no JSON object."},
                )
            case 1:
                return call("broken", usage=usage)
            case _:
                return call("attemptCompletion", text="Well.", thinking="Enough.", usage=usage)

    return World({"lead": expert("lead", delegates=("helper",)), "helper": expert("helper")}, model)


WORLDS = {**CORPUS, "thoughtful": thoughtful}


def base_tools(workspace: Path) -> World:
    """Every base tool, for real: once well, and some of them in vain."""
    everywhere: Json = {"env": {}, "cwd": ".", "stdout": True, "stderr": True}
    calls = (
        ("writeTextFile", {"path": "a.txt", "text": "one\ntwo\n"}),
        ("appendTextFile", {"path": "a.txt", "text": "three\n"}),
        ("editTextFile", {"path": "a.txt", "oldText": "two", "newText": "2"}),
        ("readTextFile", {"path": "a.txt", "from": 1, "to": 2}),
        ("readTextFile", {"path": "missing.txt"}),
        ("getFileInfo", {"path": "a.txt"}),
        ("readImageFile", {"path": "dot.gif"}),
        ("readPdfFile", {"path": "paper.pdf"}),
        ("createDirectory", {"path": "d"}),
        ("moveFile", {"source": "a.txt", "destination": "d/b.txt"}),
        ("listDirectory", {"path": "d"}),
        ("deleteFile", {"path": "d/b.txt"}),
        ("deleteDirectory", {"path": "d", "recursive": True}),
        ("exec", {"command": "sh", "args": ["-c", "echo hi"], **everywhere}),
        ("exec", {"command": "sh", "args": ["-c", "echo no >&2; exit 3"], **everywhere}),
        ("healthCheck", {}),
        ("todo", {"newTodos": ["one"]}),
        ("attemptCompletion", {}),
        ("clearTodo", {}),
        ("readTextFile", {"path": 5}),
        ("attemptCompletion", {}),
    )

    def model(request: GenerateRequest) -> Reply:
        if request.tool_choice == "none":
            return say("Done.")
        name, args = calls[replies(request)]
        return call(name, args)

    def tools() -> BaseTools:
        return BaseTools(
            workspace=workspace,
            todos=tuple,
            environ={"PATH": "/usr/bin:/bin"},
            omit=("attemptCompletion", "todo"),
        )

    (workspace / "dot.gif").write_bytes(b"GIF89a" + bytes(4))
    (workspace / "paper.pdf").write_bytes(b"%PDF-1.7\n")
    return World({"lead": expert("lead")}, model, more_tools=tools)


def steps(count: int) -> World:
    """A run of `count` steps, each as large as the others."""

    def model(request: GenerateRequest) -> Reply:
        if replies(request) < count:
            return call("effect", {"name": f"{replies(request):04}", "pad": "x" * 200})
        return say("Done.")

    return World({"lead": expert("lead")}, model, max_steps=count + 1)


@dataclass
class Played:
    """What one process saw of a job, and the store it left behind."""

    log: Log
    store: MemoryStore

    @property
    def live(self) -> list[Seen]:
        return [Seen(p.fact, p.line, p.before, p.after) for p in self.log.published]

    @property
    def shown(self) -> list[Shown]:
        return [event for event in self.log.seen if not hasattr(event, "seq")]  # type: ignore[misc]

    @property
    def facts_by_run(self) -> dict[str, list[Fact]]:
        return {
            run_id: [decode_fact(line) for line in self.store.lines[JOB, run_id]]
            for _, run_id in self.store.settings
        }

    @property
    def read_back(self) -> list[Seen]:
        """The whole job, from the log alone: run after run."""
        return seen_of(fact for facts in self.facts_by_run.values() for fact in facts)


def seen_of(facts: Iterable[Fact]) -> list[Seen]:
    fold = JobFold()
    return [Seen(fact, json_line(fact), *fold.feed(fact)) for fact in facts]


async def play(world: World) -> Played:
    played = Played(Log(), MemoryStore())
    await world.play(played.store, played.log)
    return played


async def play_forks() -> Played:
    """A job with questions, answered; then forked where the first one was asked, both ways."""
    world = CORPUS["interactive_stops"]()
    played = await play(world)
    (asked, *_) = (p for p in played.live if isinstance(p.fact, RunStoppedByInteractiveTool))
    base = BaseRef(run_id=asked.fact.run_id, checkpoint_id=asked.after.checkpoint_id)
    questions = pending_questions(asked.after)
    async with open_job(JOB, world.environment(played.store, played.log)) as job:
        await job.answer((result_of(questions[0], "Eve"),), base)
        await job.carry_on()
        await job.ask(world.experts["lead"], "Something else.", base)
        await job.carry_on()
    return played


async def play_interrupted() -> Played:
    """A job that was stopped after its first step and carried on by another process."""
    world = CORPUS["parallel_tools"]()
    played = Played(Log(), MemoryStore())
    env = world.environment(played.store, played.log)
    env.should_continue = lambda _: False
    async with open_job(JOB, env) as job:
        await job.ask(world.experts["lead"], "Begin.")
        await job.carry_on()
    await world.play(played.store, played.log)
    return played


async def play_all() -> dict[str, Played]:
    played = {name: await play(world()) for name, world in WORLDS.items()}
    return played | {"forks": await play_forks(), "interrupted": await play_interrupted()}


def runtime_facts() -> list[Seen]:
    """The events of what a run runs in, with as much and as little in them as there can be."""
    facts: list[Fact] = [
        RuntimeInitialized(
            runtime_version="1.0.0",
            runtime="local",
            expert_name="lead",
            experts=("lead",),
            model="m",
            max_steps=1,
            max_retries=1,
            timeout=1,
            query="q",
            notice="A notice.",
        ),
        SkillStarting(skill_name="s", command="npx"),
        SkillStarting(skill_name="s", command="npx", args=("-y", "x")),
        SkillConnected(skill_name="s"),
        SkillConnected(
            skill_name="s", server_info={"name": "n", "version": "1"}, total_duration_ms=1.5
        ),
        SkillStderr(skill_name="s", message="Listening."),
        SkillReported(skill_name="s", source="server", level="info", message="Halfway."),
        SkillDisconnected(skill_name="s"),
        SkillDisconnected(skill_name="s", reason="It ended.", tools_lost=True),
    ]
    state = blank("j", "r")
    header = {"id": "e1", "seq": 1, "timestamp": 1, "jobId": "j", "runId": "r"}
    lines = [json.dumps(json.loads(json_line(fact)) | header).encode() for fact in facts]
    return [Seen(decode_fact(line), line, state, state) for line in lines]


def texts(parts: Iterable[object]) -> str:
    return "".join(part.text for part in parts if isinstance(part, TextPart))
