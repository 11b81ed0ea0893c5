"""A whole job at a glance."""

from __future__ import annotations

import pytest

from perstack.schema.event import RuntimeInitialized, SkillStderr
from perstack.schema.usage import Usage
from perstack.views.cost import NO_COST, Cost
from perstack.views.fold import JobFold
from perstack.views.plain import plain
from perstack.views.summary import Summary, SummaryFold, summary_of
from perstack.views.summary_text import text_of
from views.played import WORLDS, Played, play, play_all, play_forks, play_interrupted, thoughtful
from worlds import JOB

pytestmark = pytest.mark.anyio


def of(job: Played) -> Summary:
    return summary_of(job.facts_by_run)


async def test_status_steps_usage_and_text_are_those_of_the_job_record() -> None:
    for name, job in (await play_all()).items():
        record = await job.store.get_job(JOB)
        assert record is not None
        summary = of(job)
        assert (summary.status, summary.steps) == (record.status, record.total_steps), name
        if summary.status == "completed":
            assert summary.usage == record.usage, name
            assert summary.text, name


async def test_tools_are_counted_with_their_errors() -> None:
    summary = of(await play(WORLDS["parallel_tools"]()))
    counted = {(t.skill_name, t.tool_name): (t.calls, t.errors) for t in summary.tools}
    assert counted == {
        ("@perstack/unknown", "noSuchTool"): (1, 1),
        ("fake", "broken"): (1, 1),
        ("fake", "effect"): (3, 0),
        ("fake", "look"): (1, 0),
    }
    (run,) = summary.runs
    assert (run.tool_calls, run.errors, run.query, run.text) == (6, 2, "Begin.", "All done.")


async def test_runs_make_a_tree() -> None:
    summary = of(await play(WORLDS["nested_and_parallel_delegation"]()))
    by_expert = {run.expert_key: run for run in summary.runs}
    assert by_expert["lead"].delegated_by is None
    assert by_expert["left"].delegated_by == by_expert["lead"].run_id
    assert by_expert["deep"].delegated_by == by_expert["left"].run_id
    names = [line.split(" (")[0] for line in text_of(summary).splitlines() if " (" in line]
    assert names == ["  lead", "    left", "      deep", "    right"]


async def test_usage_is_counted_once_however_deep_it_was_used() -> None:
    summary = of(await play(thoughtful()))
    own = {run.expert_key: run.usage.total_tokens for run in summary.runs}
    assert own == {"lead": 45, "helper": 3}
    assert summary.usage == Usage(input_tokens=32, output_tokens=16, total_tokens=48)


async def test_a_failed_run_says_why() -> None:
    summary = of(await play(WORLDS["failing_delegates"]()))
    (bad,) = (run for run in summary.runs if run.expert_key == "bad")
    assert bad.error is not None
    assert bad.error.status_code == 400
    assert "error: invalid_request_error: The script says" in text_of(summary)


async def test_retries_are_counted() -> None:
    summary = of(await play(WORLDS["retries"]()))
    assert summary.retries == summary.runs[0].retries == 5


async def test_forks_name_their_base() -> None:
    summary = of(await play_forks())
    first = summary.runs[0].run_id
    assert [run.base for run in summary.runs if run.expert_key == "lead"] == [None, first, first]


async def test_times_are_those_of_the_events() -> None:
    job = await play_interrupted()
    times = [seen.fact.timestamp for seen in job.live]
    summary = of(job)
    assert (summary.started_at, summary.finished_at) == (min(times), max(times))


async def test_costs_are_each_runs_own_and_the_jobs_the_sum_of_them() -> None:
    job = await play(thoughtful())
    fold, sums = JobFold(), SummaryFold(lambda _asked, usage, _at: usage.total_tokens / 1000)
    for facts in job.facts_by_run.values():
        for fact in facts:
            sums.feed(fact, fold.feed(fact)[1])
    summary = sums.summary
    costs = [run.cost for run in summary.runs]
    assert costs == [Cost(usd=run.usage.total_tokens / 1000) for run in summary.runs]
    assert summary.cost == sum((cost for cost in costs if cost), NO_COST)
    assert f"tokens in, {summary.usage.output_tokens} out, $" in text_of(summary)
    assert of(job).cost is None


async def test_a_run_that_was_never_started_is_none() -> None:
    job = await play(WORLDS["parallel_tools"]())
    noted = [f for fs in job.facts_by_run.values() for f in fs if isinstance(f, RuntimeInitialized)]
    assert summary_of(job.facts_by_run | {"opened": [], "noted": noted[:0]}) == of(job)
    stray = SkillStderr(id="x", seq=1, job_id=JOB, run_id="stray", skill_name="s", message="m")
    assert summary_of(job.facts_by_run | {"stray": [stray]}) == of(job)
    with pytest.raises(ValueError, match="nothing was started"):
        summary_of({"stray": [stray]})


async def test_the_text_is_safe_to_print() -> None:
    world = WORLDS["several_queries"]()
    world.said = ("\x1b]0;title\x07\u202eBegin.",)
    text = text_of(of(await play(world)))
    assert plain(text) == text
    assert r"\x1b]0;title\x07\u202eBegin." in text
