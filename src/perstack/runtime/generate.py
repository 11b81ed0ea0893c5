"""Asking the model, and writing down what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from msgspec.structs import replace

from perstack.kernel.instruction import loss_of
from perstack.providers import (
    Failure,
    GenerateRequest,
    ReasoningDelta,
    Reply,
    TextDelta,
)
from perstack.runtime.streams import closing
from perstack.schema.checkpoint import INTERRUPTED, RunError
from perstack.schema.event import (
    ReasoningCompleted,
    ReasoningStarted,
    ReasoningStreamed,
    Retried,
    RunCompleted,
    RunResultCompleted,
    RunResultStarted,
    RunResultStreamed,
    RunStoppedByError,
    ToolsCalled,
)
from perstack.schema.message import (
    ExpertMessage,
    ExpertPart,
    Message,
    TextPart,
    ToolCallPart,
    user_message,
    with_part_ids,
)
from perstack.schema.tool import UNKNOWN_SKILL, ToolDefinition
from perstack.schema.usage import NO_USAGE, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perstack.kernel.command import Generate
    from perstack.runtime.recorder import Recorder

FIRST_WAIT_MS = 500
LONGEST_WAIT_MS = 30_000
LONGEST_ASKED_WAIT_MS = 600_000

MAX_ARGS_DEPTH = 100
"""A log must be readable from any depth of the interpreter's stack."""

EMPTY = "Your last reply was empty. Call a tool, or answer in text."
TRUNCATED = (
    "Your last reply was cut off at the output limit, and its tool calls were not made. "
    "Go on in smaller pieces."
)


async def generate(command: Generate, recorder: Recorder, tools: Sequence[ToolDefinition]) -> None:
    """Perform one `Generate`: exactly one of reply, retry or stop is recorded."""
    env = recorder.env
    if command.wait_ms:
        await env.sleep(command.wait_ms / 1000)
    outcome = await _streamed(command, recorder, tools)
    if isinstance(outcome, Failure):
        await _record_failure(recorder, outcome)
    elif outcome.is_truncated:
        await _record_unusable(recorder, outcome, "TruncatedReply", TRUNCATED, command)
    elif command.is_final:
        await _record_result(recorder, outcome, command)
    elif outcome.message.calls:
        await _record_calls(recorder, outcome, tools)
    elif outcome.message.text.strip():
        await _record_completion(recorder, outcome)
    else:
        await _record_unusable(recorder, outcome, "EmptyReply", EMPTY, command)


async def _streamed(
    command: Generate, recorder: Recorder, tools: Sequence[ToolDefinition]
) -> Reply | Failure:
    """The provider's last word; what it says before is shown as it comes.

    Text is the run's result where the model is asked for one, and where there is no tool
    that it could call in its place. Any other text is told to those alone who want it.
    """
    is_result = command.is_final or not tools
    thinking: list[str] = []
    result: list[str] = []
    async with closing(
        recorder.env.provider.generate(_request(command, recorder, tools))
    ) as stream:
        async for piece in stream:
            match piece:
                case ReasoningDelta(text=delta):
                    if not thinking:
                        await recorder.show(ReasoningStarted())
                    thinking.append(delta)
                    await recorder.show(ReasoningStreamed(delta=delta))
                case TextDelta(text=delta):
                    await _close_reasoning(recorder, thinking)
                    if is_result:
                        if not result:
                            await recorder.show(RunResultStarted())
                        result.append(delta)
                        await recorder.show(RunResultStreamed(delta=delta))
                    else:
                        await recorder.say(delta)
                case Reply():
                    await _close_reasoning(recorder, thinking)
                    if is_result and not result and piece.message.text:
                        await recorder.show(RunResultStarted())
                        result.append(piece.message.text)
                    if result:
                        await recorder.show(RunResultCompleted(text="".join(result)))
                    return piece
                case Failure():
                    return piece
    error = RunError(
        name="NoReply", message="The provider ended without a reply", is_retryable=True
    )
    return Failure(error=error)


async def _close_reasoning(recorder: Recorder, thinking: list[str]) -> None:
    if thinking:
        await recorder.show(ReasoningCompleted(text="".join(thinking)))
        thinking.clear()


def _request(
    command: Generate, recorder: Recorder, tools: Sequence[ToolDefinition]
) -> GenerateRequest:
    settings = recorder.env.settings
    state = recorder.state
    instruction = state.instruction
    prompt = "".join(part.text for part in instruction.contents) if instruction else ""
    return GenerateRequest(
        model=settings.model,
        instruction=prompt + loss_of(state.lost_skills),
        messages=state.messages,
        tools=tuple(tools),
        tool_choice="none" if command.is_final else "auto",
        reasoning_budget=settings.reasoning_budget,
        timeout=settings.timeout,
        cache_key=state.run_id,
        expert_key=state.expert_key,
    )


def backoff_ms(retry: int, jitter: float) -> int:
    """How long to wait before retry number `retry` (from 0): doubling, half of it by chance."""
    longest = min(LONGEST_WAIT_MS, FIRST_WAIT_MS << min(retry, 10))
    return int(longest * (0.5 + jitter / 2))


