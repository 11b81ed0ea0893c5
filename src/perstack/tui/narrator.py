"""Tells a transcript what happens: facts and deltas in, parts out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from perstack.schema.checkpoint import INTERRUPTED
from perstack.schema.event import (
    DelegatesCalled,
    Fact,
    GenerationStarted,
    InteractiveToolCalled,
    ReasoningCompleted,
    ReasoningStarted,
    ReasoningStreamed,
    Retried,
    RunCompleted,
    RunEvent,
    RunResultCompleted,
    RunResultStarted,
    RunResultStreamed,
    RunStarted,
    RunStoppedByDelegate,
    RunStoppedByError,
    RunStoppedByExceededMaxSteps,
    RunStoppedByInteractiveTool,
    Shown,
    SkillDisconnected,
    TextStreamed,
    ToolCallCompleted,
    ToolsCalled,
)
from perstack.schema.message import TextPart, ThinkingPart, UserMessage
from perstack.schema.skill import InteractiveSkill
from perstack.schema.tool import BASE_SKILL, COMPLETION_TOOL, DELEGATE_SKILL
from perstack.schema.usage import NO_USAGE
from perstack.tui.asking import Asking
from perstack.tui.parts import Said, Spent, Thought, Told, ToolLine
from perstack.tui.prose import Prose
from perstack.tui.run_block import RunBlock, SideBySide
from perstack.views.cost import NO_COST

if TYPE_CHECKING:
    from textual.widget import Widget

    from perstack.schema.message import ExpertMessage
    from perstack.schema.tool import ToolCall, ToolResult
    from perstack.schema.usage import Usage
    from perstack.tui.questions import Question
    from perstack.tui.transcript import Transcript
    from perstack.views.cost import Cost


@dataclass(slots=True)
class Run:
    """What is known of one run. `block` is None for the coordinator's.

    `streamed` are the parts that came with the reply that is being made.
    """

    block: RunBlock | None = None
    interactive: dict[str, InteractiveSkill] = field(default_factory=dict[str, InteractiveSkill])
    calls: dict[str, ToolCall] = field(default_factory=dict[str, "ToolCall"])
    lines: dict[str, ToolLine] = field(default_factory=dict[str, ToolLine])
    thought: Thought | None = None
    result: Prose | None = None
    streamed: list[Widget] = field(default_factory=list["Widget"])


class Narrator:
    """Needs no state of the runtime, only its events, and those of a run in their order."""

    def __init__(self, transcript: Transcript) -> None:
        self._transcript = transcript
        self._runs: dict[str, Run] = {}
        self._asking = Asking()

    async def flush(self) -> None:
        """Show the deltas that came since the last time."""
        for run in tuple(self._runs.values()):
            if run.thought is not None:
                await run.thought.prose.flush()
            if run.result is not None:
                await run.result.flush()

    async def ask(self, calls: tuple[ToolCall, ...]) -> Question | None:
        """These wait for answers, and no others: the first one now. It, if there is one."""
        for question in self._asking.missing(calls):
            await self._add(Run(), question)
        return self._asking.turn(calls)

    async def tell(self, event: Fact | Shown | TextStreamed, cost: Cost = NO_COST) -> None:
        """Show one event, and what it cost."""
        if isinstance(event, RunEvent):
            run = self._runs.setdefault(event.run_id, Run())
            await self._fact(event, run)
            if isinstance(event, ToolsCalled | RunCompleted | Retried) and event.usage != NO_USAGE:
                await self._spent(run, event.usage, cost)
        elif isinstance(event, SkillDisconnected):
            if event.tools_lost:
                text = f"the skill {event.skill_name} is lost: {event.reason}"
                await self._transcript.add(Told(text, is_problem=True))
        elif isinstance(event, TextStreamed):
            await self._said(event.delta, self._runs.setdefault(event.run_id, Run()))
        elif isinstance(event, Shown):
            await self._delta(event, self._runs.setdefault(event.run_id, Run()))

    async def _delta(self, event: Shown, run: Run) -> None:
        match event:
            case ReasoningStarted():
                run.thought = Thought()
                await self._streamed(run, run.thought)
            case ReasoningStreamed(delta=delta) if run.thought is not None:
                run.thought.prose.add(delta)
            case ReasoningCompleted(text=text) if run.thought is not None:
                thought, run.thought = run.thought, None
                thought.prose.whole = text
                await thought.finish()
            case RunResultStarted():
                run.result = Prose(classes="said")
                await self._streamed(run, run.result)
            case RunResultStreamed(delta=delta) if run.result is not None:
                run.result.add(delta)
            case RunResultCompleted(text=text) if run.result is not None:
                result, run.result = run.result, None
                result.whole = text
                await result.finish()
            case _:  # a piece of a stream whose start was not seen
                pass

    async def _said(self, delta: str, run: Run) -> None:
        if run.result is None:
            if not delta.strip():
                return
            run.result = Prose(classes="said")
            await self._streamed(run, run.result)
        run.result.add(delta)

    async def _streamed(self, run: Run, part: Widget) -> None:
        run.streamed.append(part)
        await self._add(run, part)

    async def _spent(self, run: Run, usage: Usage, cost: Cost) -> None:
        await self._add(run, Spent(usage, cost))
        if run.block is not None:
            run.block.spent(cost)

    async def _add(self, run: Run, part: Widget) -> None:
        await self._transcript.add(part, self._place_of(run))

    def _place_of(self, run: Run) -> Widget | None:
        return run.block.parts if run.block is not None else None

    async def _fact(self, fact: RunEvent, run: Run) -> None:
        match fact:
            case RunStarted():
                await self._started(fact, run)
            case GenerationStarted():
                self._stepped(run)
            case ToolsCalled():
                await self._called(fact, run)
            case ToolCallCompleted(tool_result=result):
                await self._answered(run, result)
            case DelegatesCalled():
                await self._delegated(fact, run)
            case InteractiveToolCalled():
                for question in self._asking.new(run.calls.values(), run.interactive):
                    await self._add(run, question)
            case Retried(reason=reason, wait_ms=wait_ms):
                await self._take_back(run)
                again = f" (again in {wait_ms / 1000:g} s)" if wait_ms else ""
                await self._add(run, Told(f"retry: {reason}{again}"))
            case RunCompleted():
                await self._completed(fact, run)
            case RunStoppedByDelegate():
                self._show(run, "waits for its delegates")
            case RunStoppedByInteractiveTool():
                self._show(run, "waits for an answer")
            case RunStoppedByExceededMaxSteps():
                await self._stopped(run, "stopped: the job has no step left")
            case RunStoppedByError(error=error) if error.name == INTERRUPTED:
                await self._stopped(run, "stopped")
            case RunStoppedByError(error=error):
                await self._stopped(run, f"stopped by {error.name}: {error.message}")
            case _:
                pass

    async def _started(self, fact: RunStarted, run: Run) -> None:
        if fact.definition is not None:
            skills = fact.definition.expert.skills.items()
            run.interactive = {n: s for n, s in skills if isinstance(s, InteractiveSkill)}
        for result in fact.tool_results:
            if result.skill_name != DELEGATE_SKILL:
                run.calls.pop(result.id, None)
                if not self._asking.answered(result):
                    await self._add(run, Said(result.text))
        if fact.delegated_by is None:
            for message in fact.input_messages:
                if isinstance(message, UserMessage):
                    parts = (part for part in message.contents if isinstance(part, TextPart))
                    await self._add(run, Said("".join(part.text for part in parts)))
        elif run.block is None:
            run.block = RunBlock(fact.expert_key, "")
            parent = self._runs.setdefault(fact.delegated_by.run_id, Run())
            await self._add(parent, run.block)
        self._show(run, "running")

    def _stepped(self, run: Run) -> None:
        run.streamed.clear()
        if run.block is not None:
            run.block.stepped()

    async def _called(self, fact: ToolsCalled, run: Run) -> None:
        await self._finish(run)
        if not run.streamed and (thinking := _thinking(fact.new_message)):
            await self._add(run, Thought(thinking))
        if text := fact.new_message.text.strip():
            await self._whole(text, run)
        run.streamed.clear()
        self._cut_short(run)
        run.calls = {call.id: call for call in fact.tool_calls}
        for call in fact.tool_calls:
            is_completion = (call.skill_name, call.tool_name) == (BASE_SKILL, COMPLETION_TOOL)
            is_asked = call.skill_name in run.interactive or call.skill_name == DELEGATE_SKILL
            if not is_asked and not is_completion:
                await self._line(run, call)

    async def _whole(self, text: str, run: Run) -> None:
        """All that was said in a reply; it is shown already where it came in pieces."""
        for part in run.streamed:
            if isinstance(part, Prose):
                part.whole = text
                return
        await self._add(run, Prose(text, classes="said"))

    async def _line(self, run: Run, call: ToolCall) -> ToolLine:
        line = run.lines[call.id] = ToolLine(call)
        await self._add(run, line)
        return line

    async def _answered(self, run: Run, result: ToolResult) -> None:
        call = run.calls.pop(result.id, None)
        line = run.lines.pop(result.id, None)
        if line is None and call is not None and result.is_error:
            line = await self._line(run, call)
            del run.lines[result.id]
        if line is not None:
            line.answered(result)

    async def _delegated(self, fact: DelegatesCalled, run: Run) -> None:
        place = self._place_of(run)
        if len(fact.children) > 1:
            place = await self._transcript.beside(SideBySide(), place)
        for child in fact.children:
            call = run.calls.pop(child.tool_call_id, None)
            query = call.args.get("query", "") if call is not None else ""
            block = RunBlock(child.expert.key, query if isinstance(query, str) else "")
            self._runs[child.run_id] = Run(block=block)
            await self._transcript.add(block, place)

    async def _completed(self, fact: RunCompleted, run: Run) -> None:
        await self._finish(run)
        message = fact.new_message
        if message is not None:
            if not run.streamed and (thinking := _thinking(message)):
                await self._add(run, Thought(thinking))
            await self._whole(message.text, run)
        self._cut_short(run)
        if run.block is not None:
            run.block.ended("done", is_well=True)
            del self._runs[fact.run_id]

    async def _stopped(self, run: Run, text: str) -> None:
        await self._finish(run)
        self._cut_short(run)
        await self._add(run, Told(text, is_problem=True))
        if run.block is not None:
            run.block.ended("stopped", is_well=False)

    async def _finish(self, run: Run) -> None:
        """Let streams end that were cut off."""
        if run.thought is not None:
            await run.thought.finish()
        if run.result is not None:
            await run.result.finish()
        run.thought = run.result = None

    async def _take_back(self, run: Run) -> None:
        """The deltas since the last start are void."""
        await self._finish(run)
        for part in run.streamed:
            await self._transcript.drop(part)
        run.streamed.clear()

    def _cut_short(self, run: Run) -> None:
        for line in run.lines.values():
            line.cut_short()
        run.lines.clear()

    def _show(self, run: Run, status: str) -> None:
        if run.block is not None:
            run.block.is_moving = True
            run.block.show(status)


def _thinking(message: ExpertMessage) -> str:
    parts = (part for part in message.contents if isinstance(part, ThinkingPart))
    return "\n\n".join(part.thinking for part in parts if not part.redacted)
