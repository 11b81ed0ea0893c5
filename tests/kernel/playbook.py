"""A run as a conversation without an event loop: facts go in, what it owes comes out.

A test is a list of lines: facts, and `owes(...)` with what the plan must give at that
point, in the short form of `shown`. A mismatch prints both transcripts.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from perstack.kernel.apply import apply, result_of
from perstack.kernel.command import (
    AnswerCall,
    CallDelegates,
    CallTools,
    Command,
    Generate,
    Limits,
    StartStep,
    Write,
)
from perstack.kernel.plan import plan
from perstack.kernel.state import RunState, blank
from perstack.schema.checkpoint import RunError
from perstack.schema.event import (
    Child,
    DelegatesCalled,
    Fact,
    GenerationStarted,
    RunEvent,
    RunStarted,
    RunStoppedByError,
    ToolCallCompleted,
    ToolCallStarted,
    ToolsCalled,
)
from perstack.schema.expert import Definition, ExpertRef
from perstack.schema.message import (
    ExpertMessage,
    ExpertPart,
    InstructionMessage,
    Json,
    Message,
    TextPart,
    ToolCallPart,
    ToolMessage,
    user_message,
)
from perstack.schema.tool import BASE_SKILL, DELEGATE_SKILL, Effect, ToolCall, ToolResult
from perstack.schema.usage import NO_USAGE, Usage
from worlds import expert, wire_name

JOB = "job-1"
RUN = "run-1"
LEAD = expert("lead", delegates=("helper", "other"), asks=True)
SKILLS = {
    "attemptCompletion": BASE_SKILL,
    "todo": BASE_SKILL,
    "clearTodo": BASE_SKILL,
    "writeTextFile": BASE_SKILL,
    "deleteFile": BASE_SKILL,
    "readTextFile": BASE_SKILL,
    "exec": BASE_SKILL,
    "helper": DELEGATE_SKILL,
    "other": DELEGATE_SKILL,
    "askUser": "people",
}
INTERRUPTION = RunStoppedByError(
    error=RunError(name="Interrupted", message="stopped", is_retryable=True)
)


class owes:  # noqa: N801 - reads as a verb in a playbook
    """What the plan must give here."""

    def __init__(self, *commands: str) -> None:
        self.commands = commands


def play(
    *lines: Fact | owes | Limits, state: RunState | None = None, definition: Definition = LEAD
) -> RunState:
    """The state after the facts among `lines`, each `owes` among them held. Limits count onward."""
    state = state or begun(definition)
    limits = Limits()
    expected: list[str] = []
    actual: list[str] = []
    for line in lines:
        if isinstance(line, Limits):
            limits = line
        elif isinstance(line, owes):
            commands = plan(state, limits)
            assert commands == plan(state, limits), "asking twice gives the same answer"
            expected.append(f"  owes {', '.join(line.commands) or 'nothing'}")
            actual.append(f"  owes {', '.join(map(shown, commands)) or 'nothing'}")
        else:
            state = apply(state, stamped(state, line))
            expected.append(wire_name(line))
            actual.append(wire_name(line))
    if expected != actual:
        parts = ["expected:", *expected, "", "actual:", *actual]
        raise AssertionError("\n".join(["the run owes something else", *parts]))
    return state


def stamped(state: RunState, fact: Fact) -> Fact:
    """The fact with the header that a Recorder would give it. Time is a count of the events."""
    seq = state.seq + 1
    header = {"id": fact.id or f"e{seq}", "seq": seq, "timestamp": 1000 + seq}
    stamp = replace(fact, job_id=state.job_id, run_id=state.run_id, **header)
    if isinstance(stamp, RunEvent):
        own = fact.step_number if isinstance(fact, RunStarted) else state.step_number
        return replace(stamp, step_number=own, expert_key=state.expert_key)
    return stamp


def shown(command: Command) -> str:
    """A command in a few words."""
    match command:
        case StartStep():
            return "StartStep"
        case Generate(wait_ms=wait, is_final=is_final):
            return "Generate" + (" final" if is_final else "") + (f" in {wait} ms" if wait else "")
        case CallTools(calls=calls):
            return f"CallTools {ids(calls)}"
        case AnswerCall(call=call, is_error=is_error):
            return f"AnswerCall {call.id}" + (" error" if is_error else "")
        case CallDelegates(calls=calls):
            return f"CallDelegates {ids(calls)}"
        case Write(fact=fact):
            tag = fact.__struct_config__.tag
            assert isinstance(tag, str)
            return tag


def ids(calls: Sequence[ToolCall | ToolResult] | None) -> str:
    return " ".join(call.id for call in calls or ())


def start(definition: Definition = LEAD, query: str = "Begin.", step_number: int = 1) -> RunStarted:
    part = TextPart(text=f"You are {definition.expert.key}.")
    instruction = InstructionMessage(id="i", contents=(part,))
    return RunStarted(
        definition=definition,
        input_messages=(instruction, user_message("q", query)),
        step_number=step_number,
    )


def begun(definition: Definition = LEAD) -> RunState:
    """A run that has its first fact."""
    state = blank(JOB, RUN)
    return apply(state, stamped(state, start(definition)))


def call(name: str, id: str = "", **args: object) -> ToolCallPart:  # noqa: A002 - the field's name
    given: Json = dict(args)
    return ToolCallPart(tool_call_id=id or name, tool_name=name, args=given)


def reply(
    *parts: ExpertPart | str, problems: dict[str, str] | None = None, usage: Usage = NO_USAGE
) -> ToolsCalled:
    contents = tuple(TextPart(text=part) if isinstance(part, str) else part for part in parts)
    message = ExpertMessage(id="m", contents=contents)
    return ToolsCalled(
        new_message=message,
        routes=tuple(SKILLS.get(part.tool_name, "tools") for part in message.calls),
        problems=problems or {},
        usage=usage,
    )


def asked(*parts: ExpertPart | str, problems: dict[str, str] | None = None) -> tuple[Fact, ...]:
    """A step with this reply."""
    return (GenerationStarted(), reply(*parts, problems=problems))


def begins(call_id: str, effect: Effect = "none") -> ToolCallStarted:
    return ToolCallStarted(tool_call_id=call_id, effect=effect)


def answers(
    name: str,
    text: str = "done",
    *,
    id: str = "",  # noqa: A002 - the field's name
    is_error: bool = False,
) -> ToolCallCompleted:
    made = reply(call(name, id)).tool_calls[0]
    result = result_of(made, text, is_error=is_error)
    return ToolCallCompleted(tool_result=result, duration_ms=1)


def delegates(**runs: str) -> DelegatesCalled:
    """`callId=runId`."""
    ref = ExpertRef(key="helper", name="helper", version="1.0.0")
    return DelegatesCalled(
        children=tuple(Child(tool_call_id=c, run_id=r, expert=ref) for c, r in runs.items())
    )


def returns(*call_ids: str, step_number: int = 4, usage: Usage = NO_USAGE) -> RunStarted:
    """The run moves again with answers to these calls."""
    made = reply(*(call(call_id) for call_id in call_ids)).tool_calls
    return RunStarted(
        step_number=step_number,
        tool_results=tuple(result_of(one, "came back") for one in made),
        delegate_usage=usage,
    )


def told(message: Message) -> list[tuple[str, str, bool]]:
    """The answers a message holds: call id, text, and whether the call failed."""
    assert isinstance(message, ToolMessage)
    return [(part.tool_call_id, text_of(part.contents), part.is_error) for part in message.contents]


def text_of(parts: Sequence[object]) -> str:
    return "".join(part.text for part in parts if isinstance(part, TextPart))


def tokens(count: int) -> Usage:
    return Usage(input_tokens=count, output_tokens=count, total_tokens=2 * count)
