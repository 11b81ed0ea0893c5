"""What a run does next. The only place where that is decided."""

from __future__ import annotations

from typing import assert_never

import msgspec

from perstack.kernel.apply import is_completion
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
from perstack.kernel.state import RunState
from perstack.schema.event import (
    AllToolCallsFinished,
    CompletionAttempted,
    InteractiveToolCalled,
    RunCompleted,
    RunStoppedByDelegate,
    RunStoppedByExceededMaxSteps,
    RunStoppedByInteractiveTool,
    StepContinued,
    ToolCallFinished,
    ToolCallsResumed,
    ToolResultsResolved,
)
from perstack.schema.skill import InteractiveSkill
from perstack.schema.tool import (
    BASE_SKILL,
    DELEGATE_SKILL,
    ORDERED_TOOLS,
    OUTCOME_UNKNOWN,
    ToolCall,
)

READ_FIRST = (
    "Not done yet: other calls of the same reply came back only now. Read their results first, "
    "then finish."
)
EXEC_TOOL = "exec"


def plan(state: RunState, limits: Limits) -> tuple[Command, ...]:
    """Everything this run still owes the world, derived from its state alone.

    Asking twice gives the same answer, so a resumed run and a live one are
    the same run. An empty tuple means the run is at rest.
    """
    if state.status == "stoppedByExceededMaxSteps" and limits.steps_left <= 0:
        return ()
    match state.phase:
        case "new" | "waiting" | "done":
            return ()
        case "ready":
            return (_step_or_stop(StartStep(), limits),)
        case "generating":
            return (Generate(wait_ms=state.retry_wait_ms),)
        case "calling":
            return _plan_turn(state, limits)
        case "resolved":
            return (Write(fact=ToolCallFinished),)
        case "finished":
            return (_step_or_stop(Write(fact=StepContinued), limits),)
        case "delegating":
            return (Write(fact=RunStoppedByDelegate),)
        case "asking":
            return (Write(fact=RunStoppedByInteractiveTool),)
        case "completing":
            return (Generate(wait_ms=state.retry_wait_ms, is_final=True),)
        case _:
            assert_never(state.phase)


def _step_or_stop(command: Command, limits: Limits) -> Command:
    return command if limits.steps_left > 0 else Write(fact=RunStoppedByExceededMaxSteps)


def _plan_turn(state: RunState, limits: Limits) -> tuple[Command, ...]:
    """Tools, then delegates, then people, then completion, then the step's end."""
    calls = sort_calls(state)
    if tools := _unanswered(state, calls.tools):
        return _plan_tools(state, calls.tools, tools)
    if delegates := _unanswered(state, calls.delegates):
        return _plan_delegates(delegates, limits)
    if _unanswered(state, calls.interactive):
        if state.turn.restarted and not state.turn.resumed:
            return (Write(fact=ToolCallsResumed),)
        return (Write(fact=InteractiveToolCalled),)
    if completions := _unanswered(state, calls.completions):
        return _plan_completion(state, calls, completions)
    if state.turn.restarted:
        return (Write(fact=AllToolCallsFinished),)
    return (Write(fact=ToolResultsResolved),)


class SortedCalls(msgspec.Struct, frozen=True):
    """The calls of a reply, by who answers them."""

    tools: tuple[ToolCall, ...]
    delegates: tuple[ToolCall, ...]
    interactive: tuple[ToolCall, ...]
    completions: tuple[ToolCall, ...]


def sort_calls(state: RunState) -> SortedCalls:
    """The turn's calls, by who answers them. Told apart by the recorded definition alone."""
    skills = state.definition.expert.skills if state.definition else {}
    tools: list[ToolCall] = []
    delegates: list[ToolCall] = []
    interactive: list[ToolCall] = []
    completions: list[ToolCall] = []
    for call in state.turn.calls:
        if call.problem is not None:
            tools.append(call)
        elif is_completion(call):
            completions.append(call)
        elif call.skill_name == DELEGATE_SKILL:
            delegates.append(call)
        elif isinstance(skills.get(call.skill_name), InteractiveSkill):
            interactive.append(call)
        else:
            tools.append(call)
    return SortedCalls(tuple(tools), tuple(delegates), tuple(interactive), tuple(completions))


