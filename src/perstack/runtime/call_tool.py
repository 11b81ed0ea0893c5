"""Making the calls of a reply, and writing down what came back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio.lowlevel
from msgspec.structs import replace

from perstack.errors import PerstackError, words_of
from perstack.kernel.plan import error_text
from perstack.schema.event import Child, DelegatesCalled, ToolCallCompleted, ToolCallStarted
from perstack.schema.message import TextPart
from perstack.schema.tool import ToolCall, ToolOutput, ToolResult

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perstack.kernel.command import AnswerCall, CallDelegates, CallTools
    from perstack.runtime.hands import Hands
    from perstack.runtime.recorder import Recorder


async def call_tools(command: CallTools, recorder: Recorder, hands: Hands) -> None:
    """Make calls one after the other.

    A call is on record, and durable when it may change something, before it is
    made; its answer is on record as soon as it is there.
    """
    for call in command.calls:
        await anyio.lowlevel.checkpoint_if_cancelled()  # once told to stop, nothing is begun
        effect = hands.effects.get(call.tool_name, "unknown")
        if call.id not in recorder.state.turn.started:
            await recorder.record(ToolCallStarted(tool_call_id=call.id, effect=effect))
        if effect == "unknown":
            await recorder.flush()
        started = recorder.env.monotonic_ms()
        output = await _output_of(call, hands)
        took = recorder.env.monotonic_ms() - started
        await _record_answer(recorder, call, output, took)


async def _output_of(call: ToolCall, hands: Hands) -> ToolOutput:
    """What the tool gives back. One that raises has failed, and the others go on.

    A name that passed to another skill since the call was recorded is not called there.
    """
    if hands.skills.get(call.tool_name, call.skill_name) != call.skill_name:
        text = f"The tool {call.tool_name} of the skill {call.skill_name} is not there any more."
        return _failed(error_text(text))
    try:
        return await hands.toolbox.call(call.tool_name, call.args)
    except Exception as error:  # noqa: BLE001 - trouble of a tool is an answer
        await anyio.lowlevel.checkpoint_if_cancelled()  # cut short: nobody knows its outcome
        return _failed(
            error_text(f"{call.tool_name} failed: {type(error).__name__}: {words_of(error)}")
        )


def _failed(text: str) -> ToolOutput:
    return ToolOutput(contents=(TextPart(text=text),), is_error=True)


async def answer_call(command: AnswerCall, recorder: Recorder) -> None:
    """Answer a call without making it."""
    output = ToolOutput(contents=(TextPart(text=command.text),), is_error=command.is_error)
    await _answer(recorder, command.call, output)


async def _answer(recorder: Recorder, call: ToolCall, output: ToolOutput) -> None:
    if call.id not in recorder.state.turn.started:
        await recorder.record(ToolCallStarted(tool_call_id=call.id, effect="none"))
    await _record_answer(recorder, call, output, 0)


async def _record_answer(
    recorder: Recorder, call: ToolCall, output: ToolOutput, duration_ms: int
) -> None:
    try:
        await recorder.record(_completed(recorder.env.new_id(), call, output, duration_ms))
    except (UnicodeError, OverflowError, TypeError, ValueError) as error:
        # Half a character, say: nothing was recorded, and the model learns of it.
        failed = _failed(error_text(f"The answer of {call.tool_name} cannot be kept: {error}"))
        await recorder.record(_completed(recorder.env.new_id(), call, failed, duration_ms))


def _completed(
    event_id: str, call: ToolCall, output: ToolOutput, duration_ms: int
) -> ToolCallCompleted:
    result = ToolResult(
        id=call.id,
        skill_name=call.skill_name,
        tool_name=call.tool_name,
        result=tuple(
            replace(part, id=f"{event_id}-{index}") for index, part in enumerate(output.contents)
        ),
        is_error=output.is_error,
    )
    return ToolCallCompleted(id=event_id, tool_result=result, duration_ms=duration_ms)


async def call_delegates(command: CallDelegates, recorder: Recorder) -> None:
    """Name a run for each delegate that can be asked, and answer for each that cannot.

    Nothing is named while an answer is still to be read: then the plan comes back
    here, with the refused calls out of the way.
    """
    delegates = {
        delegate.tool_name: delegate.key
        for delegate in (recorder.state.definition.delegates if recorder.state.definition else ())
    }
    children: list[Child] = []
    refused = False
    for call in command.calls:
        try:
            child = await _child_of(call, delegates, recorder)
        except PerstackError as error:
            refused = True
            await _answer(recorder, call, _failed(f"Delegation failed: {error.message}"))
        else:
            children.append(child)
    if not refused:
        await recorder.record(DelegatesCalled(children=tuple(children)))


async def _child_of(call: ToolCall, delegates: Mapping[str, str], recorder: Recorder) -> Child:
    query = call.args.get("query")
    if not isinstance(query, str) or not query.strip():
        message = "the argument `query` must be a text that says what to do"
        raise PerstackError(message)
    key = delegates.get(call.tool_name, call.tool_name)
    definition = await recorder.env.resolve(key)
    return Child(tool_call_id=call.id, run_id=recorder.env.new_id(), expert=definition.expert.ref)
