"""Every sequence of events that the public formats name, and the rules beside them."""

from __future__ import annotations

import pytest

from perstack.errors import CannotContinue
from perstack.kernel.apply import result_of
from perstack.kernel.plan import READ_FIRST, pending_questions
from perstack.providers import GenerateRequest, Reply
from perstack.schema.event import (
    DelegatesCalled,
    RunEvent,
    RunStarted,
    RunStoppedByDelegate,
    StepContinued,
    ToolCallCompleted,
)
from perstack.schema.usage import Usage
from perstack.testing import call, fail, say, together
from runtime.stage import FIN, REST, STEP, Stage, listed, position, solo
from worlds import World, expert, replies, role

pytestmark = pytest.mark.anyio


def used(count: int) -> Usage:
    return Usage(input_tokens=count, total_tokens=count)


def answer_texts(stage: Stage) -> list[str]:
    return [f.tool_result.text for f in stage.log.facts if isinstance(f, ToolCallCompleted)]


# One run


async def test_text_only_is_the_result():
    stage = solo(say("Hello."))
    job = await stage.begin()
    assert await stage.types(shown=True) == ["startRun", "startGeneration", "completeRun"]
    assert (job.status, job.total_steps) == ("completed", 1)
    assert (await stage.only("lead")).text == "Hello."


async def test_tools_and_then_a_completion_are_steps_and_a_second_reply():
    stage = solo(call("look"), call("attemptCompletion"), say("Result.", thinking="Hm."))
    job = await stage.begin()
    fin = [
        *FIN[:-1],
        "startStreamingReasoning",
        "streamReasoning",
        "completeStreamingReasoning",
        "startStreamingRunResult",
        "streamRunResult",
        "completeStreamingRunResult",
        "completeRun",
    ]
    assert await stage.types(shown=True) == ["startRun", *STEP, *fin]
    assert job.total_steps == 2


async def test_the_result_is_asked_for_with_the_same_tools_and_tool_choice_none():
    stage = solo(call("look"), call("attemptCompletion"), say("Result."))
    requests: list[GenerateRequest] = []
    model = stage.world.model
    stage.world.model = lambda request: (requests.append(request), model(request))[1]
    await stage.begin()
    assert [request.tool_choice for request in requests] == ["auto", "auto", "none"]
    assert requests[1].tools == requests[2].tools
    assert list(requests[2].messages)[:3] == list(requests[1].messages)
    assert len(requests[2].messages) == 5, "the completion has its answer"


async def test_text_and_the_completion_as_the_only_call_need_no_second_reply():
    stage = solo(call("attemptCompletion", text="It is 42."), fail("never asked"))
    await stage.begin()
    assert await stage.types(shown=True) == [
        "startRun",
        "startGeneration",
        "callTools",
        "completeRun",
    ]
    assert (await stage.only("lead")).text == "It is 42."


async def test_a_result_that_was_not_streamed_is_shown_all_the_same():
    stage = solo(call("attemptCompletion"), say(""))
    stage.world.model = lambda request: (
        [say("Result.")] if request.tool_choice == "none" else call("attemptCompletion")
    )  # type: ignore[assignment,return-value]
    await stage.begin()
    shown = [t for t in await stage.types(shown=True) if "Streaming" in t or t == "streamRunResult"]
    assert shown == ["startStreamingRunResult", "completeStreamingRunResult"]


async def test_calls_beside_a_completion_run_first():
    stage = solo(together(call("look"), call("attemptCompletion")), say("Result."))
    await stage.begin()
    assert await stage.types() == [
        "startRun",
        "startGeneration",
        "callTools",
        "startToolCall",
        "completeToolCall",
        "attemptCompletion",
        "completeRun",
    ]


async def test_a_failed_call_beside_a_completion_makes_an_ordinary_step():
    both = together(call("broken"), call("attemptCompletion"))
    stage = solo(both, call("attemptCompletion"), say("Result."))
    await stage.begin()
    pair = ["startToolCall", "completeToolCall"]
    step = [*STEP[:2], *pair, *pair, *STEP[4:]]
    assert await stage.types() == ["startRun", *step, *FIN]
    assert READ_FIRST in answer_texts(stage)


