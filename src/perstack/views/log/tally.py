"""What a run took, counted from its lines without following it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from perstack.schema.base import Data
from perstack.schema.checkpoint import CheckpointStatus
from perstack.schema.head import Head, Something
from perstack.schema.usage import NO_USAGE, Usage
from perstack.views.cost import NO_COST, Asked, Bill, Cost, Models, Price

STOPS: dict[str, CheckpointStatus] = {
    "completeRun": "completed",
    "stopRunByDelegate": "stoppedByDelegate",
    "stopRunByInteractiveTool": "stoppedByInteractiveTool",
    "stopRunByExceededMaxSteps": "stoppedByExceededMaxSteps",
    "stopRunByError": "stoppedByError",
}
"""The status in which each event that ends a stretch of a run leaves it."""

MADE = "initializeRuntime"
"""The event that names the model which is asked from then on."""

_COUNTED = frozenset({"startRun", "callTools", "completeRun", "retry", "stopRunByError"})


class RunTally(Data, kw_only=True):
    """One run, by its events. `usage` and `cost` are its own.

    Times are those of its first and last event, in ms.
    """

    run_id: str
    expert_key: str = ""
    status: CheckpointStatus = "init"
    delegated_by: str | None = None
    query: str = ""
    error: str = ""
    steps: int = 0
    calls: int = 0
    usage: Usage = NO_USAGE
    cost: Cost = NO_COST
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


class _Made(msgspec.Struct, rename="camel"):
    model: str = ""
    provider: str | None = None
    provider_address: str | None = None


_decode_made = msgspec.json.Decoder(_Made).decode
_decode = msgspec.json.Decoder(_Counted).decode


class Tally:
    """Counts one run's events, given in their order, any of which may be missing.

    Without a `price` nothing is said of what it cost. `models` are those of the job.
    """

    def __init__(
        self, run_id: str, price: Price | None = None, models: Models | None = None
    ) -> None:
        self._models = (models or Models()) if price is not None else None
        self._bill = Bill(price, self._models) if price and self._models is not None else None
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
        if head.type == MADE and self._models is not None:
            note_model(self._models, head, line)
        if head.expert_key is None:
            return
        self._key = self._key or head.expert_key
        self._status = STOPS.get(head.type, "proceeding")
        self._steps += head.type == "startGeneration"
        self._calls += head.type == "completeToolCall"
        if head.type in _COUNTED:
            self._look_into(line, head.timestamp)

    def _look_into(self, line: bytes, at: int) -> None:
        try:
            said = _decode(line)
        except (ValueError, RecursionError):
            return
        self._usage += said.usage
        if self._bill is not None:
            self._bill.reply(said.usage, at)
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
            cost=self._bill.total if self._bill is not None else NO_COST,
            started_at=self._started_at,
            finished_at=self._finished_at,
        )


def note_model(models: Models, head: Head, line: bytes) -> None:
    """Take note of the model that an `initializeRuntime` names; of none where it is damaged."""
    try:
        made = _decode_made(line)
    except (ValueError, RecursionError):
        made = _Made()
    models.note(head.timestamp, Asked(made.provider, made.provider_address, made.model))


def below(runs: Iterable[RunTally]) -> Mapping[str | None, list[RunTally]]:
    """The runs by the run that asked for them; those that nobody among them did, under None."""
    listed = list(runs)
    known = {run.run_id for run in listed}
    tree: dict[str | None, list[RunTally]] = {}
    for run in listed:
        tree.setdefault(run.delegated_by if run.delegated_by in known else None, []).append(run)
    return tree
