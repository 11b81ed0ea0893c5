"""Every fact, and everything that is only shown.

A *recorded* event is stored; what can be derived from the log is not in it
again (`views.wire` adds it for the eyes). A *display* event is streamed and
forgotten: it has another base, so the type checker refuses to record one.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from perstack.schema.base import Data
from perstack.schema.checkpoint import BaseRef, DelegatedBy, RunError
from perstack.schema.expert import Definition, ExpertRef
from perstack.schema.message import ExpertMessage, Json, Message
from perstack.schema.tool import Effect, ToolCall, ToolResult
from perstack.schema.usage import NO_USAGE, Usage


class Recorded(Data, tag_field="type", kw_only=True):
    """The header of a recorded event. `seq` counts a run's events from 1; `timestamp` is ms.

    The Recorder fills the header in; before that it is empty.
    """

    id: str = ""
    seq: int = 0
    timestamp: int = 0
    job_id: str = ""
    run_id: str = ""


class RunEvent(Recorded, kw_only=True):
    """A fact about a run's own course."""

    expert_key: str = ""
    step_number: int = 0


class RunStarted(RunEvent, tag="startRun", kw_only=True):
    """A run begins, or begins to move again after a rest it has the answers for.

    The first one of a run carries its `definition` and first messages, and its
    `base` or `delegated_by`. A later one carries the answers that moved it
    (`tool_results`) and the tokens its delegates used. `context_window` is of the model
    that the run goes on with, in tokens, where that is known.
    """

    input_messages: tuple[Message, ...] = ()
    definition: Definition | None = None
    base: BaseRef | None = None
    delegated_by: DelegatedBy | None = None
    tool_results: tuple[ToolResult, ...] = ()
    delegate_usage: Usage = NO_USAGE
    changes: tuple[str, ...] = ()
    context_window: int | None = None


class GenerationStarted(RunEvent, tag="startGeneration", kw_only=True):
    """A step begins: the model is asked. Reserves one step of the job."""


class ToolsCalled(RunEvent, tag="callTools", kw_only=True):
    """The model asked for tools. `routes` names the skill of each call, in order.

    `problems` says, by call id, why a call cannot be made as it came. `context_window` is
    of the model that replied: another one may have begun the run.
    """

    new_message: ExpertMessage
    routes: tuple[str, ...]
    problems: dict[str, str] = {}
    usage: Usage
    context_window: int | None = None

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The calls of the reply, each with its skill."""
        return tuple(
            ToolCall(
                id=part.tool_call_id,
                skill_name=skill,
                tool_name=part.tool_name,
                args=part.args,
                problem=self.problems.get(part.tool_call_id),
            )
            for part, skill in zip(self.new_message.calls, self.routes, strict=True)
        )


class ToolCallStarted(RunEvent, tag="startToolCall", kw_only=True):
    """From here on, the call may have touched the world."""

    tool_call_id: str
    effect: Effect


class ToolCallCompleted(RunEvent, tag="completeToolCall", kw_only=True):
    """A call has its answer."""

    tool_result: ToolResult
    duration_ms: int


class ToolResultsResolved(RunEvent, tag="resolveToolResults", kw_only=True):
    """Every tool of the reply has answered."""


class CompletionAttempted(RunEvent, tag="attemptCompletion", kw_only=True):
    """The Expert says it is done, and nothing speaks against it."""


class ToolCallFinished(RunEvent, tag="finishToolCall", kw_only=True):
    """The answers became a message."""


class AllToolCallsFinished(RunEvent, tag="finishAllToolCalls", kw_only=True):
    """The answers, those of delegates and people among them, became a message."""


class ToolCallsResumed(RunEvent, tag="resumeToolCalls", kw_only=True):
    """Some answers are there, and others are still asked for."""


class Child(Data, kw_only=True):
    """A delegate's run, named before it starts."""

    tool_call_id: str
    run_id: str
    expert: ExpertRef


class DelegatesCalled(RunEvent, tag="callDelegate", kw_only=True):
    """Delegates are asked, each in a run of its own."""

    children: tuple[Child, ...]


class InteractiveToolCalled(RunEvent, tag="callInteractiveTool", kw_only=True):
    """A person is asked."""


class StepContinued(RunEvent, tag="continueToNextStep", kw_only=True):
    """A step is done and another follows."""


class Retried(RunEvent, tag="retry", kw_only=True):
    """A reply did not come, or cannot be used; the model is asked again in `wait_ms`.

    Voids the deltas since the last `start…`. `new_messages` is the feedback for
    the model, where there is any; then the next attempt is a step of its own.
    """

    reason: str
    cause: RunError
    wait_ms: int = 0
    new_messages: tuple[Message, ...] = ()
    usage: Usage = NO_USAGE


class RunCompleted(RunEvent, tag="completeRun", kw_only=True):
    """The Expert is done. `new_message` is its result, unless the last reply already held it.

    With a message, `context_window` is of the model that replied.
    """

    new_message: ExpertMessage | None = None
    usage: Usage = NO_USAGE
    context_window: int | None = None


class RunStoppedByDelegate(RunEvent, tag="stopRunByDelegate", kw_only=True):
    """The run rests until its delegates do."""


class RunStoppedByInteractiveTool(RunEvent, tag="stopRunByInteractiveTool", kw_only=True):
    """The run rests until a person answers."""