async def test_a_completion_with_open_todos_is_an_ordinary_step():
    stage = solo(
        together(call("todo", {"newTodos": ["one"]}), call("attemptCompletion")),
        call("todo", {"completedTodos": [0]}),
        call("attemptCompletion"),
        say("Result."),
    )
    await stage.begin()
    pair = ["startToolCall", "completeToolCall"]
    assert await stage.types() == ["startRun", *STEP[:2], *pair, *pair, *STEP[4:], *STEP, *FIN]
    assert answer_texts(stage)[1] == '{"remainingTodos":[{"id":0,"title":"one","completed":false}]}'


async def test_an_unknown_tool_is_an_answer_that_names_a_close_one():
    stage = solo(call("lok"), say("Result."))
    await stage.begin()
    assert await stage.types() == ["startRun", *STEP, "startGeneration", "completeRun"]
    assert "There is no tool named lok. Did you mean look?" in answer_texts(stage)[0]


async def test_calls_made_against_tool_choice_none_are_dropped():
    stage = solo(call("attemptCompletion"), together(say("Result."), call("effect", {"name": "x"})))
    await stage.begin()
    assert await stage.types() == ["startRun", *FIN]
    state = await stage.only("lead")
    assert (state.text, stage.world.witness.effects.total()) == ("Result.", 0)
    assert not getattr(state.messages[-1], "calls", ())


# The step limit


async def test_at_the_step_limit_a_run_stops_behind_its_step():
    stage = solo(call("look"), max_steps=2)
    job = await stage.begin()
    assert await stage.types() == ["startRun", *STEP, *STEP[:-1], "stopRunByExceededMaxSteps"]
    assert (job.status, job.total_steps, job.max_steps) == ("stoppedByMaxSteps", 2, 2)


async def test_a_result_is_told_at_the_step_limit():
    stage = solo(call("attemptCompletion"), say("Result."), max_steps=1)
    assert (await stage.begin()).status == "completed"


async def test_a_job_at_its_limit_takes_no_step_and_a_higher_one_goes_on():
    stage = solo(call("look"), max_steps=2)
    await stage.begin()
    assert (await stage.go_on("More.")).status == "stoppedByMaxSteps"
    assert (await stage.types())[-2:] == ["startRun", "stopRunByExceededMaxSteps"]
    stage.world.max_steps = 3
    job = await stage.go_on("More.")
    assert (job.total_steps, job.max_steps) == (3, 3)
    assert (await stage.types())[-7:] == [
        "startRun",
        *STEP[:-2],
        "finishToolCall",
        "stopRunByExceededMaxSteps",
    ][-7:]


def crew(*names: str, max_steps: int = 100, turns: int = 2) -> Stage:
    """A lead that delegates to all at once; each delegate takes `turns` steps and a reply."""

    def model(request: GenerateRequest) -> Reply:
        if role(request) == "lead":
            if replies(request):
                return say("All came back.")
            return together(*(call(name, {"query": f"go {name}"}) for name in names))
        if replies(request) < turns:
            return call("look", usage=used(10))
        return say(f"{role(request)} is done.", usage=used(1))

    return Stage(
        World(
            {"lead": expert("lead", delegates=names), **{name: expert(name) for name in names}},
            model,
            max_steps=max_steps,
        )
    )


async def test_parallel_delegates_share_the_limit_and_a_higher_one_carries_them_on_first():
    stage = crew("a", "b", max_steps=4, turns=5)
    job = await stage.begin()
    assert (job.status, job.total_steps) == ("stoppedByMaxSteps", 4)
    assert await stage.types() == ["startRun", *REST]
    stops = [(await stage.types(name))[-1] for name in ("a", "b")]
    assert stops == ["stopRunByExceededMaxSteps"] * 2

    assert (await stage.go_on()).total_steps == 4, "no step, no move"
    stage.world.max_steps = 100
    job = await stage.go_on()
    assert (job.status, job.total_steps) == ("completed", 14)
    assert len([fact for fact in stage.starts() if fact.definition]) == 3
    assert (await stage.types("a")).count("startRun") == 1


async def test_step_numbers_order_the_steps_of_a_job_and_do_not_count_them():
    stage = crew("a", "b")
    await stage.begin()
    (stop,) = stage.facts(RunStoppedByDelegate)
    starts = {(fact.expert_key, fact.step_number) for fact in stage.starts()}
    assert starts == {("lead", 1), ("a", 2), ("b", 2), ("lead", 5)}
    assert stop.step_number == 1