async def _record_failure(recorder: Recorder, failure: Failure) -> None:
    state, env = recorder.state, recorder.env
    error = _not_ours(failure.error)
    if not error.is_retryable or state.retry_count >= env.settings.max_retries:
        await recorder.record(RunStoppedByError(error=error))
        return
    wait = backoff_ms(state.retry_count, env.jitter())
    if failure.retry_after is not None:
        wait = max(wait, min(failure.retry_after, LONGEST_ASKED_WAIT_MS))
    await recorder.record(
        Retried(
            reason=f"{error.name}: {error.message}",
            cause=error,
            wait_ms=wait,
            usage=_counted(failure.usage),
        )
    )


def _not_ours(error: RunError) -> RunError:
    """The vendor's own error, under a name that does not say the run was stopped from outside."""
    return replace(error, name=f"Provider{error.name}") if error.name == INTERRUPTED else error


async def _record_unusable(
    recorder: Recorder, reply: Reply, name: str, feedback: str, command: Generate
) -> None:
    """A reply that is empty or cut off: the model is told, which costs a retry and a step.

    While the result is told nothing is added, since the conversation is already over.
    """
    error = RunError(name=name, message=feedback, is_retryable=True)
    if recorder.state.retry_count >= recorder.env.settings.max_retries:
        await recorder.record(RunStoppedByError(error=error))
        return
    event_id = recorder.env.new_id()
    messages: tuple[Message, ...] = ()
    if not command.is_final:
        kept = tuple(part for part in reply.contents if not isinstance(part, ToolCallPart))
        messages = (user_message(f"{event_id}-1", feedback),)
        if any(isinstance(part, TextPart) and part.text.strip() for part in kept):
            said = ExpertMessage(id=f"{event_id}-0", contents=with_part_ids(kept, f"{event_id}-0"))
            messages = (said, *messages)
    await recorder.record(
        Retried(
            id=event_id,
            reason=name,
            cause=error,
            new_messages=messages,
            usage=_counted(reply.usage),
        )
    )


async def _record_result(recorder: Recorder, reply: Reply, command: Generate) -> None:
    if not reply.message.text.strip():
        await _record_unusable(recorder, reply, "EmptyReply", EMPTY, command)
        return
    await _record_completion(recorder, reply)


async def _record_completion(recorder: Recorder, reply: Reply) -> None:
    """The run's last reply. Calls made against `tool_choice` none are dropped."""
    event_id = recorder.env.new_id()
    kept = tuple(part for part in reply.contents if not isinstance(part, ToolCallPart))
    message = ExpertMessage(id=f"{event_id}-0", contents=with_part_ids(kept, f"{event_id}-0"))
    await recorder.record(
        RunCompleted(
            id=event_id,
            new_message=message,
            usage=_counted(reply.usage),
            context_window=recorder.env.context_window,
        )
    )


async def _record_calls(recorder: Recorder, reply: Reply, tools: Sequence[ToolDefinition]) -> None:
    event_id = recorder.env.new_id()
    message_id = f"{event_id}-0"
    contents, problems = _with_unique_calls(
        with_part_ids(reply.contents, message_id), reply.problems
    )
    message = ExpertMessage(id=message_id, contents=contents)
    skills = {tool.name: tool.skill_name for tool in tools}
    for call in message.calls:
        if call.tool_name not in skills:
            problems[call.tool_call_id] = _unknown_tool(call.tool_name, tuple(skills))
    routes = tuple(skills.get(call.tool_name, UNKNOWN_SKILL) for call in message.calls)
    await recorder.record(
        ToolsCalled(
            id=event_id,
            new_message=message,
            routes=routes,
            problems=problems,
            usage=_counted(reply.usage),
            context_window=recorder.env.context_window,
        )
    )


def _with_unique_calls(
    parts: tuple[ExpertPart, ...], problems: Mapping[str, str]
) -> tuple[tuple[ExpertPart, ...], dict[str, str]]:
    """The same parts, and the problems of their calls.

    A call whose id is empty or taken goes by its part's id. A problem of an id that
    several calls have is a problem of each: nothing says which one it is about.
    """
    seen: set[str] = set()
    unique: list[ExpertPart] = []
    kept: dict[str, str] = {}
    for part in parts:
        named = part
        if isinstance(named, ToolCallPart):
            problem = problems.get(named.tool_call_id)
            if named.tool_call_id in seen or not named.tool_call_id:
                named = replace(named, tool_call_id=named.id)
            seen.add(named.tool_call_id)
            if _is_deeper_than(MAX_ARGS_DEPTH, named.args):
                named = replace(named, args={})
                problem = f"The arguments are nested deeper than {MAX_ARGS_DEPTH} levels."
            if problem is not None:
                kept[named.tool_call_id] = problem
        unique.append(named)
    return tuple(unique), kept


def _is_deeper_than(limit: int, value: object) -> bool:
    level = [value]
    for _ in range(limit + 1):
        inner: list[object] = []
        for item in level:
            if isinstance(item, dict):
                inner.extend(cast("dict[str, object]", item).values())
            elif isinstance(item, list):
                inner.extend(cast("list[object]", item))
        if not inner:
            return False
        level = inner
    return True


def _unknown_tool(name: str, known: tuple[str, ...]) -> str:
    import difflib

    close = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    return f"There is no tool named {name}.{hint}"


def _counted(usage: Usage) -> Usage:
    """`usage`, or the one object that says nothing was counted (which is not stored)."""
    return NO_USAGE if usage == NO_USAGE else usage
