"""What a run took, counted from its lines without following it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from perstack.schema.base import Data
from perstack.schema.checkpoint import CheckpointStatus
from perstack.schema.head import Head, Something
from perstack.schema.usage import NO_USAGE, Usage

STOPS: dict[str, CheckpointStatus] = {
    "completeRun": "completed",
    "stopRunByDelegate": "stoppedByDelegate",
    "stopRunByInteractiveTool": "stoppedByInteractiveTool",
    "stopRunByExceededMaxSteps": "stoppedByExceededMaxSteps",
    "stopRunByError": "stoppedByError",
}
"""The status in which each event that ends a stretch of a run leaves it."""

_COUNTED = frozenset({"startRun", "callTools", "completeRun", "retry", "stopRunByError"})


class RunTally(Data, kw_only=True):
    """One run, by its events. `usage` is its own; times are those of its first and last, in ms."""

    run_id: str
    expert_key: str = ""
    status: CheckpointStatus = "init"
    delegated_by: str | None = None
    query: str = ""
    error: str = ""
    steps: int = 0
    calls: int = 0
    usage: Usage = NO_USAGE
    started_at: int = 0
    finished_at: int = 0


class _Part(msgspec.Struct):
    text: str = ""


class _Message(msgspec.Struct):
    type: str = ""
    contents: tuple[_Part, ...] = ()


class _Parent(msgspec.Struct, rename="camel"):
    run_id: str = ""


class _Error(msgspec.Struct):
    name: str = ""
    message: str = ""


class _Counted(msgspec.Struct, rename="camel"):
    usage: Usage = NO_USAGE
    delegated_by: _Parent | None = None
    definition: Something | None = None
    input_messages: tuple[_Message, ...] = ()
    error: _Error | None = None


_decode = msgspec.json.Decoder(_Counted).decode


class Tally:
    """Counts one run's events, given in their order, any of which may be missing."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._steps = self._calls = self._started_at = self._finished_at = 0
        self._is_begun = False
        self._key = self._query = self._error = ""
        self._status: CheckpointStatus = "init"
        self._delegated_by: str | None = None
        self._usage = NO_USAGE

    def count(self, head: Head, line: bytes) -> None:
        """Take one more event into account."""
        if not self._is_begun:
            self._started_at, self._is_begun = head.timestamp, True
        self._finished_at = max(self._finished_at, head.timestamp)
        if head.expert_key is None:
            return
        self._key = self._key or head.expert_key
        self._status = STOPS.get(head.type, "proceeding")
        self._steps += head.type == "startGeneration"
        self._calls += head.type == "completeToolCall"
        if head.type in _COUNTED:
            self._look_into(line)

    def _look_into(self, line: bytes) -> None:
        try:
            said = _decode(line)
        except (ValueError, RecursionError):
            return
        self._usage += said.usage
        self._error = f"{said.error.name}: {said.error.message}" if said.error else ""
        if said.definition is not None:
            self._delegated_by = said.delegated_by.run_id if said.delegated_by else None
            self._query = " ".join(
                part.text
                for message in said.input_messages
                if message.type == "userMessage"
                for part in message.contents
            )

    @property
    def run(self) -> RunTally:
        """What was counted so far."""
        return RunTally(
            run_id=self._run_id,
            expert_key=self._key,
            status=self._status,
            delegated_by=self._delegated_by,
            query=self._query,
            error=self._error,
            steps=self._steps,
            calls=self._calls,
            usage=self._usage,
            started_at=self._started_at,
            finished_at=self._finished_at,
        )


def below(runs: Iterable[RunTally]) -> Mapping[str | None, list[RunTally]]:
    """The runs by the run that asked for them; those that nobody among them did, under None."""
    listed = list(runs)
    known = {run.run_id for run in listed}
    tree: dict[str | None, list[RunTally]] = {}
    for run in listed:
        tree.setdefault(run.delegated_by if run.delegated_by in known else None, []).append(run)
    return tree