# Delegates


async def test_a_delegating_run_rests_and_is_carried_on_as_the_same_run():
    stage = crew("a")
    job = await stage.begin()
    assert await stage.types() == [
        "startRun",
        *REST,
        "startRun",
        "finishAllToolCalls",
        "continueToNextStep",
        "startGeneration",
        "completeRun",
    ]
    assert await stage.types("a") == ["startRun", *STEP, *STEP, "startGeneration", "completeRun"]
    first, child, again = stage.starts()
    assert (first.run_id, again.definition) == (again.run_id, None)
    assert child.delegated_by is not None
    assert child.delegated_by.run_id == first.run_id
    (named,) = stage.facts(DelegatesCalled)
    assert isinstance(named, DelegatesCalled)
    assert named.children[0].run_id == child.run_id
    assert named.seq < len(stage.log.facts)
    assert job.status == "completed"


async def test_children_are_on_record_before_they_start():
    stage = crew("a", "b")
    await stage.begin()
    order = [
        (fact.expert_key, type(fact)) for fact in stage.log.facts if isinstance(fact, RunEvent)
    ]
    assert order.index(("lead", RunStoppedByDelegate)) < order.index(("a", RunStarted))
    assert order.index(("lead", RunStoppedByDelegate)) < order.index(("b", RunStarted))


async def test_usage_of_descendants_is_their_ancestors_and_counted_once_in_the_job():
    def model(request: GenerateRequest) -> Reply:
        match role(request), replies(request):
            case "lead", 0:
                return call("mid", {"query": "go"}, usage=used(1))
            case "mid", 0:
                return together(
                    call("leaf", {"query": "go"}, usage=used(10)), call("leaf", {"query": "go"})
                )
            case "leaf", _:
                return say("Leaf.", usage=used(1000))
            case _:
                return say("Done.", usage=used(100))

    experts = {
        "lead": expert("lead", delegates=("mid",)),
        "mid": expert("mid", delegates=("leaf",)),
        "leaf": expert("leaf"),
    }
    stage = Stage(World(experts, model))
    job = await stage.begin()
    assert (await stage.only("mid")).usage == used(2110)
    assert (await stage.only("lead")).usage == used(2211)
    assert job.usage == used(2211)
    assert (await stage.go_on("Again.")).usage == used(2311)
    assert (await stage.only("lead")).usage == used(100)


async def test_tokens_of_delegates_count_in_the_job_before_their_parent_has_them():
    stage = crew("a", "b", max_steps=3)
    job = await stage.begin()
    assert job.status == "stoppedByMaxSteps"
    assert job.usage == used(20)


async def test_a_failed_delegate_is_an_answer_for_its_parent_and_not_the_end_of_its_siblings():
    stage = crew("a", "b")
    model = stage.world.model
    stage.world.model = lambda request: (
        fail("invalid_request_error", 400, message="No such model.")
        if role(request) == "a"
        else model(request)
    )
    job = await stage.begin()
    assert job.status == "completed"
    back = stage.starts()[-1]
    assert [(result.text, result.is_error) for result in back.tool_results] == [
        ("Delegation failed: No such model.", True),
        ("b is done.", False),
    ]


def mixed(*rest: Reply) -> Stage:
    """A lead that calls everything at once."""
    first = together(
        call("attemptCompletion"),
        call("askUser", {"question": "Name?"}, id="q1"),
        call("helper", {"query": "help"}),
        call("look"),
        call("askUser", {"question": "Age?"}, id="q2"),
    )

    def model(request: GenerateRequest) -> Reply:
        if role(request) == "helper":
            return say("Helped.")
        return (first, *rest)[min(replies(request), len(rest))]

    experts = {
        "lead": expert("lead", delegates=("helper",), asks=True),
        "helper": expert("helper"),
    }
    return Stage(World(experts, model))


MIXED = [
    "startRun",
    "startGeneration",
    "callTools",
    "startToolCall",
    "completeToolCall",
    "callDelegate",
    "stopRunByDelegate",
    "startRun",
    "resumeToolCalls",
    "callInteractiveTool",
    "stopRunByInteractiveTool",
]


async def answer(stage: Stage, text: str, place: int = 0) -> None:
    async with stage.opened() as job:
        assert job.coordinator is not None
        await job.answer((result_of(pending_questions(job.coordinator)[place], text),))
        await job.carry_on()


