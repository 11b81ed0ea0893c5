"""Events in words for a person, and as lines."""

from __future__ import annotations

import re

import pytest
from msgspec.structs import replace

from hostile.test_row_79_escapes import EVIL, UNSAFE
from perstack.schema.checkpoint import RunError
from perstack.schema.event import (
    Retried,
    RunCompleted,
    RunStarted,
    RunStoppedByError,
    RuntimeInitialized,
    SkillReported,
    SkillStderr,
    ToolCallCompleted,
    ToolsCalled,
)
from perstack.schema.message import (
    ExpertMessage,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    user_message,
)
from perstack.schema.tool import ToolResult
from perstack.schema.usage import NO_USAGE, Usage
from perstack.views.cost import NO_COST, Cost
from perstack.views.log.event_lines import EventLines, calendar, clock
from perstack.views.log.paint import Paint
from perstack.views.log.selection import EVENT_TYPES
from perstack.views.log.words import duration, words_of
from views.played import play_all, runtime_facts

pytestmark = pytest.mark.anyio

PLAIN = Paint(has_colours=False)
SGR = re.compile(r"\x1b\[[0-9;]+m")


async def test_every_event_says_something() -> None:
    facts = [seen.fact for seen in runtime_facts()]
    facts += [seen.fact for played in (await play_all()).values() for seen in played.read_back]
    for fact in facts:
        said = words_of(fact)
        assert said
        assert all(words.word for words in said)
    kinds = {type(fact) for fact in facts}
    assert len(kinds) > len(EVENT_TYPES) - 3, set(EVENT_TYPES.values()) - kinds


def reply() -> ToolsCalled:
    return ToolsCalled(
        id="e3",
        run_id="r1",
        expert_key="lead",
        step_number=2,
        new_message=ExpertMessage(
            id="m",
            contents=(
                ThinkingPart(thinking="Where?"),
                ThinkingPart(thinking="opaque", redacted=True),
                TextPart(text="I look.\nAt once."),
                ToolCallPart(tool_call_id="c1", tool_name="look", args={"path": "a\nb"}),
            ),
        ),
        routes=("s",),
        problems={"c1": "No JSON."},
        usage=NO_USAGE,
    )


def lines(fact, *, width: int | None = None, is_whole: bool = False, runs=("r1",)) -> list[str]:
    return list(EventLines(runs, PLAIN, width, is_whole=is_whole).lines(fact))


def test_a_reply_is_what_was_thought_said_and_asked_for() -> None:
    told = [line[14:] for line in lines(reply())]
    assert told == [
        "  2  thinks    Where?",
        "  2  says      I look. At once.",
        '  2  calls     look {"path":"a\\nb"}',
        "  2  calls     c1: No JSON.",
    ]


USAGE = Usage(input_tokens=5210, cached_input_tokens=4900, output_tokens=80)
COSTS = {
    "$0.0012, ": Cost(usd=0.0012),
    "unknown cost, ": Cost(unknown_replies=1),
    "": NO_COST,
}


@pytest.mark.parametrize("told", COSTS)
def test_a_reply_begins_with_what_it_took(told: str) -> None:
    replies = [
        replace(reply(), usage=USAGE),
        RunCompleted(run_id="r1", usage=USAGE),
        Retried(
            run_id="r1",
            reason="cut",
            cause=RunError(name="Truncated", message="cut", is_retryable=True),
            usage=USAGE,
        ),
    ]
    for fact in replies:
        shown = EventLines(("r1",), PLAIN, None, cost_of=lambda _: COSTS[told])
        first, second, *_ = shown.lines(fact)
        assert first[19:] == f"replied   {told}5,210 (4,900 cached) tokens in, 80 out"
        assert second[19:].split()[0] in ("thinks", "completed", "retry")


def test_one_step_is_no_steps() -> None:
    made = RuntimeInitialized(
        run_id="r1",
        runtime_version="1",
        runtime="local",
        expert_name="lead",
        experts=(),
        model="m",
        max_steps=1,
        max_retries=1,
        timeout=1,
    )
    assert lines(made)[0].endswith("lead with m, Perstack 1, at most 1 step")


def test_a_whole_event_has_its_text_line_by_line_and_its_type_and_id() -> None:
    told = lines(reply(), is_whole=True)
    assert told[1].endswith("says      I look.")
    assert told[2] == "    At once."
    assert told[-1].strip() == "callTools e3"


def test_lines_are_cut_to_the_width() -> None:
    fact = SkillStderr(run_id="r1", skill_name="s", message="long " * 100)
    assert [len(line) for line in lines(fact, width=60)] == [60]
    assert [len(line) for line in lines(fact)] == [200]


def test_runs_are_named_where_there_are_several() -> None:
    [first, *_] = lines(reply(), runs=("r0", "r1"))
    assert " #2 lead " in first
    [other, *_] = lines(reply(), runs=("r0",))
    assert "#" not in other


HOSTILE = [
    SkillStderr(run_id="r1", skill_name=EVIL, message=EVIL),
    SkillReported(run_id="r1", skill_name=EVIL, source="server", level=EVIL, message=EVIL),
    RunStarted(run_id="r1", expert_key=EVIL, input_messages=(user_message("q", EVIL),)),
    ToolsCalled(
        run_id="r1",
        id=EVIL,
        new_message=ExpertMessage(
            id="m",
            contents=(
                ThinkingPart(thinking=EVIL),
                TextPart(text=EVIL),
                ToolCallPart(tool_call_id=EVIL, tool_name=EVIL, args={EVIL: EVIL}),
            ),
        ),
        routes=(EVIL,),
        problems={EVIL: EVIL},
        usage=NO_USAGE,
    ),
    ToolCallCompleted(
        tool_result=ToolResult(
            id=EVIL, skill_name=EVIL, tool_name=EVIL, result=(TextPart(text=EVIL),)
        ),
        duration_ms=1,
    ),
    Retried(reason=EVIL, cause=RunError(name=EVIL, message=EVIL, is_retryable=True)),
    RunStoppedByError(error=RunError(name=EVIL, message=EVIL, is_retryable=False)),
]


@pytest.mark.hostile
@pytest.mark.parametrize("is_whole", [False, True])
@pytest.mark.parametrize("fact", HOSTILE, ids=lambda fact: type(fact).__name__)
def test_row_79_an_event_is_shown_escaped_with_our_colours_alone(fact, is_whole: bool) -> None:
    told = EventLines(("r0", "r1"), Paint(has_colours=True), 100, is_whole=is_whole)
    for line in told.lines(fact):
        assert UNSAFE.search(SGR.sub("", line)) is None, ascii(line)
        assert set(SGR.findall(line)) <= {
            f"\x1b[{code}m" for code in ("0", "1", "2", "31", "32", "33", "36", "1;34")
        }
        assert line.count("\x1b[0m") * 2 == len(SGR.findall(line))


@pytest.mark.parametrize("at", [10**18, -(10**18), -1, 0, 2**31 * 1000])
def test_any_time_can_be_shown(at: int) -> None:
    assert clock(at)
    assert calendar(at)


@pytest.mark.parametrize(
    ("ms", "shown"),
    [
        (0, "0 ms"),
        (999, "999 ms"),
        (1000, "1.0 s"),
        (61_000, "1 min 1 s"),
        (7_500_000, "2 h 5 min"),
    ],
)
def test_a_duration_is_in_the_unit_that_fits(ms: int, shown: str) -> None:
    assert duration(ms) == shown
