"""Events as lines for a person: when, which run, which step, and what."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from perstack.schema.event import Fact, RunEvent
from perstack.views.cost import NO_COST, Cost, usage_of
from perstack.views.log.paint import Paint, Style
from perstack.views.log.words import LONGEST, words_of, words_of_reply
from perstack.views.plain import plain

LINE_LIMIT = 200
"""Characters of a line where no width is given."""

_LEAST = 20
_WORD = 9
_WHO = 24


def _costs_nothing(_: Fact) -> Cost:
    return NO_COST


class EventLines:
    """Tells events of one job, each in a line or a few. Safe to print.

    `width` is that of the terminal, if it is one. Runs are named where there are
    several: by their place among `run_ids`, and their Expert. With `is_whole`, texts
    are not cut at the line's end, and types and ids are told. `cost_of` says what the
    reply that an event is has cost.
    """

    def __init__(
        self,
        run_ids: Sequence[str],
        paint: Paint,
        width: int | None,
        *,
        is_whole: bool = False,
        cost_of: Callable[[Fact], Cost] = _costs_nothing,
    ) -> None:
        self._places = {run_id: place for place, run_id in enumerate(run_ids, 1)}
        self._paint = paint
        self._width = width or LINE_LIMIT
        self._is_whole = is_whole
        self._cost_of = cost_of
        self._has_many = len(run_ids) > 1

    def lines(self, fact: Fact) -> Iterator[str]:
        """The lines of one event."""
        start = self._start(fact)
        room = max(self._width - len(start) - _WORD - 1, _LEAST)
        for said in (*words_of_reply(usage_of(fact), self._cost_of(fact)), *words_of(fact)):
            word = self._paint(f"{said.word:<{_WORD}}", said.style)
            begin = f"{self._paint(start, 'dim')}{word} "
            if self._is_whole:
                yield from self._whole(begin, said.text, said.style)
            else:
                text = plain(_one_line(said.text), room, one_line=True)
                yield f"{begin}{self._painted(text, said.style)}".rstrip()
        if self._is_whole:
            kind = fact.__struct_config__.tag
            yield self._paint(f"{' ' * len(start)}{kind} {plain(fact.id, one_line=True)}", "dim")

    def _start(self, fact: Fact) -> str:
        step = f"{fact.step_number:>4}" if isinstance(fact, RunEvent) else "    "
        return f"{clock(fact.timestamp)} {self._who(fact)}{step}  "

    def _who(self, fact: Fact) -> str:
        if not self._has_many:
            return ""
        place = self._places.get(fact.run_id)
        if place is None:
            place = self._places[fact.run_id] = len(self._places) + 1
        key = fact.expert_key if isinstance(fact, RunEvent) else ""
        who = plain(f"#{place} {key}", _WHO, one_line=True)
        return f"{who:<{_WHO}}"

    def _whole(self, begin: str, text: str, style: Style) -> Iterator[str]:
        first, *rest = plain(text, LONGEST).split("\n")
        yield f"{begin}{self._painted(first, style)}".rstrip()
        for line in rest:
            yield f"    {self._painted(line, style)}".rstrip()

    def _painted(self, text: str, style: Style) -> str:
        return self._paint(text, style) if style in ("bad", "dim") else text


def _one_line(text: str) -> str:
    """White space as single blanks, as far as a line may reach."""
    return " ".join(text[:LONGEST].split())


def clock(timestamp: int) -> str:
    """Local time of day to the millisecond; a time that no calendar has, as it is."""
    try:
        at = time.localtime(timestamp // 1000)
    except (OverflowError, ValueError, OSError):
        return f"{timestamp:>12}"
    return f"{time.strftime('%H:%M:%S', at)}.{timestamp % 1000:03}"


def calendar(timestamp: int) -> str:
    """Local date and time to the second; a time that no calendar has, as it is."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(timestamp // 1000))
    except (OverflowError, ValueError, OSError):
        return str(timestamp)