async def test_tools_delegates_and_questions_of_one_reply_come_in_that_order():
    stage = mixed(say("Thank you."))
    job = await stage.begin()
    assert job.status == "stoppedByInteractiveTool"
    assert await stage.types() == MIXED


async def test_questions_left_unanswered_are_asked_again_and_then_the_step_ends():
    stage = mixed(say("Thank you."))
    await stage.begin()
    await answer(stage, "44", place=1)
    again = ["startRun", "resumeToolCalls", "callInteractiveTool", "stopRunByInteractiveTool"]
    assert await stage.types() == [*MIXED, *again]
    await answer(stage, "Ann")
    assert (await stage.types())[len(MIXED) + 4 :] == [
        "startRun",
        "startToolCall",
        "completeToolCall",
        "finishAllToolCalls",
        "continueToNextStep",
        "startGeneration",
        "completeRun",
    ]
    state = await stage.only("lead")
    texts = [part.contents[0].text for part in state.messages[2].contents]  # type: ignore[union-attr]
    assert texts == [READ_FIRST, "Ann", "Helped.", "saw it", "44"]
    assert {fact.run_id for fact in stage.starts() if fact.expert_key == "lead"} == {state.run_id}


async def test_an_answer_to_what_is_not_asked_is_refused_and_moves_nothing():
    stage = mixed(say("Thank you."))
    await stage.begin()
    before = len(stage.log.facts)
    async with stage.opened() as job:
        assert job.coordinator is not None
        known = job.coordinator.turn.calls
        for made in (known[0], known[2]):
            with pytest.raises(CannotContinue, match="waits for an answer"):
                await job.answer((result_of(made, "x"),))
    assert len(stage.log.facts) == before
    done = solo(say("Done."))
    await done.begin()
    async with done.opened() as job:
        with pytest.raises(CannotContinue):
            await job.answer((result_of(known[1], "x"),))


async def test_an_answer_cannot_overtake_the_delegates_of_its_reply():
    stage = mixed(say("Thank you."))
    stage.world.max_steps = 1
    await stage.begin()
    async with stage.opened() as job:
        assert job.coordinator is not None
        assert job.coordinator.status == "stoppedByDelegate"
        with pytest.raises(CannotContinue):
            await job.answer((result_of(pending_questions(job.coordinator)[0], "Ann"),))


# Continuing and forking


async def test_a_query_on_a_job_at_rest_is_a_new_run_on_its_last_checkpoint():
    stage = solo(call("look"), say("Result."))
    await stage.begin()
    before = await stage.only("lead")
    await stage.go_on("And now?")
    _, start = stage.starts()
    assert start.run_id != before.run_id
    assert start.base == position(before)
    assert start.step_number == before.step_number + 1 == 3
    after = await stage.only("lead")
    assert list(after.messages)[: len(before.messages)] == list(before.messages)


async def test_a_fork_begins_behind_the_step_of_its_checkpoint_and_copies_nothing():
    stage = solo(call("look"), call("look"), call("look"), say("Result."))
    await stage.begin()
    second = next(fact for fact in stage.log.facts if isinstance(fact, StepContinued))
    base = (await stage.only("lead")).run_id
    from perstack.schema.checkpoint import BaseRef

    async with stage.opened() as job:
        await job.ask(stage.lead, "Other way.", BaseRef(run_id=base, checkpoint_id=second.id))
        await job.carry_on()
    start = stage.starts()[-1]
    assert start.step_number == 3
    assert len(start.input_messages) == 2
    fork = await stage.only("lead")
    said = [type(message).__name__ for message in fork.messages]
    assert said[:6] == [
        "UserMessage",
        "ExpertMessage",
        "ToolMessage",
        "ExpertMessage",
        "ToolMessage",
        "UserMessage",
    ]
    whole = (await stage.states())[base]
    assert whole.text == "Result."
    assert len(whole.messages) == 8


async def test_a_fork_that_answers_goes_on_under_the_recorded_instruction():
    stage = mixed(say("Thank you."))
    await stage.begin()
    base = position(await stage.only("lead"))
    await answer(stage, "Ann")
    async with stage.opened() as job:
        origin = await job._at(base)
        questions = pending_questions(origin)
        await job.answer(tuple(result_of(question, "forked") for question in questions), base)
        await job.carry_on()
    fork = await stage.only("lead")
    assert fork.base == base
    assert (fork.status, fork.text) == ("completed", "Thank you.")
    assert fork.instruction == (await stage.states())[base.run_id].instruction


