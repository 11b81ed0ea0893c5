"""What each fact changes. The only place where a run's state moves.

Ids derived here are the event's own id and an index, so that a log read back
gives the same messages as the run that wrote it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

import msgspec
from msgspec.structs import replace

from perstack.kernel.state import RunState, Turn
from perstack.schema.checkpoint import INTERRUPTED
from perstack.schema.event import (
    AllToolCallsFinished,
    CompletionAttempted,
    DelegatesCalled,
    Fact,
    GenerationStarted,
    InteractiveToolCalled,
    Retried,
    RunCompleted,
    RunEvent,
    RunFact,
    RunStarted,
    RunStoppedByDelegate,
    RunStoppedByError,
    RunStoppedByExceededMaxSteps,
    RunStoppedByInteractiveTool,
    RuntimeEvent,
    SkillConnected,
    SkillDisconnected,
    StepContinued,
    ToolCallCompleted,
    ToolCallFinished,
    ToolCallsResumed,
    ToolCallStarted,
    ToolResultsResolved,
    ToolsCalled,
)
from perstack.schema.history import History
from perstack.schema.message import (
    ExpertMessage,
    InstructionMessage,
    TextPart,
    ToolMessage,
    ToolResultPart,
)
from perstack.schema.skill import McpStdioSkill
from perstack.schema.tool import (
    BASE_SKILL,
    COMPLETION_TOOL,
    OUTCOME_UNKNOWN,
    TODO_TOOLS,
    Todo,
    ToolCall,
    ToolResult,
)
from perstack.schema.usage import NO_USAGE

NOT_MADE = "This call was not made: the run had stopped before it."


class _TodoList(msgspec.Struct):
    todos: list[Todo]


_decode_todos = msgspec.json.Decoder(_TodoList).decode


def fold(state: RunState, facts: Iterable[Fact]) -> RunState:
    """`state` after all of `facts`."""
    for fact in facts:
        state = apply(state, fact)
    return state


def apply(state: RunState, fact: Fact) -> RunState:
    """`state` after `fact`. Pure; the same facts always give the same state."""
    state = replace(state, seq=fact.seq)
    if not isinstance(fact, RunEvent):
        return _noted(state, fact)
    return _apply(_awake(state, fact), fact)


def _noted(state: RunState, fact: RuntimeEvent) -> RunState:
    """What a run runs in changes only which skills it has, and has to do without."""
    match fact:
        case SkillDisconnected(skill_name=name, reason=reason, tools_lost=True):
            return replace(state, lost_skills={**state.lost_skills, name: reason or ""})
        case SkillConnected(skill_name=name):
            return _connected(state, name)
        case _:
            return state


def _connected(state: RunState, name: str) -> RunState:
    if name in state.lost_skills:
        left = {other: why for other, why in state.lost_skills.items() if other != name}
        state = replace(state, lost_skills=left)
    skill = state.definition.expert.skills.get(name) if state.definition else None
    is_lazy = isinstance(skill, McpStdioSkill) and skill.lazy_init
    if is_lazy and name not in state.opened_skills:
        return replace(state, opened_skills=(*state.opened_skills, name))
    return state


def _awake(state: RunState, fact: RunEvent) -> RunState:
    """A stopped run that moves again works on, under a new checkpoint."""
    if state.status == "proceeding" or isinstance(fact, RunStarted):
        return state
    return replace(state, status="proceeding", error=None, checkpoint_id=fact.id)


def _apply(state: RunState, fact: RunFact) -> RunState:  # noqa: C901 - one arm a fact
    match fact:
        case RunStarted():
            return _started(state, fact)
        case GenerationStarted():
            return replace(
                state,
                phase="generating",
                steps_taken=state.steps_taken + 1,
                step_started_at=fact.timestamp,
                turn=Turn(),
            )
        case ToolsCalled():
            return _called(state, fact)
        case ToolCallStarted():
            started = state.turn.started.plus(fact.tool_call_id, fact.effect)
            return replace(state, turn=replace(state.turn, started=started))
        case ToolCallCompleted():
            return _answered(state, fact.tool_result)
        case ToolResultsResolved():
            return replace(state, phase="resolved")
        case ToolCallFinished() | AllToolCallsFinished():
            message = answers_message(state, f"{fact.id}-0")
            return replace(state, phase="finished", messages=state.messages.append(message))
        case CompletionAttempted():
            return replace(_with_completion(state, fact.id), phase="completing")
        case ToolCallsResumed():
            return replace(state, turn=replace(state.turn, resumed=True))
        case DelegatesCalled():
            return replace(
                state, phase="delegating", turn=replace(state.turn, children=fact.children)
            )
        case InteractiveToolCalled():
            return replace(state, phase="asking")
        case StepContinued():
            step = fact.step_number + 1
            return _opened(replace(state, phase="ready", step_number=step, turn=Turn()), fact)
        case Retried():
            return _retried(state, fact)
        case RunCompleted():
            return _completed(state, fact)
        case RunStoppedByDelegate():
            return replace(state, phase="waiting", status="stoppedByDelegate")
        case RunStoppedByInteractiveTool():
            return replace(state, phase="waiting", status="stoppedByInteractiveTool")
        case RunStoppedByExceededMaxSteps():
            return replace(state, status="stoppedByExceededMaxSteps")
        case RunStoppedByError():
            phase = state.phase if fact.error.name == INTERRUPTED else "done"
            return replace(state, phase=phase, status="stoppedByError", error=fact.error)
        case _:
            assert_never(fact)


def _opened(state: RunState, fact: RunEvent) -> RunState:
    """The same state at the start of the checkpoint that `fact` opens."""
    return replace(
        state,
        checkpoint_id=fact.id,
        step_started_at=fact.timestamp,
        step_first_message=len(state.messages),
        step_usage=NO_USAGE,
    )


def _started(state: RunState, fact: RunStarted) -> RunState:
    if fact.definition is not None:
        return _begun(state, fact)
    return replace(
        _opened(state, fact),
        status="proceeding",
        error=None,
        phase="calling",
        step_number=fact.step_number,
        turn=_with_answers(state.turn, fact.tool_results),
        usage=state.usage + fact.delegate_usage,
        step_usage=fact.delegate_usage,
        context_window=fact.context_window,
    )


def _with_answers(turn: Turn, answers: tuple[ToolResult, ...]) -> Turn:
    """The turn a run moves again in, once it has been given `answers`."""
    results = turn.results
    for result in answers:
        results = results.plus(result.id, result)
    return replace(turn, results=results, restarted=True, resumed=False)


def _begun(state: RunState, fact: RunStarted) -> RunState:
    """A run's first fact. On a base, calls that nobody will answer any more are closed."""
    inputs = fact.input_messages
    instruction = next((m for m in inputs if isinstance(m, InstructionMessage)), state.instruction)
    said = tuple(m for m in inputs if not isinstance(m, InstructionMessage))
    messages = state.messages
    turn = Turn()
    phase = "ready"
    if fact.tool_results:
        turn = _with_answers(state.turn, fact.tool_results)
        phase = "calling"
    elif last_reply_has_calls(messages):
        messages = messages.append(answers_message(_closed(state), f"{fact.id}-0"))
    opened = _opened(replace(state, messages=messages), fact)
    return replace(
        opened,
        status="proceeding",
        phase=phase,
        definition=fact.definition,
        instruction=instruction,
        messages=messages.append(*said),
        base=fact.base,
        delegated_by=fact.delegated_by,
        step_number=fact.step_number,
        turn=turn,
        context_window=fact.context_window,
    )


