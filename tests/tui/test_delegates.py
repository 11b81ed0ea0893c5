"""Delegates that are asked at once stand side by side, with what each of them took."""

from __future__ import annotations

import pytest

from perstack.schema.checkpoint import RunError
from perstack.schema.event import (
    Child,
    DelegatesCalled,
    GenerationStarted,
    Retried,
    RunStoppedByError,
)
from perstack.schema.expert import ExpertRef
from perstack.schema.tool import DELEGATE_SKILL
from perstack.schema.usage import NO_USAGE, Usage
from perstack.tui.parts import Spent
from perstack.tui.run_block import RunBlock, SideBySide
from perstack.tui.session import Happening, Notice, Past
from tui.fake_session import RUN, FakeSession, answered, begun, called, completed, made, tool
from tui.screen import lines, opened, seen, settled, until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

USAGE = Usage(input_tokens=9000, output_tokens=1000, total_tokens=10_000, cached_input_tokens=4500)
CENT = "$0.0100"


def delegated(*keys: str, run_id: str = RUN) -> list[Happening]:
    """A reply that asks delegates. Each runs in a run that is called as it is."""
    refs = {key: ExpertRef(key=key, name=key, version="1.0.0") for key in keys}
    calls = [
        tool(key, {"query": f"Be {key}!"}, call_id=f"d-{key}", skill=DELEGATE_SKILL) for key in keys
    ]
    children = tuple(
        Child(tool_call_id=f"d-{key}", run_id=key, expert=ref) for key, ref in refs.items()
    )
    return [
        called(*calls, usage=NO_USAGE, run_id=run_id),
        DelegatesCalled(run_id=run_id, children=children),
    ]


def row_of(text: str, shown: list[str]) -> int:
    return next(row for row, line in enumerate(shown) if text in line)


@pytest.mark.parametrize(("size", "in_a_row"), [((80, 24), 2), ((200, 50), 4)])
async def test_as_many_stand_side_by_side_as_there_is_room(
    size: tuple[int, int], in_a_row: int
) -> None:
    session = FakeSession()
    async with opened(session, size=size) as pilot:
        session.tell(*begun(), *delegated("ann", "bob", "cy", "dora"))
        await settled(pilot)

        rows = [row_of(f"▼ {name} asked", lines(pilot.app)) for name in ("ann", "bob", "cy")]
        assert rows[0] == rows[1]
        assert (rows[2] == rows[0]) == (in_a_row == 4)


async def test_one_delegate_has_the_whole_width() -> None:
    session = FakeSession()
    async with opened(session) as pilot:
        session.tell(*begun(), *delegated("ann"))
        await settled(pilot)

        assert not pilot.app.query(SideBySide)


async def test_each_block_holds_its_own_parts_and_says_how_its_run_stands() -> None:
    session = FakeSession()
    call = tool("readTextFile", {"path": "a.txt"})
    async with opened(session, size=(80, 24)) as pilot:
        session.tell(*begun(), *delegated("ann", "bob"))
        for name in ("ann", "bob"):
            session.tell(GenerationStarted(run_id=name))
        session.tell(called(call, usage=USAGE, run_id="ann"))
        session.tell(answered(call, "text", run_id="ann"), GenerationStarted(run_id="ann"))
        error = RunError(name="Refused", message="not today", is_retryable=False)
        session.tell(RunStoppedByError(run_id="bob", error=error))
        shown = await until(pilot, "bob stopped  1 step")
        assert f"ann asked  2 steps  {CENT}" in shown
        ann, bob = pilot.app.query(RunBlock)
        assert [part.original for part in ann.parts.query(RunBlock)] == []
        session.tell(completed("Good.", run_id="ann"))
        await until(pilot, f"▶ ann done  2 steps  {CENT}")

        assert not bob.collapsed, "what went wrong stays open"


async def test_delegates_of_delegates_stand_inside() -> None:
    session = FakeSession()
    async with opened(session, size=(80, 24)) as pilot:
        session.tell(*begun(), *delegated("ann", "bob"), *delegated("cy", "dora", run_id="ann"))
        await until(pilot, "dora asked")

        ann = pilot.app.query(RunBlock).first()
        assert len(ann.parts.query(RunBlock)) == 2
        assert len(ann.parts.query(SideBySide)) == 1


async def test_a_group_goes_with_its_last_block() -> None:
    session = FakeSession()
    async with opened(session, kept=5) as pilot:
        session.tell(*begun(), *delegated("ann", "bob"))
        session.tell(*(Notice(f"notice {number}") for number in range(8)))
        await settled(pilot)
        assert len(pilot.app.query(RunBlock)) == 2, "they are at work"
        session.tell(completed("Good.", run_id="ann"), completed("Good.", run_id="bob"))
        session.tell(*(Notice(f"notice {number}") for number in range(8)))
        await settled(pilot)

        assert not pilot.app.query(RunBlock)
        assert not pilot.app.query(SideBySide)


async def test_a_group_goes_when_something_else_is_shown() -> None:
    session = FakeSession()
    async with opened(session) as pilot:
        session.tell(*begun(), *delegated("ann", "bob"), Past(()))
        await settled(pilot)

        assert not pilot.app.query(SideBySide)


async def test_each_reply_says_at_its_end_what_it_took() -> None:
    session = FakeSession()
    call = tool("readTextFile", {"path": "a.txt"})
    cause = RunError(name="Cut", message="cut off", is_retryable=True)
    async with opened(session) as pilot:
        session.tell(*begun(), called(call, text="I read.", usage=USAGE))
        session.tell(Retried(run_id=RUN, reason="cut off", cause=cause, usage=USAGE))
        await until(pilot, "retry: cut off")
        await settled(pilot)
        shown = seen(pilot.app)

        assert len(pilot.app.query(Spent)) == 2
        told = f"in 9.0k (50% cached)  out 1.0k  {CENT}"
        before, _, behind = shown.partition("retry: cut off")
        assert before.rstrip().endswith(told)
        assert behind.strip().startswith(told)


async def test_a_reply_of_unknown_price_says_so_and_one_without_tokens_nothing() -> None:
    session = FakeSession()
    async with opened(session) as pilot:
        session.tell(*begun(), made("nobodys"), called(text="One.", usage=USAGE))
        await until(pilot, "out 1.0k  unknown cost")
        session.tell(called(text="Two."))
        await settled(pilot)

        assert seen(pilot.app).count("out 1.0k  unknown cost") == 1
        assert len(pilot.app.query(Spent)) == 1