async def test_a_new_run_names_what_changed_in_its_definition():
    stage = solo(say("Result."))
    await stage.begin()
    stage.world.experts["lead"] = expert("lead", description="Now with words.")
    await stage.go_on("Again.")
    assert [start.changes for start in stage.starts()] == [(), ("description",)]


# Retries

BUSY = fail("overloaded_error", 529, retryable=True, message="Busy.")


async def test_a_transport_retry_adds_no_message_and_no_step():
    stage = listed(BUSY, BUSY, call("look"), say("Result."))
    job = await stage.begin()
    assert await stage.types() == [
        "startRun",
        "startGeneration",
        "retry",
        "retry",
        *STEP[1:],
        "startGeneration",
        "completeRun",
    ]
    assert job.total_steps == 2
    assert len((await stage.only("lead")).messages) == 4


@pytest.mark.parametrize("kind", ["empty", "blank", "truncated"])
async def test_an_unusable_reply_is_answered_with_feedback_a_step_and_a_retry(kind):
    from msgspec.structs import replace

    bad = {
        "empty": say(""),
        "blank": say(" \n", thinking="Hm."),
        "truncated": replace(call("effect", {"name": "x"}, text="I wi"), is_truncated=True),
    }[kind]
    stage = listed(bad, say("Result."), max_retries=1)
    job = await stage.begin()
    assert await stage.types() == [
        "startRun",
        "startGeneration",
        "retry",
        "continueToNextStep",
        "startGeneration",
        "completeRun",
    ]
    assert job.total_steps == 2
    said = [type(message).__name__ for message in (await stage.only("lead")).messages]
    partial = ["ExpertMessage"] if kind == "truncated" else []
    assert said == ["UserMessage", *partial, "UserMessage", "ExpertMessage"]
    assert stage.world.witness.effects.total() == 0


async def test_the_last_retry_keeps_the_providers_own_error():
    stage = listed(BUSY, BUSY, max_retries=1)
    job = await stage.begin()
    state = await stage.only("lead")
    assert job.status == "stoppedByError"
    assert state.error == BUSY.error
    assert (await stage.types())[-2:] == ["retry", "stopRunByError"]


async def test_an_error_that_no_retry_can_help_stops_the_run_at_once():
    stage = listed(fail("authentication_error", 401))
    await stage.begin()
    assert await stage.types() == ["startRun", "startGeneration", "stopRunByError"]


async def test_a_failed_result_is_retried_in_place():
    from msgspec.structs import replace

    stage = listed(
        call("attemptCompletion"),
        BUSY,
        say(""),
        replace(say("Resu"), is_truncated=True),
        say("Result."),
    )
    job = await stage.begin()
    assert await stage.types() == [
        "startRun",
        *FIN[:-1],
        "retry",
        "retry",
        "retry",
        "completeRun",
    ]
    assert job.total_steps == 1
    assert len((await stage.only("lead")).messages) == 4


async def test_a_crash_does_not_reset_the_retry_count():
    from perstack.testing.crashing_store import Crash, CrashingStore

    stage = listed(BUSY, BUSY, BUSY, BUSY, say("never asked"), max_retries=3)
    try:
        await stage.world.play(CrashingStore(stage.store, after=5))
    except* Crash:
        pass
    assert (await stage.only("lead")).retry_count == 2
    await stage.go_on()
    state = await stage.only("lead")
    assert (state.retry_count, state.status) == (3, "stoppedByError")


async def test_a_new_run_begins_without_retries():
    stage = listed(BUSY, BUSY, say("Result."), max_retries=1)
    await stage.begin()
    await stage.go_on("Again.")
    assert (await stage.only("lead")).status == "completed"


async def test_usage_counts_replies_retries_and_results():
    from msgspec.structs import replace

    stage = listed(
        replace(BUSY, usage=used(1)),
        call("look", usage=used(10)),
        call("attemptCompletion", usage=used(100)),
        say("", usage=used(1000)),
        say("Result.", usage=used(10_000)),
    )
    job = await stage.begin()
    assert job.usage == used(11_111)
    assert (await stage.only("lead")).last_usage == used(10_000)