def pending_questions(state: RunState) -> tuple[ToolCall, ...]:
    """The interactive calls that nobody has answered yet, in the reply's order."""
    return _unanswered(state, sort_calls(state).interactive)


def _unanswered(state: RunState, calls: tuple[ToolCall, ...]) -> tuple[ToolCall, ...]:
    return tuple(call for call in calls if call.id not in state.turn.results)


def _plan_tools(
    state: RunState, tools: tuple[ToolCall, ...], unanswered: tuple[ToolCall, ...]
) -> tuple[Command, ...]:
    """All calls at once, but those that write in one chain, and an exec after the writes before it.

    A call that was started, never answered, and may have changed something is
    answered without being repeated.
    """
    commands: list[Command] = []
    chain: list[ToolCall] = []
    after_a_write = _after_a_write(tools, state)
    for call in unanswered:
        if call.problem is not None:
            commands.append(AnswerCall(call=call, text=error_text(call.problem), is_error=True))
        elif state.turn.started.get(call.id) == "unknown":
            commands.append(AnswerCall(call=call, text=error_text(OUTCOME_UNKNOWN), is_error=True))
        elif is_ordered(call):
            chain.append(call)
        elif call.tool_name != EXEC_TOOL or call.id not in after_a_write:
            commands.append(CallTools(calls=(call,)))
    if chain:
        commands.append(CallTools(calls=tuple(chain)))
    return tuple(commands)


def is_ordered(call: ToolCall) -> bool:
    """Whether the call must wait for the ordered calls before it in the reply."""
    return call.skill_name == BASE_SKILL and call.tool_name in ORDERED_TOOLS


def _after_a_write(tools: tuple[ToolCall, ...], state: RunState) -> set[str]:
    """Ids of the calls behind the reply's first ordered call that has no answer yet."""
    owed = (
        place
        for place, call in enumerate(tools)
        if is_ordered(call) and call.id not in state.turn.results
    )
    first = next(owed, len(tools))
    return {call.id for call in tools[first + 1 :]}


def _plan_delegates(delegates: tuple[ToolCall, ...], limits: Limits) -> tuple[Command, ...]:
    if limits.depth_left <= 0:
        text = "Delegation failed: Experts already delegate too deep here. Do this part yourself."
        return tuple(AnswerCall(call=call, text=text, is_error=True) for call in delegates)
    if excess := delegates[limits.width :]:
        text = (
            f"Delegation failed: one reply can ask at most {limits.width} delegates. "
            "Ask again once the others have answered."
        )
        return tuple(AnswerCall(call=call, text=text, is_error=True) for call in excess)
    return (CallDelegates(calls=delegates),)


def _plan_completion(
    state: RunState, calls: SortedCalls, completions: tuple[ToolCall, ...]
) -> tuple[Command, ...]:
    """Done, unless todos are open or the reply could not yet know what its other calls gave."""
    left = [todo for todo in state.todos if not todo.completed]
    if left:
        text = msgspec.json.encode({"remainingTodos": left}).decode()
        return tuple(AnswerCall(call=call, text=text) for call in completions)
    failed = any(result.is_error for result in state.turn.results.values())
    if calls.delegates or calls.interactive or failed:
        return tuple(AnswerCall(call=call, text=READ_FIRST) for call in completions)
    if len(state.turn.calls) == 1 and state.turn.has_text:
        return (Write(fact=RunCompleted),)
    return (Write(fact=CompletionAttempted),)


def error_text(message: str) -> str:
    """An error as the base tools word one."""
    return msgspec.json.encode({"error": "Error", "message": message}).decode()
