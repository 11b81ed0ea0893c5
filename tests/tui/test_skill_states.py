"""The status bar's line about skills."""

from __future__ import annotations

import pytest

from perstack.schema.event import (
    Child,
    DelegatesCalled,
    Fact,
    RunCompleted,
    RunStarted,
    RuntimeInitialized,
    SkillConnected,
    SkillDisconnected,
    SkillReported,
    SkillStarting,
)
from perstack.schema.expert import ExpertRef
from perstack.tui.session import Moving
from perstack.tui.skill_states import SkillBar, SkillStates
from tui.fake_session import RUN, FakeSession, begun, called, made
from tui.screen import lines, opened, settled, until


def starting(name: str, run_id: str = RUN) -> SkillStarting:
    return SkillStarting(skill_name=name, command="serve", run_id=run_id)


def connected(name: str, run_id: str = RUN) -> SkillConnected:
    return SkillConnected(skill_name=name, run_id=run_id)


def lost(name: str, run_id: str = RUN) -> SkillDisconnected:
    return SkillDisconnected(skill_name=name, reason="gone", tools_lost=True, run_id=run_id)


def report(name: str, level: str) -> SkillReported:
    return SkillReported(skill_name=name, source="server", level=level, message="m", run_id=RUN)


CHILD = Child(
    tool_call_id="d", run_id="child", expert=ExpertRef(key="w", name="w", version="1.0.0")
)


def line(*facts: Fact, width: int = 78) -> str:
    states = SkillStates()
    for fact in facts:
        states.feed(fact)
    return states.line(width).plain


def test_each_skill_says_how_it_stands() -> None:
    told = line(
        starting("files"),
        connected("files"),
        starting("web"),
        starting("search"),
        lost("search"),
        starting("maps"),
        connected("maps"),
        report("maps", "error"),
    )

    assert told == "skills:  ● files  … web  ✗ search  ! maps"


@pytest.mark.parametrize("level", ["info", "warning", "progress"])
def test_what_a_server_tells_is_no_trouble_by_itself(level: str) -> None:
    assert "● files" in line(starting("files"), connected("files"), report("files", level))


def test_what_is_needed_no_more_is_not_told_and_what_starts_again_is() -> None:
    over = SkillDisconnected(skill_name="files", run_id=RUN)
    crashed = SkillDisconnected(skill_name="web", reason="crashed", run_id=RUN)

    told = line(starting("files"), connected("files"), over, crashed, starting("web"))

    assert told == "skills:  … web"


def test_a_delegate_counts_until_it_has_ended_and_the_worst_is_told() -> None:
    facts = [
        starting("files"),
        connected("files"),
        DelegatesCalled(run_id=RUN, children=(CHILD,)),
        starting("files", "child"),
        lost("web", "child"),
    ]

    assert line(*facts) == "skills:  … files  ✗ web"
    assert line(*facts, RunCompleted(run_id="child")) == "skills:  ● files"


def test_the_next_query_forgets_the_skills_of_the_last() -> None:
    again = RunStarted(run_id="next", expert_key="helper")

    assert line(lost("web"), starting("files", "next"), again) == "skills:  … files"


def test_a_run_that_is_carried_on_begins_with_none() -> None:
    resumed = RuntimeInitialized(
        runtime_version="1",
        runtime="local",
        expert_name="helper",
        experts=("helper",),
        model="m",
        max_steps=None,
        max_retries=1,
        timeout=1,
        run_id=RUN,
    )

    assert line(starting("files"), connected("files"), resumed) == "skills:"


def test_a_resumed_delegate_is_not_taken_for_the_coordinator() -> None:
    called_child = DelegatesCalled(run_id=RUN, children=(CHILD,))
    resumed = RunStarted(run_id="child", expert_key="w")

    assert "● files" in line(starting("files"), connected("files"), called_child, resumed)


def test_where_there_are_many_those_that_are_not_well_come_first() -> None:
    names = [f"skill-number-{number}-of-many" for number in range(30)]
    facts: list[Fact] = [fact for name in names for fact in (starting(name), connected(name))]

    told = line(*facts, lost(names[-1]))

    assert told.startswith("skills:  ✗ skill-number-29-of-…  ● skill-number-0-of-m…")
    assert told.endswith("and 28 more")
    assert len(told) <= 78


@pytest.mark.anyio
async def test_the_line_is_there_once_a_skill_was_started() -> None:
    session = FakeSession()
    async with opened(session, size=(80, 24)) as pilot:
        session.tell(*begun())
        await settled(pilot)
        assert not pilot.app.query_one(SkillBar).display
        session.tell(starting("files"), connected("files"))

        await until(pilot, "skills:  ● files")


@pytest.mark.anyio
async def test_the_status_bar_has_three_lines_at_most() -> None:
    session = FakeSession("an-expert-with-quite-a-long-name-indeed-and-more")
    async with opened(session, size=(80, 24)) as pilot:
        session.tell(Moving(), *begun(), made("a-model-with-quite-a-long-name-indeed-and-more"))
        session.tell(*(starting(f"skill-{number}") for number in range(40)))
        session.tell(called())
        await until(pilot, "skills:")

        top = next(row for row, line in enumerate(lines(pilot.app)) if "● running" in line)
        assert len(lines(pilot.app)) - top <= 4, "the footer is the fourth"


def test_a_line_without_room_for_anything_is_one_all_the_same() -> None:
    assert line(width=3) == "skills:"
