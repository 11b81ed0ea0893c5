"""A session that a test plays: it tells what the test says, and keeps what it was given."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Sequence

import anyio

from perstack.schema.event import (
    Fact,
    GenerationStarted,
    RunCompleted,
    RunStarted,
    RuntimeInitialized,
    ToolCallCompleted,
    ToolsCalled,
)
from perstack.schema.expert import Definition, Expert
from perstack.schema.message import (
    ExpertMessage,
    ExpertPart,
    Json,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    user_message,
)
from perstack.schema.skill import InteractiveSkill
from perstack.schema.tool import BASE_SKILL, ToolCall, ToolResult
from perstack.schema.usage import NO_USAGE, Usage
from perstack.tui.app import Workbench
from perstack.tui.session import Choice, Happening, Moving
from perstack.views.cost import Asked
from perstack.views.marks import Mark, Marks

RUN = "run-1"


class FakeSession:
    def __init__(self, expert_key: str = "helper") -> None:
        self.given: list[tuple[str, ...]] = []
        self._marks = Marks()
        self._key = expert_key
        self._events, self._told = anyio.create_memory_object_stream[Happening](math.inf)

    @property
    def expert_key(self) -> str:
        return self._key

    def happenings(self) -> AsyncIterator[Happening]:
        return self._told

    def ask(self, query: str) -> None:
        self.given.append(("ask", query))

    def answer(self, call_id: str, text: str) -> None:
        self.given.append(("answer", call_id, text))

    def carry_on(self) -> None:
        self.given.append(("carry on",))

    def stop(self) -> None:
        self.given.append(("stop",))

    @property
    def models(self) -> tuple[Choice, ...]:
        return (
            Choice("openai/gpt-9", "", "context 9", "gpt-9", "openai"),
            Choice("anthropic/claude-9", "", "context 9", "claude-9", "anthropic"),
        )

    @property
    def checkpoints(self) -> Sequence[Mark]:
        return self._marks.found

    def use_model(self, name: str) -> None:
        self.given.append(("use model", name))

    def allow_steps(self, limit: str) -> None:
        self.given.append(("allow steps", limit))

    def go_back(self, checkpoint_id: str | None) -> None:
        self.given.append(("go back", checkpoint_id or ""))

    def tell(self, *happenings: Happening) -> None:
        for happening in happenings:
            if isinstance(happening, Fact):
                self._marks.feed(happening)
            self._events.send_nowait(happening)

    @property
    def is_heard(self) -> bool:
        """Whether all that was told has been dealt with: the next is waited for."""
        return self._events.statistics().tasks_waiting_receive == 1

    def end(self) -> None:
        self._events.close()
        self._told.close()


class Clock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.ms = 0

    def __call__(self) -> int:
        return self.ms


def price(asked: Asked, usage: Usage, _at: int) -> float | None:
    """A dollar for a million tokens, of every model but `nobodys`."""
    return None if asked.model == "nobodys" else usage.total_tokens / 1_000_000


def workbench(session: FakeSession, kept: int = 300) -> Workbench:
    return Workbench(session, Clock(), price, kept)


def made(model: str) -> RuntimeInitialized:
    return RuntimeInitialized(
        runtime_version="1",
        runtime="local",
        expert_name="helper",
        experts=("helper",),
        model=model,
        max_steps=7,
        max_retries=5,
        timeout=1000,
    )


def begun(query: str = "Do it.", *, run_id: str = RUN) -> list[Happening]:
    expert = Expert(
        key="helper",
        name="helper",
        instruction="Help.",
        skills={"person": InteractiveSkill(tools={})},
    )
    return [
        Moving(),
        made("model-9"),
        RunStarted(
            run_id=run_id,
            expert_key="helper",
            definition=Definition(expert=expert),
            input_messages=(user_message("m", query),),
        ),
        GenerationStarted(run_id=run_id),
    ]


def called(
    *calls: ToolCall,
    text: str = "",
    thinking: str = "",
    usage: Usage = NO_USAGE,
    window: int | None = None,
    run_id: str = RUN,
) -> ToolsCalled:
    parts: list[ExpertPart] = []
    if thinking:
        parts.append(ThinkingPart(thinking=thinking))
    if text:
        parts.append(TextPart(text=text))
    parts += [
        ToolCallPart(tool_call_id=call.id, tool_name=call.tool_name, args=call.args)
        for call in calls
    ]
    return ToolsCalled(
        run_id=run_id,
        new_message=ExpertMessage(id="e", contents=tuple(parts)),
        routes=tuple(call.skill_name for call in calls),
        usage=usage,
        context_window=window,
    )


def tool(name: str, args: Json, *, call_id: str = "c1", skill: str = BASE_SKILL) -> ToolCall:
    return ToolCall(id=call_id, skill_name=skill, tool_name=name, args=args)


def answered(
    call: ToolCall, text: str, *, is_error: bool = False, run_id: str = RUN
) -> ToolCallCompleted:
    result = ToolResult(
        id=call.id,
        skill_name=call.skill_name,
        tool_name=call.tool_name,
        result=(TextPart(text=text),),
        is_error=is_error,
    )
    return ToolCallCompleted(run_id=run_id, tool_result=result, duration_ms=1)


def completed(text: str, run_id: str = RUN) -> RunCompleted:
    message = ExpertMessage(id="r", contents=(TextPart(text=text),))
    return RunCompleted(run_id=run_id, new_message=message)