class RunStoppedByExceededMaxSteps(RunEvent, tag="stopRunByExceededMaxSteps", kw_only=True):
    """The job has no step left."""


class RunStoppedByError(RunEvent, tag="stopRunByError", kw_only=True):
    """The run cannot go on; or, named "Interrupted", was stopped and can."""

    error: RunError


class RuntimeInitialized(Recorded, tag="initializeRuntime", kw_only=True):
    """What a run was made with.

    `provider` is whose model was asked, None where that is not known; `provider_address` is
    where, if not at the vendor's own address.
    """

    runtime_version: str
    runtime: str
    expert_name: str
    experts: tuple[str, ...]
    model: str
    max_steps: int | None
    max_retries: int
    timeout: int
    query: str | None = None
    interactive_tool_call: Json | None = None
    notice: str | None = None
    provider: str | None = None
    provider_address: str | None = None


class SkillStarting(Recorded, tag="skillStarting", kw_only=True):
    """A skill's server is being started."""

    skill_name: str
    command: str
    args: tuple[str, ...] = ()


class SkillConnected(Recorded, tag="skillConnected", kw_only=True):
    """A skill's tools are known. Durations are ms."""

    skill_name: str
    server_info: Json | None = None
    spawn_duration_ms: float | None = None
    handshake_duration_ms: float | None = None
    tool_discovery_duration_ms: float | None = None
    connect_duration_ms: float | None = None
    total_duration_ms: float | None = None


class SkillStderr(Recorded, tag="skillStderr", kw_only=True):
    """A skill's server wrote to its stderr."""

    skill_name: str
    message: str


class SkillReported(Recorded, tag="skillReport", kw_only=True):
    """A skill's server told something in the protocol's own way, or its tools are not as listed.

    `source`: the server speaks, or this runtime does, of a tool that is offered under
    another name, left out or refused. `level` is the server's word for it: a level of
    its log, or `progress`.
    """

    skill_name: str
    source: Literal["server", "runtime"]
    level: str
    message: str


class SkillDisconnected(Recorded, tag="skillDisconnected", kw_only=True):
    """A skill's server is gone. `reason` says why, unless it was needed no more.

    `tools_lost`: it is not started again, so that the run goes on without its tools.
    """

    skill_name: str
    reason: str | None = None
    tools_lost: bool = False


RuntimeEvent: TypeAlias = (
    RuntimeInitialized
    | SkillStarting
    | SkillConnected
    | SkillStderr
    | SkillReported
    | SkillDisconnected
)
RunFact: TypeAlias = (
    RunStarted
    | GenerationStarted
    | ToolsCalled
    | ToolCallStarted
    | ToolCallCompleted
    | ToolResultsResolved
    | CompletionAttempted
    | ToolCallFinished
    | AllToolCallsFinished
    | ToolCallsResumed
    | DelegatesCalled
    | InteractiveToolCalled
    | StepContinued
    | Retried
    | RunCompleted
    | RunStoppedByDelegate
    | RunStoppedByInteractiveTool
    | RunStoppedByExceededMaxSteps
    | RunStoppedByError
)
Fact: TypeAlias = RunFact | RuntimeEvent
"""Everything that stands in a log."""

StopEvent: TypeAlias = (
    RunCompleted
    | RunStoppedByDelegate
    | RunStoppedByInteractiveTool
    | RunStoppedByExceededMaxSteps
    | RunStoppedByError
)


class DisplayEvent(Data, tag_field="type", kw_only=True):
    """Streamed, in order, and never stored."""

    id: str = ""
    timestamp: int = 0
    job_id: str = ""
    run_id: str = ""
    expert_key: str = ""
    step_number: int = 0


class ReasoningStarted(DisplayEvent, tag="startStreamingReasoning", kw_only=True):
    """The model begins to think aloud."""


class ReasoningStreamed(DisplayEvent, tag="streamReasoning", kw_only=True):
    """A piece of reasoning."""

    delta: str


class ReasoningCompleted(DisplayEvent, tag="completeStreamingReasoning", kw_only=True):
    """All of the reasoning."""

    text: str


class RunResultStarted(DisplayEvent, tag="startStreamingRunResult", kw_only=True):
    """The model begins to tell the result."""


class RunResultStreamed(DisplayEvent, tag="streamRunResult", kw_only=True):
    """A piece of the result."""

    delta: str


class RunResultCompleted(DisplayEvent, tag="completeStreamingRunResult", kw_only=True):
    """All of the result."""

    text: str


class TextStreamed(DisplayEvent, tag="streamText", kw_only=True):
    """A piece of what the model says beside its calls, or in the place of any.

    Whether it is the run's result is known at its end alone, so that it stands in no
    stream of events; only a listener that asks for it hears of it.
    """

    delta: str


Shown: TypeAlias = (
    ReasoningStarted
    | ReasoningStreamed
    | ReasoningCompleted
    | RunResultStarted
    | RunResultStreamed
    | RunResultCompleted
)
"""Everything that is streamed and not stored."""

MAX_EVENT_BYTES = 64 * 1024 * 1024
"""Of the longest event that is kept, as one line, and read back."""

decode_fact = msgspec.json.Decoder(Fact).decode
"""One line of a log, back into its event. Raises `msgspec.ValidationError` or `DecodeError`."""