def last_reply_has_calls(messages: History) -> bool:
    """Whether the conversation ends in calls that have no answers behind them."""
    last = messages[-1] if messages else None
    return isinstance(last, ExpertMessage) and bool(last.calls)


def _closed(state: RunState) -> RunState:
    turn = state.turn
    results = turn.results
    for call in turn.unanswered:
        unknown = turn.started.get(call.id) == "unknown"
        closed = result_of(call, OUTCOME_UNKNOWN if unknown else NOT_MADE, is_error=True)
        results = results.plus(call.id, closed)
    return replace(state, turn=replace(turn, results=results))


def _called(state: RunState, fact: ToolsCalled) -> RunState:
    return replace(
        state,
        phase="calling",
        messages=state.messages.append(fact.new_message),
        turn=Turn(
            calls=fact.tool_calls,
            usage=fact.usage,
            has_text=bool(fact.new_message.text.strip()),
        ),
        retry_count=0,
        retry_wait_ms=0,
        usage=state.usage + fact.usage,
        step_usage=state.step_usage + fact.usage,
        last_usage=fact.usage,
        context_window=fact.context_window,
    )


def _answered(state: RunState, result: ToolResult) -> RunState:
    results = state.turn.results.plus(result.id, result)
    todos = state.todos
    is_todo = result.skill_name == BASE_SKILL and result.tool_name in TODO_TOOLS
    if is_todo and not result.is_error:
        todos = tuple(_decode_todos(result.text).todos)
    return replace(state, turn=replace(state.turn, results=results), todos=todos)


