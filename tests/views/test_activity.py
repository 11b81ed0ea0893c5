"""What people read of a job."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perstack.base.table import TOOLS
from perstack.schema.event import RunStarted
from perstack.schema.message import TextPart
from perstack.schema.tool import BASE_SKILL, Todo, ToolCall, ToolResult
from perstack.testing import fail
from perstack.views.activity import Activity, ActivityFold, activities
from perstack.views.activity_calls import BASE_TOOLS, activity_of_call
from perstack.views.activity_kinds import (
    AttemptCompletionActivity,
    CompleteActivity,
    DelegateActivity,
    DelegationCompleteActivity,
    ErrorActivity,
    ExecActivity,
    GeneralToolActivity,
    GetFileInfoActivity,
    InteractiveToolActivity,
    ListDirectoryActivity,
    QueryActivity,
    ReadImageFileActivity,
    ReadTextFileActivity,
    RetryActivity,
    TodoActivity,
)
from views.played import Played, base_tools, play, play_all, play_forks, thoughtful
from worlds import World, expert

pytestmark = pytest.mark.anyio


def told(job: Played) -> list[Activity]:
    return list(activities(seen.fact for seen in job.live))


def of(kind: type[Any], items: list[Activity]) -> list[Any]:
    return [item for item in items if isinstance(item, kind)]


def test_every_base_tool_has_an_activity_of_its_name() -> None:
    assert set(BASE_TOOLS) == {tool.definition.name for tool in TOOLS}


async def test_activities_are_the_same_live_read_back_and_with_states() -> None:
    for job in (await play_all()).values():
        live = told(job)
        fold = ActivityFold()
        assert [a for seen in job.live for a in fold.feed(seen.fact, seen.after)] == live
        again = list(activities(f for facts in job.facts_by_run.values() for f in facts))
        assert sorted(again, key=lambda a: a.id) == sorted(live, key=lambda a: a.id)


async def test_ids_derive_from_events_and_chain_within_a_run() -> None:
    for job in (await play_all()).values():
        events = {seen.fact.id: seen.fact for seen in job.live}
        last: dict[str, str] = {}
        seen_ids: set[str] = set()
        for activity in told(job):
            event_id, _, index = activity.id.rpartition("-a")
            assert events[event_id].run_id == activity.run_id
            assert index.isdigit()
            assert activity.id not in seen_ids
            assert activity.previous_activity_id == last.get(activity.run_id)
            last[activity.run_id] = activity.id
            seen_ids.add(activity.id)


async def test_activities_survive_their_encoding(tmp_path: Path) -> None:
    jobs = [*(await play_all()).values(), await play(base_tools(tmp_path))]
    every = [activity for job in jobs for activity in told(job)]
    assert {type(activity) for activity in every} == set(get_args(Activity))
    for activity in every:
        assert msgspec.json.decode(msgspec.json.encode(activity), type=Activity) == activity


async def test_a_delegates_activities_name_the_run_they_answer() -> None:
    items = told((await play_all())["nested_and_parallel_delegation"])
    lead = items[0]
    assert lead.delegated_by is None
    for activity in items:
        if activity.expert_key in {"left", "right"}:
            assert activity.delegated_by is not None
            assert activity.delegated_by.run_id == lead.run_id
            assert activity.delegated_by.expert_key == "lead"
    asked = [(item.delegate_expert_key, item.query) for item in of(DelegateActivity, items)]
    assert asked == [("left", "go left"), ("right", "go right"), ("deep", "go deeper")]
    assert [item.count for item in of(DelegationCompleteActivity, items)] == [1, 2]


async def test_a_query_its_calls_and_its_result_are_told() -> None:
    items = told((await play_all())["parallel_tools"])
    assert isinstance(items[0], QueryActivity)
    assert items[0].text == "Begin."
    general = of(GeneralToolActivity, items)
    assert sorted((g.tool_name, g.error is None) for g in general) == [
        ("broken", False),
        ("effect", True),
        ("effect", True),
        ("effect", True),
        ("look", True),
        ("noSuchTool", False),
    ]
    assert [type(item) for item in items[-2:]] == [AttemptCompletionActivity, CompleteActivity]
    assert of(CompleteActivity, items)[0].text == "All done."


async def test_the_first_activity_of_a_reply_says_what_the_model_thought_and_said() -> None:
    items = [a for a in told(await play(thoughtful())) if a.expert_key == "lead"]
    reasons = [(type(a).__name__, a.reasoning) for a in items if a.reasoning]
    assert reasons == [
        ("GeneralToolActivity", "Where?\n\nI look."),
        ("AttemptCompletionActivity", "Enough."),
    ]
    assert of(CompleteActivity, items)[0].text == "Well."


async def test_questions_and_answers_are_told_each_once() -> None:
    job = (await play_all())["interactive_stops"]
    items = [a for a in told(job) if a.expert_key == "lead"]
    asked = [a.args["question"] for a in of(InteractiveToolActivity, items)]
    assert asked == ["Name?", "Age?", "Sure?"]
    assert [a.text for a in of(QueryActivity, items)] == ["Begin.", "Ann", "44", "yes"]


async def test_a_fork_knows_the_questions_of_its_base() -> None:
    job = await play_forks()
    starts = [s.fact for s in job.live if isinstance(s.fact, RunStarted) and s.fact.base]
    items = [a for a in told(job) if a.run_id == starts[0].run_id]
    assert [type(a) for a in items] == [QueryActivity, InteractiveToolActivity]
    assert of(InteractiveToolActivity, items)[0].args == {"question": "Age?"}


async def test_retries_and_stops_are_told_with_their_causes() -> None:
    jobs = await play_all()
    retry = of(RetryActivity, told(jobs["retries"]))[0]
    assert retry.error == "overloaded_error"
    assert retry.wait_ms == 250
    limit = of(ErrorActivity, told(jobs["step_limit"]))
    assert [error.error_name for error in limit] == ["ExceededMaxSteps"] * 2
    (error,) = of(ErrorActivity, told(jobs["failing_delegates"]))
    assert (error.error_name, error.is_retryable) == ("invalid_request_error", False)


async def test_base_tools_are_told_with_what_they_did(tmp_path: Path) -> None:
    items = told(await play(base_tools(tmp_path)))
    read, missing = of(ReadTextFileActivity, items)
    assert (read.path, read.content, read.from_, read.to) == ("a.txt", "2", 1, 2)
    assert (missing.path, missing.content) == ("missing.txt", None)
    assert missing.error == "File missing.txt does not exist."
    well, ill = of(ExecActivity, items)
    assert (well.command, well.args, well.cwd) == ("sh", ("-c", "echo hi"), ".")
    assert (well.output, well.stdout, well.error) == ("hi\n", None, None)
    assert (ill.output, ill.stderr) == (None, "no\n")
    assert ill.error == "Command exited with status 3."
    (image,) = of(ReadImageFileActivity, items)
    assert (image.mime_type, image.size) == ("image/gif", 10)
    assert of(GetFileInfoActivity, items)[0].info["size"] == 12
    assert of(ListDirectoryActivity, items)[0].items[0]["name"] == "b.txt"
    (todo,) = of(TodoActivity, items)
    assert todo.new_todos == ("one",)
    assert todo.todos == (Todo(id=0, title="one"),)
    early, done = of(AttemptCompletionActivity, items)
    assert early.remaining_todos == todo.todos
    assert done.remaining_todos is None
    (wrong,) = of(GeneralToolActivity, items)
    assert (wrong.tool_name, wrong.args) == ("readTextFile", {"path": 5})
    assert wrong.error is not None


async def test_a_job_that_is_carried_on_is_told_without_its_beginning() -> None:
    """Whatever a process sees first, each fact is told as far as it can be."""
    for job in (await play_all()).values():
        whole = told(job)
        for start in range(1, len(job.live)):
            rest = job.live[start:]
            with_states, without = ActivityFold(), ActivityFold()
            seen = [a for s in rest for a in with_states.feed(s.fact, s.after)]
            ids = {s.fact.id for s in rest}
            expected = [a for a in whole if a.id.rpartition("-a")[0] in ids]
            assert [plainly(a) for a in seen] == [plainly(a) for a in expected]
            for s in rest:
                without.feed(s.fact)


def plainly(activity: Activity) -> Activity:
    return msgspec.structs.replace(activity, previous_activity_id=None, reasoning=None)


async def test_a_failure_that_ends_a_run_is_an_error() -> None:
    world = World({"lead": expert("lead")}, lambda _: fail("authentication_error", 401))
    items = told(await play(world))
    assert [type(a) for a in items] == [QueryActivity, ErrorActivity]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
FIELDS = sorted({f for kind in BASE_TOOLS.values() for f in kind.__struct_encode_fields__})
ARGS = st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=5), JSON, max_size=6)


@given(
    st.sampled_from([*sorted(BASE_TOOLS), "other"]),
    ARGS,
    ARGS.map(lambda fields: msgspec.json.encode(fields).decode()) | st.text(max_size=20),
    st.booleans(),
)
def test_whatever_a_call_and_its_answer_hold_they_are_told(
    name: str, args: dict[str, object], text: str, is_error: bool
) -> None:
    call = ToolCall(id="c", skill_name=BASE_SKILL, tool_name=name, args=args)
    result = ToolResult(
        id="c",
        skill_name=BASE_SKILL,
        tool_name=name,
        result=(TextPart(text=text),),
        is_error=is_error,
    )
    activity = activity_of_call(call, result, [Todo(id=0, title="t")])
    if is_error:
        assert activity.error
    if isinstance(activity, GeneralToolActivity):
        assert activity.args == args
    else:
        assert activity.__struct_config__.tag == name
    assert (activity.id, activity.run_id, activity.reasoning) == ("", "", None)
