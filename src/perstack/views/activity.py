"""What people read: a job's facts as activities. A pure fold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from perstack.kernel.plan import pending_questions
from perstack.kernel.schedule import query_of
from perstack.kernel.state import RunState
from perstack.schema.event import (
    CompletionAttempted,
    DelegatesCalled,
    Fact,
    InteractiveToolCalled,
    Retried,
    RunCompleted,
    RunEvent,
    RunStarted,
    RunStoppedByError,
    RunStoppedByExceededMaxSteps,
    ToolCallCompleted,
    ToolsCalled,
)
from perstack.schema.message import ExpertMessage, TextPart, ThinkingPart, UserMessage
from perstack.schema.tool import DELEGATE_SKILL
from perstack.views.activity_calls import activity_of_call
from perstack.views.activity_kinds import (
    Activity,
    AttemptCompletionActivity,
    CompleteActivity,
    DelegateActivity,
    DelegationCompleteActivity,
    Delegator,
    ErrorActivity,
    InteractiveToolActivity,
    QueryActivity,
    RetryActivity,
)
from perstack.views.activity_line import line_of
from perstack.views.fold import JobFold

__all__ = ["Activity", "ActivityFold", "activities", "line_of"]


def activities(facts: Iterable[Fact]) -> Iterator[Activity]:
    """The activities of a job, or of one run. The facts of a run come in order, from its first."""
    fold = ActivityFold()
    for fact in facts:
        yield from fold.feed(fact)


class ActivityFold:
    """Tells a job's activities as its facts come.

    The same facts give the same activities, live or read back, except that
    `previous_activity_id` and `reasoning` know of nothing that was not fed.
    """

    def __init__(self) -> None:
        self._fold = JobFold()
        self._replies: dict[str, ExpertMessage] = {}
        self._last: dict[str, str] = {}

    def feed(self, fact: Fact, after: RunState | None = None) -> tuple[Activity, ...]:
        """The activities that `fact` completes.

        `after` is the run after `fact`, for whoever has it; then the run's earlier
        facts need not have been fed. It is given with every fact, or with none.
        """
        if after is None:
            after = self._folded(fact)
        if not isinstance(fact, RunEvent):
            return ()
        if isinstance(fact, ToolsCalled):
            self._replies[fact.run_id] = fact.new_message
        return self._linked(fact, after, _told(fact, after))

    def _folded(self, fact: Fact) -> RunState:
        try:
            return self._fold.feed(fact)[1]
        except LookupError:  # the conversation that the fact ends was not fed
            return self._fold.before(fact)

    def _linked(
        self, fact: RunEvent, after: RunState, told: tuple[Activity, ...]
    ) -> tuple[Activity, ...]:
        """The same activities, each with its header."""
        run_id = fact.run_id
        parent = after.delegated_by
        delegator = parent and Delegator(expert_key=parent.expert.key, run_id=parent.run_id)
        linked: list[Activity] = []
        for index, activity in enumerate(told):
            linked.append(
                replace(
                    activity,
                    id=f"{fact.id}-a{index}",
                    expert_key=fact.expert_key,
                    run_id=run_id,
                    previous_activity_id=self._last.get(run_id),
                    delegated_by=delegator,
                    reasoning=self._reasoning(fact),
                )
            )
            self._last[run_id] = linked[-1].id
        return tuple(linked)

    def _reasoning(self, fact: RunEvent) -> str | None:
        """What the model thought and said ahead of what it does; told once."""
        reply = self._replies.pop(fact.run_id, None)
        if isinstance(fact, RunCompleted):
            return reasoning_of(fact.new_message or reply, with_text=False)
        return reasoning_of(reply, with_text=True)


def reasoning_of(message: ExpertMessage | None, *, with_text: bool) -> str | None:
    """The thinking of a reply, without what its vendor hid, and its text; None for nothing."""
    parts = message.contents if message else ()
    thoughts = [p.thinking for p in parts if isinstance(p, ThinkingPart) and not p.redacted]
    texts = [p.text for p in parts if isinstance(p, TextPart)] if with_text else []
    said = [text for text in (*thoughts, *texts) if text.strip()]
    return "\n\n".join(said) or None


def _told(fact: RunEvent, after: RunState) -> tuple[Activity, ...]:
    match fact:
        case RunStarted():
            return _told_by_start(fact)
        case ToolCallCompleted(tool_result=result):
            calls = [call for call in after.turn.calls if call.id == result.id]
            return tuple(activity_of_call(call, result, after.todos) for call in calls[:1])
        case CompletionAttempted():
            return (AttemptCompletionActivity(),)
        case DelegatesCalled():
            return _told_by_delegation(fact, after)
        case InteractiveToolCalled():
            return tuple(
                InteractiveToolActivity(
                    skill_name=call.skill_name, tool_name=call.tool_name, args=call.args
                )
                for call in pending_questions(after)[:1]
            )
        case Retried():
            return (
                RetryActivity(
                    error=fact.cause.name, message=fact.cause.message, wait_ms=fact.wait_ms
                ),
            )
        case RunCompleted():
            result = CompleteActivity(text=after.text)
            return (result,) if fact.new_message else (AttemptCompletionActivity(), result)
        case RunStoppedByExceededMaxSteps():
            text = "The job has no step left."
            return (ErrorActivity(error=text, error_name="ExceededMaxSteps", is_retryable=True),)
        case RunStoppedByError(error=error):
            return (
                ErrorActivity(
                    error=error.message, error_name=error.name, is_retryable=error.is_retryable
                ),
            )
        case _:
            return ()


def _told_by_start(fact: RunStarted) -> tuple[Activity, ...]:
    """A query, the answers of a person, or that the delegates are back."""
    queries = [
        QueryActivity(text="".join(p.text for p in message.contents if isinstance(p, TextPart)))
        for message in fact.input_messages
        if isinstance(message, UserMessage)
    ]
    delegates = [result for result in fact.tool_results if result.skill_name == DELEGATE_SKILL]
    answers = [result for result in fact.tool_results if result.skill_name != DELEGATE_SKILL]
    queries += [QueryActivity(text=result.text) for result in answers]
    if delegates:
        return (DelegationCompleteActivity(count=len(delegates)), *queries)
    return tuple(queries)


def _told_by_delegation(fact: DelegatesCalled, after: RunState) -> tuple[Activity, ...]:
    queries = {call.id: query_of(call) for call in after.turn.calls}
    return tuple(
        DelegateActivity(
            delegate_expert_key=child.expert.key, query=queries.get(child.tool_call_id, "")
        )
        for child in fact.children
    )