def _retried(state: RunState, fact: Retried) -> RunState:
    """Without feedback the same step asks again; with it, the next step does."""
    return replace(
        state,
        phase="finished" if fact.new_messages else state.phase,
        messages=state.messages.append(*fact.new_messages),
        retry_count=state.retry_count + 1,
        retry_wait_ms=fact.wait_ms,
        usage=state.usage + fact.usage,
        step_usage=state.step_usage + fact.usage,
    )


def _completed(state: RunState, fact: RunCompleted) -> RunState:
    if fact.new_message is None:
        last = state.messages[-1]
        text = last.text if isinstance(last, ExpertMessage) else ""
        state = _with_completion(state, fact.id)
    else:
        text = fact.new_message.text
        state = replace(
            state,
            messages=state.messages.append(fact.new_message),
            last_usage=fact.usage,
            context_window=fact.context_window,
        )
    return replace(
        state,
        phase="done",
        status="completed",
        text=text,
        retry_count=0,
        retry_wait_ms=0,
        usage=state.usage + fact.usage,
        step_usage=state.step_usage + fact.usage,
    )


def _with_completion(state: RunState, event_id: str) -> RunState:
    """Every call of the reply answered, its completion by `{}`, and the answers a message."""
    results = state.turn.results
    for call in state.turn.unanswered:
        if is_completion(call):
            results = results.plus(call.id, result_of(call, "{}"))
    state = replace(state, turn=replace(state.turn, results=results))
    return replace(state, messages=state.messages.append(answers_message(state, f"{event_id}-0")))


def is_completion(call: ToolCall) -> bool:
    """Whether the call is the Expert saying that it is done."""
    return call.skill_name == BASE_SKILL and call.tool_name == COMPLETION_TOOL


def result_of(call: ToolCall, text: str, *, is_error: bool = False) -> ToolResult:
    """A result of one text part."""
    part = TextPart(id=f"{call.id}-0", text=text)
    return ToolResult(
        id=call.id,
        skill_name=call.skill_name,
        tool_name=call.tool_name,
        result=(part,),
        is_error=is_error,
    )


def answers_message(state: RunState, message_id: str) -> ToolMessage:
    """The turn's answers as one message, in the reply's order."""
    return ToolMessage(
        id=message_id,
        contents=tuple(
            ToolResultPart(
                id=f"{message_id}-{index}",
                tool_call_id=result.id,
                tool_name=result.tool_name,
                contents=result.result,
                is_error=result.is_error,
            )
            for index, result in enumerate(state.turn.answers)
        ),
    )
