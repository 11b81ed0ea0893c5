"""What an event says, in words for a person. Nothing here is safe to print yet."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from perstack.schema.event import (
    AllToolCallsFinished,
    CompletionAttempted,
    DelegatesCalled,
    Fact,
    GenerationStarted,
    InteractiveToolCalled,
    Retried,
    RunCompleted,
    RunStarted,
    RunStoppedByDelegate,
    RunStoppedByError,
    RunStoppedByExceededMaxSteps,
    RunStoppedByInteractiveTool,
    RuntimeEvent,
    RuntimeInitialized,
    SkillConnected,
    SkillDisconnected,
    SkillReported,
    SkillStarting,
    SkillStderr,
    StepContinued,
    ToolCallCompleted,
    ToolCallFinished,
    ToolCallsResumed,
    ToolCallStarted,
    ToolResultsResolved,
    ToolsCalled,
)
from perstack.schema.message import Json, TextPart, ThinkingPart, UserMessage
from perstack.schema.tool import ToolResult
from perstack.schema.usage import NO_USAGE, Usage
from perstack.views.cost import Cost, cost_text
from perstack.views.log.paint import Style
from perstack.views.plain import counted

LONGEST = 4000
"""Characters of a text that are looked at: more is never shown."""


class Words(NamedTuple):
    """One line or more about an event: a word for what it is, how it looks, and the rest."""

    word: str
    text: str
    style: Style = "plain"


def words_of(fact: Fact) -> list[Words]:  # noqa: C901 - one arm a fact
    """What `fact` says; every event says something."""
    match fact:
        case RunStarted():
            return _of_start(fact)
        case GenerationStarted():
            return [Words("asks", "the model", "dim")]
        case ToolsCalled():
            return _of_reply(fact)
        case ToolCallStarted():
            return [Words("starts", f"{fact.tool_call_id} (effect: {fact.effect})", "dim")]
        case ToolCallCompleted():
            return [_of_result(fact.tool_result, f" in {duration(fact.duration_ms)}")]
        case ToolResultsResolved():
            return [Words("resolved", "every tool has answered", "dim")]
        case CompletionAttempted():
            return [Words("done", "says the Expert; its result follows", "dim")]
        case ToolCallFinished() | AllToolCallsFinished():
            return [Words("finished", "the answers became a message", "dim")]
        case ToolCallsResumed():
            return [Words("resumed", "some calls are still without an answer", "dim")]
        case DelegatesCalled():
            return [
                Words("delegates", f"to {child.expert.key}, run {child.run_id}", "call")
                for child in fact.children
            ]
        case InteractiveToolCalled():
            return [Words("asks", "a person for an answer", "odd")]
        case StepContinued():
            return [Words("step", f"{fact.step_number + 1} begins, checkpoint {fact.id}", "dim")]
        case Retried(cause=cause, wait_ms=wait):
            again = f", again in {duration(wait)}" if wait else ""
            status = f" ({cause.status_code})" if cause.status_code else ""
            return [Words("retry", f"{cause.name}{status}: {cause.message}{again}", "odd")]
        case RunCompleted(new_message=message):
            return [Words("completed", message.text if message else "", "good")]
        case RunStoppedByDelegate():
            return [Words("waits", "for its delegates", "dim")]
        case RunStoppedByInteractiveTool():
            return [Words("waits", "for a person's answer", "odd")]
        case RunStoppedByExceededMaxSteps():
            return [Words("stopped", "the job has no step left", "bad")]
        case RunStoppedByError(error=error):
            status = f" ({error.status_code})" if error.status_code else ""
            return [Words("stopped", f"{error.name}{status}: {error.message}", "bad")]
        case _:
            return _of_runtime(fact)


def words_of_reply(usage: Usage, cost: Cost) -> list[Words]:
    """What a reply took. The cost is first, so that it is seen where the line is cut."""
    if usage == NO_USAGE:
        return []
    told = cost_text(cost)
    return [Words("replied", f"{told}, {tokens(usage)}" if told else tokens(usage), "dim")]


def _of_runtime(fact: RuntimeEvent) -> list[Words]:
    match fact:
        case RuntimeInitialized():
            about = f"{fact.expert_name} with {fact.model}, Perstack {fact.runtime_version}"
            limit = "" if fact.max_steps is None else f", at most {counted(fact.max_steps, 'step')}"
            told = [Words("runs", f"{about}{limit}", "dim")]
            return [*told, Words("notice", fact.notice, "odd")] if fact.notice else told
        case SkillStarting():
            command = " ".join((fact.command, *fact.args[:100]))
            return [Words("skill", f"{fact.skill_name} starts: {command}", "dim")]
        case SkillConnected(total_duration_ms=ms):
            took = "" if ms is None else f" in {duration(ms)}"
            return [Words("skill", f"{fact.skill_name} is up{took}", "dim")]
        case SkillStderr():
            return [Words("skill", f"{fact.skill_name} prints: {fact.message}", "dim")]
        case SkillReported():
            return [Words("skill", f"{fact.skill_name}, {fact.level}: {fact.message}", "odd")]
        case SkillDisconnected(reason=reason):
            lost = ", and its tools are lost" if fact.tools_lost else ""
            why = f": {reason}" if reason else ""
            style: Style = "bad" if fact.tools_lost or reason else "dim"
            return [Words("skill", f"{fact.skill_name} is gone{lost}{why}", style)]


def _of_start(fact: RunStarted) -> list[Words]:
    """What a run begins with, or goes on with."""
    told = [
        Words("query", _text(message.contents), "said")
        for message in fact.input_messages
        if isinstance(message, UserMessage)
    ]
    told += [_of_result(result) for result in fact.tool_results]
    if fact.changes:
        told.append(Words("changed", f"since the last run: {', '.join(fact.changes)}", "odd"))
    return told or [Words("begins", f"checkpoint {fact.id}", "dim")]


def _of_reply(fact: ToolsCalled) -> list[Words]:
    """What the model thought and said, and each call."""
    told: list[Words] = []
    for part in fact.new_message.contents:
        if isinstance(part, ThinkingPart) and part.thinking and not part.redacted:
            told.append(Words("thinks", part.thinking, "dim"))
        elif isinstance(part, TextPart) and part.text.strip():
            told.append(Words("says", part.text))
    calls = fact.new_message.calls
    told += [Words("calls", f"{call.tool_name} {shown_json(call.args)}", "call") for call in calls]
    told += [Words("calls", f"{call_id}: {why}", "bad") for call_id, why in fact.problems.items()]
    return told


def _of_result(result: ToolResult, took: str = "") -> Words:
    word = "failed" if result.is_error else "answered"
    return Words(
        word,
        f"{result.tool_name}{took}: {_text(result.result)}",
        "bad" if result.is_error else "plain",
    )


def _text(parts: tuple[object, ...]) -> str:
    """The text of a message or a result; what is no text is named."""
    return " ".join(
        part.text[:LONGEST] if isinstance(part, TextPart) else f"({_kind(part)})" for part in parts
    )


def _kind(part: object) -> str:
    return str(getattr(part, "mime_type", "something else"))


def shown_json(args: Json) -> str:
    """Arguments as JSON, without what is too long to be shown."""
    return msgspec.json.encode(
        {name: value[:LONGEST] if isinstance(value, str) else value for name, value in args.items()}
    )[: 2 * LONGEST].decode(errors="replace")


def tokens(usage: Usage) -> str:
    """What a model counted, in short."""
    cached = f" ({usage.cached_input_tokens:,} cached)" if usage.cached_input_tokens else ""
    return f"{usage.input_tokens:,}{cached} tokens in, {usage.output_tokens:,} out"


def duration(ms: float) -> str:
    """A length of time, in the unit that fits: `7 ms`, `1.2 s`, `3 min 20 s`, `2 h 5 min`."""
    if ms < 1000:
        return f"{ms:.0f} ms"
    seconds = ms / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
